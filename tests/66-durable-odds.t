#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A durable owner in odd circumstances: what happened between rounds, limits that were lowered, an owner
# that slept, a clock that ran ahead, a behaviour that breaks its contract.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(sleep);

use constant { PUSH => 1, TAKE => 2 };

sub sole { return run('sole', '-o', @_) }

# Kills it and waits for its end, so that the next finds no lock.
sub killed { $_[0]->signal('KILL'); $_[0]->finish }

# A process of its own that opens a session of a queue, takes a job and lives on. Forked before this process
# speaks ZeroMQ. It tells "taken" on its pipe.
sub taker {
    my ($queue) = @_;
    pipe my $told, my $tell or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        my $socket = dealer(endpoint($queue));
        my $session = open_session($socket);
        my $reply = ask($socket, item(RUN, op(TAKE, \600_000), session => $session, sequence => 1));
        syswrite $tell, "taken\n";
        sleep 1000 while 1;
    }
    close $tell;
    return ($pid, $told);
}

subtest 'who dies with a job hands it on at the time that it is, and replay comes to the same time' => sub {
    my @owner = ({ name => 'queue' }, '--state', path('queue.state'), '--behaviour', program('queue.so'), 'queue');
    my $owner = start_owner(@owner);
    is(sole('queue', 'call', 'push', 'job', '5')->{status}, 0, 'a job is there');
    my ($pid, $told) = taker('queue');
    is(readline $told, "taken\n", 'and taken, by a process');
    my $next = start({ name => 'next', notify => 0 }, 'sole', '-t', '60s', '-o', 'queue', 'call', 'take', '800');
    ok(wait_until { sole('queue', 'call', 'count')->{out} =~ /^\D*0\D+1\D+0\D+1\b/s }, 'another one waits for it');
    sleep 1;    # the clock of the last round is an old one by now
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($next->finish, 0, 'the process dies, and the next one has the job');
    like($next->out, qr/job/, 'as it was');
    killed($owner);
    $owner = start_owner(@owner);
    ok($owner, 'the next owner takes the state up');
    is($owner->stop, 0, 'and ends');
};

subtest 'an owner that was held up hears what came meanwhile before it calls anybody silent' => sub {
    my $owner = start_owner({ name => 'held' }, '--state', path('held.state'), '--round-messages', '1', 'held');
    my @sockets  = map { dealer(endpoint('held')) } 1 .. 6;
    my @sessions = map { open_session($_, 1000) } @sockets;
    $owner->signal('STOP');
    sleep 1.5;
    send_body($sockets[$_], message(item(PING, list(), session => $sessions[$_]))) for 0 .. $#sockets;
    sleep 0.2;
    $owner->signal('CONT');
    is(receive_message($sockets[$_])->{items}[0]{code}, 0, "session $_ goes on") for 0 .. $#sockets;
    ok(wait_until { status($sockets[0])->{sessions} == 0 }, 'and ends when really nothing is heard');
    $owner->stop;
};

subtest 'a state larger than limits that were lowered comes back and goes on: what is given back can be taken' => sub {
    my @owner = ({ name => 'full' }, '--state', path('full.state'));
    my $owner = start_owner(@owner, 'full');
    is(sole('full', 'put', "key$_", "value$_")->{status}, 0, "entry $_") for 1 .. 5;
    my @lock = map {
        my $lock = start({ name => "lock$_", notify => 0 }, 'sole', '-t', '60s', '-o', 'full', 'lock', 'lock', '--', 'sh', '-c',
            'echo has it; exec sleep 1000');
        wait_until { sole('full', 'status')->{out} =~ /sessions:\s+$_\b/ };
        $lock;
    } 1, 2;
    ok($lock[0]->wait_output(out => qr/has it/), 'a lock is held, and waited for');
    killed($owner);
    $owner = start_owner(@owner, '--max-entries', '2', '--max-state', '65536', 'full');
    is(sole('full', 'get', 'key5')->{out}, "value5\n", 'all of it is there');
    is(sole('full', 'put', 'key6', '6')->{status}, 2, 'it does not grow');
    is(sole('full', 'put', 'key5', 'other5')->{status}, 0, 'what is there can change');
    is(sole('full', 'txn', 'delete key1', 'put kez1 value1')->{status}, 0, 'and be replaced');
    killed($lock[0]);
    ok($lock[1]->wait_output(out => qr/has it/), 'the lock goes to who waits for it');
    killed($owner);
    $owner = start_owner(@owner, '--max-entries', '1', '--max-sessions', '1', '--max-session-replies', '4096', 'full');
    is(sole('full', 'get', 'kez1')->{out}, "value1\n", 'replay does not ask for limits');
    is(sole('full', 'call', 'holder', 'lock')->{status}, 0, 'nor do sessions that are open');
    killed($lock[1]);
    wait_until { sole('full', 'call', 'holder', 'lock')->{out} !~ m{\d{3}} };
    is($owner->stop, 0, 'and it ends');
};

subtest 'an owner that is started in the moment in which the one before is killed waits for its end' => sub {
    my @owner = ('--state', path('again.state'), 'again');
    my $owner = start_owner({ name => 'again0' }, @owner);
    my $sum = 0;
    for my $n (1 .. 20) {
        $sum += sole('again', 'add', 'sum', '1')->{status} == 0;
        $owner->signal('KILL');
        my $next = start_owner({ name => "again$n" }, @owner);
        $owner->finish;
        $owner = $next;
    }
    is($sum, 20, 'twenty times');
    is(sole('again', 'get', 'sum')->{out}, "20\n", 'and nothing is lost');
    my $second = run('sole-owner', @owner);
    line_like($second->{err}, qr/process @{[ $owner->pid ]}/, 'nobody who lives is waited for');
    is($owner->stop, 0, 'it ends');
};

