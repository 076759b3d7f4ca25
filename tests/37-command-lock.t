#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# `sole lock`: one at a time, in order, however the holder ends; and what its command is given.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(WNOHANG);
use Sole::Command;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory');

sub start_sole { return start(ref $_[0] eq 'HASH' ? shift : (), 'sole', '-o', 'inventory', @_) }
sub holder { return { map { /^(\S+)\t(.*)$/ } split /\n/, sole('call', 'holder', $_[0])->{out} } }

# A command that tells its pid and waits until it is killed, or until this file is there.
sub holding {
    my ($name, $lock, %option) = @_;
    my $script = $option{script} // 'exec sleep 1000';
    my $process = start_sole({ name => $name }, 'lock', @{ $option{options} // [] }, $lock, '--', 'sh', '-c',
        "echo \"\$\$ \$SOLE_TOKEN\"; $script");
    return $process if $option{waits};
    $process->wait_output('out', qr/^\d+ \d+\n/) or die "$name does not hold '$lock': " . $process->err;
    @$process{qw(command token)} = $process->out =~ /^(\d+) (\d+)\n/;
    return $process;
}

# ---- the command ----

answers('the command runs', 0, "here\n", undef, 'lock', 'l', '--', 'echo', 'here');
answers('its options are its own', 0, "-v --try -t\n", undef, 'lock', 'l', '--', 'printf', '%s\n', '-v --try -t');
answers('its status', 7, '', undef, 'lock', 'l', '--', 'sh', '-c', 'exit 7');
answers('128 and the signal that ended it', 128 + 9, '', undef, 'lock', 'l', '--', 'sh', '-c', 'kill -KILL $$');
answers('a command that is not found', 127, '', qr/^sole: cannot run 'no-such-command': No such file/, 'lock', 'l', '--',
    'no-such-command');
answers('a command that cannot be run', 126, '', qr/^sole: cannot run '\/etc\/passwd': Permission denied/, 'lock', 'l', '--',
    '/etc/passwd');
my $got = sole({ input => "from outside\n" }, 'lock', 'l', '--', 'cat');
is($got->{out}, "from outside\n", 'standard input is the command\'s');
my $first = sole('lock', 'l', '--', 'printenv', 'SOLE_TOKEN')->{out};
like($first, qr/\A\d+\n\z/, '$SOLE_TOKEN is a number');
cmp_ok(sole('lock', 'l', '--', 'printenv', 'SOLE_TOKEN')->{out}, '>', $first, '... that grows from holder to holder');
is(sole('lock', 'l', '--', 'sh', '-c', "'" . program('sole') . "'" . ' -o inventory txn "check-lock l $SOLE_TOKEN" "put fenced 1"')->{out},
    "check-lock\nput\t0\n", '... and that the owner checks');
chomp $first;
answers('an old token is refused', 1, '', qr/conflict: line 1: the lock is not held with this token/, 'txn', "check-lock l $first", 'put fenced 2');
is(holder('l')->{session}, '', 'the lock is free when the command has ended');

# Descriptors, signals
$got = sole('lock', 'l', '--', $^X, '-e', 'opendir my $d, "/proc/self/fd"; my @f = sort { $a <=> $b } grep { /^\d/ && readlink "/proc/self/fd/$_" } readdir $d; closedir $d; print "@f"');
my $plain = run($^X, '-e', 'opendir my $d, "/proc/self/fd"; my @f = sort { $a <=> $b } grep { /^\d/ && readlink "/proc/self/fd/$_" } readdir $d; closedir $d; print "@f"');
is($got->{out}, $plain->{out}, 'the command has no descriptor that it would not have without sole');
my $signals = ['grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status'];
# 32 and 33 are the C library's own: what it does with them says nothing of `sole lock`.
sub told { return $_[0]{out} =~ s/^(SigIgn:\t)([0-9a-f]{7})([0-9a-f])([0-9a-f]{8})$/$1 . $2 . sprintf('%x', hex($3) & ~1) . sprintf('%08x', hex($4) & ~0x80000000)/mer }
is(told(sole('lock', 'l', '--', @$signals)), told(run('/bin/grep', @$signals[1 .. 3])), '... the same signals blocked and ignored');
my $ignore = sub { $SIG{HUP} = 'IGNORE' };
is(told(sole({ setup => $ignore }, 'lock', 'l', '--', @$signals)), told(run({ setup => $ignore }, '/bin/grep', @$signals[1 .. 3])),
    '... SIGHUP too, where nohup(1) had it ignored');

# ---- one at a time ----

my $holder = holding('first', 'job');
is(holder('job')->{token}, $holder->{token}, 'the owner knows the holder\'s token');
answers('--try does not wait', 1, '', qr/^sole: conflict: the lock 'job' is held$/, 'lock', '--try', 'job', '--', 'echo', 'no');
answers('--try -q', 1, '', undef, 'lock', '-q', '--try', 'job', '--', 'echo', 'no');
answers('--try -E', 42, '', qr/is held/, 'lock', '--try', '-E', '42', 'job', '--', 'echo', 'no');
answers('-t limits the wait', 1, '', qr/^sole: conflict: the lock 'job' was not free within \d+m?s$/, 'lock', '-t', seconds(100) . 'ms',
    'job', '--', 'echo', 'no');
is(holder('job')->{waiting}, 0, '... and then nobody waits');
answers('another lock is another', 0, "yes\n", undef, 'lock', '--try', 'other', '--', 'echo', 'yes');
my @line;
for my $number (1 .. 3) {
    push @line, holding("waiter$number", 'job', waits => 1, script => 'exec cat /dev/null');
    ok(wait_until { holder('job')->{waiting} == $number }, "$number in line");
}
$line[1]->signal('TERM');
$line[1]->finish;
is($line[1]{signal}, 15, 'SIGTERM ends one who waits');
ok(wait_until { holder('job')->{waiting} == 2 }, '... who leaves the line');
kill KILL => $holder->{command};
is($holder->finish, 128 + 9, 'the holder\'s command is killed: that is its status');
is($_->finish, 0, 'the next in line had it') for $line[0], $line[2];
my ($token1) = $line[0]->out =~ / (\d+)/;
my ($token3) = $line[2]->out =~ / (\d+)/;
cmp_ok($holder->{token}, '<', $token1, '... with a higher token');
cmp_ok($token1, '<', $token3, '... in the order of asking');

# ---- however the holder ends ----

$holder = holding('victim', 'job');
my $next = holding('heir', 'job', waits => 1);
wait_until { holder('job')->{waiting} == 1 };
$holder->signal('KILL');
ok($next->wait_output('out', qr/^\d+ \d+\n/), 'kill -9 of the holder: the next in line holds it');
ok(wait_until { !alive($holder->{command}) }, '... and its command is killed with it');
$next->stop('KILL');

for my $signal (qw(TERM INT HUP QUIT USR1 USR2)) {
    $holder = holding("passes-$signal", 'job', script => "trap 'echo got $signal; exit 3' $signal; echo ready; while :; do sleep 0.01; done");
    $holder->wait_output('out', qr/ready/);
    $holder->signal($signal);
    is($holder->finish, 3, "SIG$signal is passed on, and its command's status comes back");
    like($holder->out, qr/got $signal/, '... which saw the signal');
}
# A command that hears both handles the SIGHUP first.
$holder = start_sole({ setup => $ignore }, 'lock', 'job', '--', $^X, '-e',
    '$| = 1; $SIG{HUP} = sub { exit 5 }; $SIG{USR1} = sub { exit 6 }; print "begun"; sleep 1000');
$holder->wait_output('out', qr/begun/);
$holder->signal($_) for qw(HUP USR1);
is($holder->finish, 6, 'a SIGHUP that came ignored is not passed on');

# ---- when the owner dies ----

my $lost = holding('loses', 'job');
my $stays = holding('survives', 'job2', script => 'trap "exit 0" TERM; while :; do sleep 0.01; done');
my $waits = holding('waits', 'job', waits => 1, script => 'exec cat /dev/null');
wait_until { holder('job')->{waiting} == 1 };
$owner->stop('KILL');
$owner = start_owner('inventory');
is($lost->finish, 128 + 15, 'the owner is killed: the lock is lost, and the command gets SIGTERM');
line_like($lost->err, qr/^sole: the lock 'job' is lost: .* SIGTERM$/, '... and one line says so');
is($stays->finish, 3, 'a command that then ends with status 0: status 3');
is($waits->finish, 0, 'one who waited stands in the new owner\'s line');
cmp_ok(($waits->out =~ / (\d+)/)[0], '>', $lost->{token}, '... and its token is higher than any of the old one\'s');

# ---- what is wrong ----

for (
    [['lock'], qr/missing.*usage: sole lock NAME -- COMMAND/, 'lock alone'],
    [['lock', 'l'], qr/write the lock's name, --, and the command: usage/, 'no command'],
    [['lock', 'l', '--'], qr/write the lock's name, --, and the command/, 'nothing behind --'],
    [['lock', '--', 'l', 'true'], qr/write the lock's name, --, and the command/, '-- before the name'],
    [['lock', 'l', 'true'], qr/write the lock's name, --, and the command/, 'no --'],
    [['lock', 'a', 'b', '--', 'true'], qr/write the lock's name, --, and the command/, 'two names'],
    [['lock', 'l', '-E', '256', '--', 'true'], qr/conflict-status: '256' is out of range/, 'a status of nine bits'],
) {
    my ($arguments, $says, $title) = @$_;
    answers($title, 64, '', $says, @$arguments);
}
answers('a name that is empty', 2, '', qr/^sole: refused: invalid: a lock's name has 1 to 512 bytes/, 'lock', '', '--', 'true');
answers('a name that is too long', 2, '', qr/^sole: refused: invalid: a lock's name/, 'lock', 'l' x 513, '--', 'true');
$got = run('sole', '-o', 'nobody', '-t', '100ms', 'lock', 'l', '--', 'echo', 'no');
is($got->{status}, 69, 'no owner: status 69');
is($got->{out}, '', '... and the command does not run');

done_testing;
