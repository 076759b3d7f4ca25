# SPDX-License-Identifier: MIT
#
# Sole::Test - real processes for the tests, each with a deadline.
#
# Loading it gives the test a temporary folder of its own, which is also
# $SOLE_RUNTIME_DIR, and clears whatever else of the caller's environment could
# reach the programs. Whatever a test started, and whatever those started in
# turn, is killed and reaped when the test ends, however it ends. The folder is
# removed then, or kept and named when the test failed.
#
# Nothing here sleeps and hopes: each wait is for a condition and has a limit.
#
#   SOLE_BIN          folder of the programs under test; default "bin"
#   SOLE_TIME_FACTOR  multiplies every limit, for valgrind and slow machines
#   SOLE_WRAPPER      put before each program, e.g. "valgrind -q --error-exitcode=99"
#   SOLE_WRAPPED      before these only, e.g. "sole-owner sole-supervisor"
package Sole::Test;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(F_SETFD);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(WNOHANG setpgid);
use Socket qw(SOCK_DGRAM MSG_DONTWAIT);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(
    folder path program seconds slurp spew
    run start start_owner wait_until alive descendants
    line_like
);

my $folder;
my $bin;
my $started = 0;
my @processes;
my $owner_pid = $$;    # of these processes: a forked copy of the test kills nothing

# ---- where and how long ----

# This test's own folder.
sub folder { return $folder }

# A path inside it.
sub path { return "$folder/$_[0]" }

# The full path of a program of the project: program('sole-owner').
sub program { return "$bin/$_[0]" }

# A limit in seconds, stretched by SOLE_TIME_FACTOR.
sub seconds { return $_[0] * ($ENV{SOLE_TIME_FACTOR} || 1) }