subtest 'what a behaviour does otherwise in replay keeps the next owner from starting, in words for its author' => sub {
    for my $operation (qw(stamp next tell moody)) {
        my $state = path("$operation.state");
        my @options = ('--state', $state, '--behaviour', program('tests/unsound.so'), $operation);
        my $owner = start_owner({ name => $operation }, @options);
        is(sole($operation, 'call', 'set', 'k', '1')->{status}, 0, 'a sound one');
        is(sole($operation, 'call', $operation, 'k')->{status}, 0, "$operation runs");
        killed($owner);
        local $ENV{SOLE_UNSOUND} = 1;
        my $next = run('sole-owner', @options);
        is($next->{status}, 65, 'and is not replayed as something else');
        line_like($next->{err}, qr/revision 5 .*\b$operation\b.*sole-check/, 'which is told with its name');
    }
};

subtest 'an operation that crashes its owner is named, and leaves no trace' => sub {
    my $state = path('crash.state');
    my @options = ('--state', $state, '--behaviour', program('tests/unsound.so'), 'crash');
    my $owner = start_owner({ name => 'crash' }, @options);
    is(sole('crash', 'call', 'set', 'k', '1')->{status}, 0, 'a sound one');
    isnt(sole('crash', '-t', '300ms', 'call', 'crash', 'k')->{status}, 0, 'one that crashes');
    $owner->finish;
    is($owner->{signal}, 6, 'ends the owner, by the signal');
    like($owner->err, qr/^sole-owner: SIGABRT in crash of unsound, asked for by process \d+ of user \d+, session \d+, sequence 1:.*not in the journal.*refused when it is asked for again$/m,
        'its log tells where');
    my $log = run('sole-owner', '--log', $state, '--behaviour', program('tests/unsound.so'))->{out};
    like($log, qr/ set "k" 1 -> ok/, 'what was before is in the journal');
    unlike($log, qr/ crash /, 'and it is not');
    is(start_owner({ name => 'after' }, @options)->stop, 0, 'the next owner starts');
};

subtest 'a state whose time is ahead of the clock says so, and stands' => sub {
    my $owner = start_owner({ name => 'clock' }, '--state', path('clock.state'), 'clock');
    like($owner->err, qr/clock\.state: nothing was there: a new state, history [0-9a-f]{16}$/m, 'a new one is told as such');
    is(sole('clock', 'put', 'k', '1')->{status}, 0, 'it holds something');
    is($owner->stop, 0, 'and ends');
    my $text = run('sole-owner', '--export', path('clock.state'))->{out};
    $text =~ s/^time \d{4}/time 2190/m or die 'no time';
    spew('ahead', $text);
    is(run('sole-owner', '--import', path('ahead'), path('ahead.state'))->{status}, 0, 'the same of a later time');
    $owner = start_owner({ name => 'ahead' }, '--state', path('ahead.state'), 'clock');
    like($owner->err, qr/ahead\.state: the clock of this machine is \d{10} s behind/, 'is told');
    is(sole('clock', 'get', 'k')->{out}, "1\n", 'and served');
    is($owner->stop, 0, 'and ends');
};

subtest 'a disk that is slow is no owner that hangs: the watchdog hears of it' => sub {
    my ($strace) = grep { -x } map { "$_/strace" } split /:/, $ENV{PATH};
    plan skip_all => 'strace is not there' if !defined $strace;
    my $owner = program('sole-owner') =~ s/ /\\ /gr;
    spew('slow.zpl', <<"END");
child = slow
    command = $strace -D -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=2800000 $owner -q --state @{[ path('slow.state') ]} slow
    ready = notify
    watchdog = 4s
    start-timeout = 60s
END
    my $supervisor = start({ name => 'supervisor' }, 'sole-supervisor', path('slow.zpl'));
    $supervisor->wait_output(err => qr/children are ready|giving up/);
    # Who dies while a round is being synced has the next sync begin behind it, before the clock is looked at.
    my $holder = start({ name => 'holder', notify => 0 }, 'sole', '-t', '60s', '-o', 'slow', 'lock', 'lock', '--', 'sh', '-c',
        'echo has it; exec sleep 1000');
    ok($holder->wait_output(out => qr/has it/), 'a lock is held');
    my @writers = map { start({ name => "writer$_", notify => 0 }, 'sole', '-t', '60s', '-o', 'slow', 'add', 'sum', '1') } 1 .. 2;
    sleep 0.5;
    killed($holder);
    is($_->finish(60), 0, "$_->{name} has its answer") for @writers;
    is(sole('slow', '-t', '40s', 'lock', 'lock', '--', 'true')->{status}, 0, 'and the lock is free');
    unlike($supervisor->err, qr/no watchdog beat/, 'and nobody was aborted');
    like($supervisor->err, qr/the disk took 2\.\d+ s to sync/, 'though the disk was slow');
    is(sole('slow', '-t', '20s', 'get', 'sum')->{out}, "2\n", 'nothing is lost');
    $supervisor->stop('TERM', 60);
};

done_testing;
