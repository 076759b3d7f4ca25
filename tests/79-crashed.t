#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A request that crashes the owner whenever it is run, from a client that asks again and again, under a supervisor:
# it crashes one owner and is refused by the next, in words; the state goes on, and so do the others.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Supervised;
use Sole::Test;
use Sole::Wire;
use Test::More;

my ($CRASH, $FALL, $SET, $CRASHED) = (6, 7, 1, 21);
my $state = path('state');
my $unsound = program('tests/unsound.so');

sub call { return run({ limit => 40 }, 'sole', '-o', 'poisoned', '-t', '30s', 'call', @_) }
sub told { my ($s, $regex) = @_; my $text = $s->err; my @lines = $text =~ /$regex/mg; return scalar @lines }
sub deaths { return told($_[0], qr/^sole-supervisor: poisoned: pid \d+: killed by SIGABRT/m) }

my $s = supervised('keeper', "intensity = 8\nperiod = 1h\nbackoff = 20ms\n",
    "child = poisoned\n    command = " . word(program('sole-owner')) . " --state $state --behaviour " . word($unsound) . " -q poisoned\n    ready = notify\n");
wait_up($s);

subtest 'a command that crashes the owner is told so by the next one' => sub {
    is(call('set', 'k', 1)->{status}, 0, 'a sound one');
    my @others = map { start({ name => 'other', notify => 0 }, 'sole', '-o', 'poisoned', '-t', '30s', 'call', 'set', "other$_", $_) } 1 .. 5;
    my $asked = call('crash', 'k');
    isnt($asked->{status}, 0, 'one that crashes is not done');
    line_like($asked->{err}, qr/it crashed the owner: what it did was undone, and it is not run again/, 'and its client is told why, in a line');
    is(deaths($s), 1, 'one owner crashed');
    is($_->finish(40), 0, 'another client goes on') for @others;
    is(call('set', 'k', 2)->{status}, 0, 'and later ones are served');
    is(told($s, qr/SIGABRT in crash of unsound.*it is refused when it is asked for again$/m), 1, 'the crash is told');
    is(told($s, qr/request 1 of session \d+ crashed the owner: it is refused/m), 1, 'and by the next owner, that it will not run it');
    is(counters(dealer(endpoint('poisoned')))->{requests_crashed}, 1, 'and it is counted');
};

subtest 'so is a query, to the process that asks' => sub {
    my $asked = call('fall', 'k');
    line_like($asked->{err}, qr/it crashed the owner/, 'it is refused');
    is(deaths($s), 2, 'after one more owner');
    line_like(call('fall', 'k')->{err}, qr/it crashed the owner/, 'another process hears it too');
    is(deaths($s), 3, 'and has crashed one of its own');
};

my ($raw, $session, @items);
subtest 'what was sent behind it runs, and runs once' => sub {
    $raw = dealer(endpoint('poisoned'));
    $session = open_session($raw, 600_000);
    @items = map { my ($n, $op) = @$_; item(RUN, $op, session => $session, sequence => $n, window => $n - 1) }
        [1, op($SET, 'a', \1)], [2, op($CRASH, 'a')], [3, op($SET, 'b', \3)];
    send_body($raw, message(@items));
    ok(wait_until { deaths($s) == 4 }, 'the owner crashes in the middle of a message');
    # Nobody was answered; the client comes again, with all of it.
    $raw = dealer(endpoint('poisoned'));
    my @answers = ask($raw, @items);
    is(join(' ', map { "$_->{sequence}:$_->{code}" } @answers), "1:0 2:$CRASHED 3:0", 'the next owner runs what is sound, in order');
    is(deaths($s), 4, 'and does not crash');
    @answers = ask($raw, @items);
    is(join(' ', map { "$_->{sequence}:$_->{code}" } @answers), "1:0 2:$CRASHED 3:0", 'asked again, it says the same again');
};

subtest 'that stands: the refusal is in the journal' => sub {
    my ($pid) = status_of('keeper', 'poisoned');
    kill KILL => $pid;
    ok(wait_until { my ($now, $is) = status_of('keeper', 'poisoned'); ($is // '') eq 'ready' && $now != $pid }, 'the owner is killed');
    $raw = dealer(endpoint('poisoned'));
    my @answers = ask($raw, @items);
    is(join(' ', map { "$_->{sequence}:$_->{code}" } @answers), "1:0 2:$CRASHED 3:0", 'the next owner repeats the answers');
    my $log = run('sole-owner', '--log', $state, '-b', $unsound)->{out};
    like($log, qr/ refused session=$session sequence=2 .*-> crashed/, 'and the log has it');
    is(slurp("$state/crashed"), '', 'what has been answered is no longer noted');
};

is(stop_well($s), 0, 'the owner ends well');
is((() = $s->{err} =~ /killed by SIGABRT/g), 4, '... after four crashes, one for each who asked');
is(run('sole-owner', '--verify', $state)->{status}, 0, 'the folder is sound');
my $replayed = run('sole-owner', '--replay', $state, '-b', $unsound);
is($replayed->{status}, 0, 'and a replay agrees') or diag($replayed->{err});

subtest 'notes that are none do no harm' => sub {
    my @options = ('--state', $state, '--behaviour', $unsound, '-q', 'poisoned');
    spew("$state/crashed", "nonsense\n1 2 3\n" . '9' x 500 . "\n$$ 1 0 0\n0 0 $$ 77\n1 1");
    my $owner = start_owner({ name => 'nonsense' }, @options);
    is(call('set', 'k', 3)->{status}, 0, 'an owner that finds them serves');
    is(slurp("$state/crashed"), "0 0 $$ 77\n", '... and keeps the one that may matter');
    is($owner->stop, 0, '... and ends well');
    ok(!-e "$state/crashed", '... after which what is no command is tried again');
    mkdir "$state/crashed" or die "mkdir: $!";
    $owner = start_owner({ name => 'folder' }, @options);
    is(call('set', 'k', 4)->{status}, 0, 'and so does one that cannot read them');
    is($owner->stop, 0, '... and ends well');
    like($owner->{err}, qr/the file crashed of the state cannot be read/, '... and says so');
    rmdir "$state/crashed";
};

subtest 'without a state on disk there is nothing to go back to' => sub {
    my $owner = start_owner({ name => 'memory' }, '--behaviour', $unsound, '-q', 'forgetful');
    my $asked = run('sole', '-o', 'forgetful', '-t', '500ms', 'call', 'crash', 'k');
    $owner->finish;
    is($owner->{signal}, 6, 'the owner crashes');
    like($owner->{err}, qr/the state ends with the owner$/m, 'and says what that means');
    isnt($asked->{status}, 0, 'the client is not told that it was done');
};

done_testing;