# The contents of a file, or '' when it cannot be read. A device has no contents:
# /dev/full would never end.
sub slurp {
    my ($file) = @_;
    return '' if -c $file || -p _;
    open my $in, '<:raw', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Writes a file of the test's folder (or at an absolute path) and returns its path.
sub spew {
    my ($file, $contents) = @_;
    $file = path($file) unless $file =~ m{^/};
    open my $out, '>:raw', $file or die "cannot write $file: $!\n";
    print {$out} $contents;
    close $out or die "cannot write $file: $!\n";
    return $file;
}

# Polls until the block is true or the limit (in seconds, default 10) is over.
# Returns what the block returned last.
sub wait_until(&;$) {
    my ($condition, $limit) = @_;
    my $end = time + seconds($limit // 10);
    my $pause = 0.001;
    for (;;) {
        my $result = $condition->();
        return $result if $result || time >= $end;
        Time::HiRes::sleep($pause);
        $pause *= 1.5 if $pause < 0.02;
    }
}

# True while the process runs: neither gone nor a zombie.
sub alive {
    my ($pid) = @_;
    my $stat = slurp("/proc/$pid/stat");
    return $stat =~ /\) ([A-Z])/ && $1 !~ /[ZX]/;
}

# The pids of all processes below `pid` (default: this test), started by it or
# by what it started. Orphans of this test's processes stay below this test.
sub descendants {
    my ($top) = @_;
    my %children;
    for my $file (glob '/proc/[0-9]*/stat') {
        my ($pid, $parent) = slurp($file) =~ /^(\d+) \(.*\) [A-Z] (\d+) /s or next;
        push @{ $children{$parent} }, $pid;
    }
    my @queue = ($top // $$);
    my @found;
    while (defined(my $next = shift @queue)) {
        my @below = @{ $children{$next} // [] };
        push @found, @below;
        push @queue, @below;
    }
    return @found;
}

# ---- running and starting ----

# run([\%options,] PROGRAM, ARGUMENT ...): runs to the end and returns the
# process; look at {status} {signal} {out} {err} {timed_out}. A program without a slash is
# one of the project's. Options:
#   input     text for its standard input (default: none)
#   stdin, stdout, stderr   a file instead, e.g. '/dev/full'
#   env       { NAME => value, or undef to unset }
#   limit     seconds, default 20; then it is killed and {timed_out} is true
#   notify    0: give it no $NOTIFY_SOCKET
#   setup     code to run in the child just before exec
#   terminal  an IO::Pty to be its terminal (Sole::Terminal)
#   name      for the files of its output; default: the program's
sub run {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    my $process = _spawn({ notify => 0, %$options }, @_);
    $process->finish($options->{limit} // 20);
    return $process;
}

# start([\%options,] PROGRAM, ARGUMENT ...): the same, in the background. With
# stdin => 'pipe' its standard input stays open: say() and close_input().
sub start {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    return _spawn($options, @_);
}

# Starts `sole-owner NAME ARGUMENT ...` and waits until it is ready.
sub start_owner {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    my $process = _spawn($options, 'sole-owner', @_);
    $process->wait_ready;
    return $process;
}

sub _command {
    my ($program, @arguments) = @_;
    return ($program, @arguments) if $program =~ m{/};
    my %wrapped = map { $_ => 1 } split ' ', $ENV{SOLE_WRAPPED} // $program;
    my @wrapper = $wrapped{$program} ? split ' ', $ENV{SOLE_WRAPPER} // '' : ();
    return (@wrapper, program($program), @arguments);
}

sub _spawn {
    my ($options, @command) = @_;
    my $number = ++$started;
    my $name   = $options->{name} // $command[0] =~ s{.*/}{}r;
    @command = _command(@command);
    my $base = sprintf '%s/%02d-%s', $folder, $number, $name;
    my $self = bless {
        name   => $name,
        number => $number,
        notices => [],
        out_file => $options->{stdout} // "$base.out",
        err_file => $options->{stderr} // "$base.err",
    }, 'Sole::Test::Process';

    my $stdin = $options->{stdin} // '/dev/null';
    $stdin = spew("$base.in", $options->{input}) if defined $options->{input};
    my ($stdin_read, $stdin_write);
    if ($stdin eq 'pipe') {
        pipe $stdin_read, $stdin_write or die "pipe: $!\n";
        $stdin_write->autoflush(1);
    } else {
        open $stdin_read, '<', $stdin or die "cannot read $stdin: $!\n";
    }
    open my $out, '>', $self->{out_file} or die "cannot write $self->{out_file}: $!\n";
    open my $err, '>', $self->{err_file} or die "cannot write $self->{err_file}: $!\n";

    my %env = (NOTIFY_SOCKET => undef, %{ $options->{env} // {} });
    if ($options->{notify} // 1) {
        my $at = "$folder/.notify-$number";
        $self->{notify} = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $at)
            or die "cannot listen at $at: $!\n";
        $env{NOTIFY_SOCKET} = $at;
    }

    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        # A group of its own: the whole group can be killed, and a terminal's ^C
        # goes to the test alone, which then ends everything in order.
        setpgid(0, 0) if !$options->{terminal};
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD QUIT USR1 USR2 ALRM);
        for (keys %env) {
            if (defined $env{$_}) { $ENV{$_} = $env{$_} }
            else { delete $ENV{$_} }
        }
        if (my $pty = $options->{terminal}) {
            $pty->make_slave_controlling_terminal;    # in a session of its own
            ($stdin_read, $out, $err) = ($pty->slave) x 3;
        }
        POSIX::dup2(fileno $stdin_read, 0);
        POSIX::dup2(fileno $out, 1);
        POSIX::dup2(fileno $err, 2);
        $options->{setup}->() if $options->{setup};
        { no warnings 'exec'; exec { $command[0] } @command }
        syswrite STDERR, "cannot run $command[0]: $!\n";
        POSIX::_exit(127);
    }
    setpgid($pid, $pid) if !$options->{terminal};    # whichever comes first
    $self->{pid}   = $pid;
    $self->{input} = $stdin_write;
    push @processes, $self;
    return $self;
}

# ---- checks ----

# line_like(TEXT, REGEX, TITLE): TEXT is exactly one line and matches.
sub line_like {
    my ($text, $regex, $title) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $passed = ($text =~ tr/\n//) == 1 && $text =~ /\n\z/ && $text =~ $regex;
    ok($passed, $title) or diag("not one line like $regex:\n$text");
    return $passed;
}

# ---- a process ----

package Sole::Test::Process;

use POSIX qw(WNOHANG);
use Socket qw(MSG_DONTWAIT);
use Test::More;
use Time::HiRes qw(time);

sub pid { return $_[0]{pid} }
sub out { return Sole::Test::slurp($_[0]{out_file}) }
sub err { return Sole::Test::slurp($_[0]{err_file}) }

# Writes to its standard input (stdin => 'pipe').
sub say { print { $_[0]{input} } $_[1] }
sub close_input { close delete $_[0]{input} if $_[0]{input} }

# Sends it a signal: $process->signal('TERM'). Nothing when it is gone.
sub signal {
    my ($self, $signal) = @_;
    return $self->running ? kill $signal => $self->{pid} : 0;
}

# True until it has ended; reaps it then.
sub running {
    my ($self) = @_;
    return 0 if $self->{ended};
    $self->notices;
    my $got = waitpid $self->{pid}, WNOHANG;
    return 1 if $got == 0;
    my $status = $got == $self->{pid} ? $? : -1;
    $self->{ended}  = time;
    $self->{signal} = $status & 127;
    $self->{status} = $self->{signal} ? undef : $status >> 8;
    $self->notices;    # those that it sent last
    return 0;
}

# Waits for its end, `limit` seconds (default 20) at the most, then kills its
# group. Stores out, err, status, signal, timed_out. Returns the exit status,
# undef when a signal ended it.
sub finish {
    my ($self, $limit) = @_;
    Sole::Test::wait_until { !$self->running } $limit // 20;
    if (!$self->{ended}) {
        $self->{timed_out} = 1;
        diag("$self->{name} (pid $self->{pid}) did not end in time: killed");
        kill KILL => -$self->{pid};
        Sole::Test::wait_until { !$self->running } 10;
    }
    $self->{out} = $self->out;
    $self->{err} = $self->err;
    return $self->{status};
}

# Signals it and waits for its end: $process->stop, $process->stop('INT', 5).
sub stop {
    my ($self, $signal, $limit) = @_;
    $self->signal($signal // 'TERM');
    return $self->finish($limit);
}

# What it has told through $NOTIFY_SOCKET so far, one string a line, oldest first.
sub notices {
    my ($self) = @_;
    my $socket = $self->{notify};
    while ($socket && defined $socket->recv(my $datagram, 8192, MSG_DONTWAIT)) {
        push @{ $self->{notices} }, split /\n/, $datagram;
    }
    return @{ $self->{notices} };
}

# Waits until a line of notices matches, at most `limit` seconds (default 20).
# Returns that line, or nothing when it does not come or the process ends.
sub wait_notice {
    my ($self, $regex, $limit) = @_;
    my $found;
    Sole::Test::wait_until {
        ($found) = grep { $_ =~ $regex } $self->notices;
        return defined $found || !$self->running;
    }
    $limit // 20;
    ($found) = grep { $_ =~ $regex } $self->notices;
    return $found;
}

# Waits for READY=1; dies with what the process said when that does not come.
sub wait_ready {
    my ($self, $limit) = @_;
    return 1 if $self->wait_notice(qr/^READY=1$/, $limit);
    my $what = $self->running ? 'is not ready in time' : 'ended before it was ready';
    die "$self->{name} (pid $self->{pid}) $what; it said:\n" . $self->err;
}

# Waits until what it wrote matches; $which is 'out' or 'err'. Returns whether it does.
sub wait_output {
    my ($self, $which, $regex, $limit) = @_;
    my $seen = sub { $self->$which =~ $regex };
    Sole::Test::wait_until { $seen->() || !$self->running } $limit // 20;
    return $seen->();
}

# ---- beginning and end ----

package Sole::Test;

# Orphans come to this process, so that none escapes (prctl PR_SET_CHILD_SUBREAPER).
sub _adopt_orphans {
    my %number = (x86_64 => 157, aarch64 => 167, riscv64 => 167, i686 => 172, armv7l => 172);
    my $call = $number{ (POSIX::uname())[4] } // return;
    syscall $call, 36, 1, 0, 0, 0;
}

sub _kill_everything {
    for my $process (grep { !$_->{ended} } @processes) {
        kill KILL => -$process->{pid};
    }
    # What they started in groups of their own comes up as they go.
    wait_until {
        my @left = descendants();
        kill KILL => grep { $_ != $$ } @left if @left;
        1 while waitpid(-1, WNOHANG) > 0;
        return !@left;
    } 10;
}

BEGIN {
    $bin = abs_path($ENV{SOLE_BIN} || 'bin') // $ENV{SOLE_BIN} // 'bin';
    delete @ENV{qw(SOLE_ENDPOINT XDG_RUNTIME_DIR NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID
        LISTEN_FDS LISTEN_PID LISTEN_FDNAMES JOURNAL_STREAM)};
    $ENV{LC_ALL} = 'C';
    # A sanitizer's finding must not look like a documented exit status.
    $ENV{ASAN_OPTIONS}  //= 'exitcode=99:detect_stack_use_after_return=1';
    $ENV{LSAN_OPTIONS}  //= 'exitcode=99';
    $ENV{UBSAN_OPTIONS} //= 'exitcode=99:print_stacktrace=1';
    # The path of a socket has 107 bytes at the most, so the folder's is short.
    my $parent = $ENV{TMPDIR} // '/tmp';
    $parent = '/tmp' if length $parent > 40 || !-w $parent;
    $folder = tempdir('sole-test-XXXXXX', DIR => $parent, CLEANUP => 0);
    $ENV{SOLE_RUNTIME_DIR} = $folder;
    _adopt_orphans();
    $SIG{$_} = sub { exit 130 }
        for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
}

END {
    if ($$ == $owner_pid) {
        my $status = $?;
        _kill_everything();
        my $builder = Test::More->builder;
        if ($status == 0 && $builder->is_passing) {
            require File::Path;
            File::Path::remove_tree($folder);
        } else {
            diag("what the processes said is in $folder");
        }
        $? = $status;
    }
}

1;
