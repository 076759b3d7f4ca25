# SPDX-License-Identifier: MIT
#
# A child for the supervisor's tests. Its arguments are steps, done in order:
#
#   ready               tells READY=1
#   tell TEXT           tells TEXT ("\n" in it is a newline)
#   say TEXT            writes a line to standard output; complain TEXT: to standard error
#   mark FILE           appends "NAME PID\n" to FILE (NAME: $SOLE_CHILD)
#   on-term FILE        appends "NAME PID\n" to FILE on SIGTERM, then ends with status 0
#   slow-term SECONDS   on SIGTERM, ends with status 0 after that time
#   gate-term FILE      on SIGTERM, ends with status 0 once FILE exists
#   ignore SIGNAL       ignores it
#   once FILE           the next step is done only where FILE did not exist
#   input               reads standard input to its end
#   look FILE           writes descriptors, signals and environment to FILE
#   beat SECONDS TIMES  tells WATCHDOG=1 so often
#   helper FILE         starts a process in the same group, its pid into FILE
#   daemon FILE         starts one that leaves group and session, its pid into FILE
#   await FILE          waits until it exists
#   anonymous FILE      the same, and its environment is empty
#   listen              accepts one connection on descriptor 3, writes "served NAME PID\n"
#   pause SECONDS       waits
#   exit N, kill SIGNAL ends
#
# After the last step it waits for ever.
use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX qw(setsid);
use Socket qw(SOCK_DGRAM);
use Time::HiRes;

$| = 1;
my $name = $ENV{SOLE_CHILD} // 'nobody';

sub append {
    my ($file, $text) = @_;
    open my $out, '>>', $file or die "$file: $!\n";
    syswrite $out, $text;
    close $out;
}

sub tell_all {
    my ($text) = @_;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die "notify: $!\n";
    $socket->send($text =~ s/\\n/\n/gr) // die "notify: $!\n";
}

sub forever { select undef, undef, undef, 1000 while 1 }

sub left_behind {
    my ($file, $leave) = @_;
    my $before = -s $file // 0;
    if (my $pid = fork) {
        waitpid $pid, 0 if $leave;
        Time::HiRes::sleep(0.005) until (-s $file // 0) > $before;
        return;
    }
    if ($leave) { setsid(); exit 0 if fork }
    $SIG{TERM} = 'IGNORE' if $file =~ /stubborn/;
    append($file, "$$\n");
    if ($file =~ /anonymous/) { %ENV = (); exec '/bin/sleep', '1000' }
    forever();
}

sub look {
    my ($file) = @_;
    my %fd;
    for my $number (map { s{.*/}{}r } glob '/proc/self/fd/*') {
        my $target = readlink "/proc/self/fd/$number" or next;
        $fd{$number} = $target;
    }
    open my $status, '<', '/proc/self/status';
    my @signals = grep { /^Sig(Blk|Ign|Cgt)|^NSsid|^NSpgid/ } <$status>;
    my @variables = map { "$_=$ENV{$_}\n" } sort keys %ENV;
    append($file, join '', (map { "fd $_ $fd{$_}\n" } sort keys %fd), @signals, "pid $$\n",
        "folder " . POSIX::getcwd() . "\n", "limit " . `sh -c 'ulimit -n'`, @variables, "end\n");
}

while (defined(my $step = shift @ARGV)) {
    if    ($step eq 'ready') { tell_all('READY=1') }
    elsif ($step eq 'tell') { tell_all(shift) }
    elsif ($step eq 'say') { print shift, "\n" }
    elsif ($step eq 'complain') { print STDERR shift, "\n" }
    elsif ($step eq 'mark') { append(shift, "$name $$\n") }
    elsif ($step eq 'on-term') { my $file = shift; $SIG{TERM} = sub { append($file, "$name $$\n"); exit 0 } }
    elsif ($step eq 'slow-term') { my $time = shift; $SIG{TERM} = sub { select undef, undef, undef, $time; exit 0 } }
    elsif ($step eq 'gate-term') { my $file = shift; $SIG{TERM} = sub { Time::HiRes::sleep(0.005) until -e $file; exit 0 } }
    elsif ($step eq 'ignore') { $SIG{ +shift } = 'IGNORE' }
    elsif ($step eq 'once') { my $file = shift; if (-e $file) { drop() } else { append($file, "$$\n") } }
    elsif ($step eq 'await') { my $file = shift; Time::HiRes::sleep(0.005) until -e $file }
    elsif ($step eq 'input') { 1 while <STDIN> }
    elsif ($step eq 'look') { look(shift) }
    elsif ($step eq 'beat') { my ($time, $times) = splice @ARGV, 0, 2; for (1 .. $times) { select undef, undef, undef, $time; tell_all('WATCHDOG=1') } }
    elsif ($step eq 'helper') { left_behind(shift, 0) }
    elsif ($step eq 'anonymous') { left_behind(shift, 1) }
    elsif ($step eq 'daemon') { left_behind(shift, 1) }
    elsif ($step eq 'pause') { select undef, undef, undef, shift }
    elsif ($step eq 'exit') { exit shift }
    elsif ($step eq 'kill') { kill shift, $$; forever() }
    elsif ($step eq 'listen') {
        open my $socket, '+<&=', 3 or die "descriptor 3: $!\n";
        accept my $client, $socket or die "accept: $!\n";
        syswrite $client, "served $name $$\n";
        close $client;
    }
    else { die "no such step: $step\n" }
}
forever();

# Drops the next step and its arguments.
sub drop {
    my $step = shift @ARGV;
    my %arguments = (ready => 0, input => 0, listen => 0, beat => 2);
    splice @ARGV, 0, $arguments{$step} // 1;
}
