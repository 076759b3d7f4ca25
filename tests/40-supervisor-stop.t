# SPDX-License-Identifier: MIT
#
# How the supervisor stops: in reverse order, with limits, whole groups, whatever
# left them, hurried by further signals; and what happens when it is killed.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Supervised;
use Sole::Test;
use Test::More;
use Time::HiRes qw(time);

# reverse order
for my $signal (qw(TERM INT)) {
    my $s = supervised("reverse-$signal",
        child('first', "on-term FILE:$signal ready", ready => 'notify'),
        child('second', "on-term FILE:$signal ready", ready => 'notify', instances => 2),
        child('third', "on-term FILE:$signal ready", ready => 'notify'));
    wait_up($s);
    is($s->stop($signal), 0, "SIG$signal: status 0");
    is(join(' ', map { $_->[0] =~ s/\..*//r } marks($signal)), 'third second second first', '... children stop in reverse order');
    ok((grep { $_ eq 'STOPPING=1' } $s->notices), '... and the supervisor\'s supervisor is told') if $signal eq 'TERM';
}

# each waits for those after it
{
    my $s = supervised('wait', child('base', 'on-term FILE:base ready', ready => 'notify'),
        child('slow', 'slow-term 0.5 ready', ready => 'notify'));
    wait_up($s);
    my $begin = time;
    $s->signal('TERM');
    is((status_of('wait', 'base'))[1], 'leaving', 'the first child waits for its turn');
    is((status_of('wait', 'slow'))[1], 'stopping', '... while the one after it stops');
    is(join(' ', ask('wait', 'restart base')), 'error 75 the supervisor is stopping', 'while it stops, the supervisor still answers');
    is($s->finish, 0, '');
    cmp_ok(time - $begin, '>=', 0.5, 'a child has the time that it needs, within its limit');
}

# SIGKILL after the limit
{
    my $s = supervised('limit', child('stubborn', 'ignore TERM ready', ready => 'notify', 'stop-timeout' => '300ms'),
        child('stopped', 'ready', ready => 'notify'), child('now', 'ignore TERM mark FILE:now ready', ready => 'notify', 'stop-timeout' => '0'));
    wait_up($s);
    kill STOP => (status_of('limit', 'stopped'))[0];
    my $begin = time;
    is(stop_well($s), 0, 'a child that ignores SIGTERM does not change the exit status');
    cmp_ok(time - $begin, '<', seconds(4), '... it is killed after its own limit');
    like($s->{err}, qr/stubborn: pid \d+: not gone after (?:[3-9]\d\dms|\d+(?:\.\d+)?s): killing it/, '... which is told');
    like($s->{err}, qr/stopped: pid \d+: killed by SIGTERM/, 'one that was halted by SIGSTOP hears SIGTERM');
    like($s->{err}, qr/now: pid \d+: killed by SIGKILL/, 'stop-timeout = 0 kills at once');
}

# groups, sessions, daemons
{
    my $s = supervised('groups', "intensity = 100\n",
        child('group', 'helper FILE:helper daemon FILE:daemon daemon FILE:stubborn mark FILE:main ready', ready => 'notify', 'stop-timeout' => '400ms'));
    wait_up($s);
    my ($helper, $daemon, $stubborn) = map { slurp(path($_)) + 0 } qw(helper daemon stubborn);
    is(scalar(grep { alive($_) } $helper, $daemon, $stubborn), 3, 'a child has a helper in its group and two daemons outside');
    kill KILL => (marks('main'))[0][1];
    wait_marks('main', 2);
    is(scalar(grep { alive($_) } $helper, $daemon, $stubborn), 0, 'before a killed child is started again, all that it left is gone');
    my @second = map { (split /\n/, slurp(path($_)))[-1] } qw(helper daemon stubborn);
    wait_until { (status_of('groups', 'group'))[1] eq 'ready' };
    is(stop_well($s), 0, '');
    is(scalar(grep { alive($_) } @second), 0, '... and so at the end');
    is(scalar(grep { /^Z/ } map { slurp("/proc/$_/stat") =~ /\) (.)/ ? $1 : () } @second), 0, '... without a zombie');
}
{
    my $s = supervised('unknown', child('a', 'anonymous FILE:anonymous mark FILE:unknown ready', ready => 'notify'));
    wait_up($s);
    my $pid = slurp(path('anonymous')) + 0;
    wait_until { slurp("/proc/$pid/comm") =~ /sleep/ };
    is(stop_well($s), 0, '');
    ok(!alive($pid), 'a daemon that cannot be told to be a child\'s is killed at the end');
    like($s->{err}, qr/1 processes that children left behind are killed/, '... which is told');
}
{
    # The main process ends first; what is left of its group has its time.
    my $file = path('inner');
    my $script = spew('inner.sh', "trap 'exit 0' TERM\n(trap 'sleep 0.3; echo done > $file; exit' TERM; echo up > $file; while :; do sleep 0.05; done) &\nwait\n");
    my $s = supervised('wrapper', "child = wrapped\n    command = sh $script\n    stop-timeout = 10s\n");
    wait_until { slurp($file) =~ /up/ };
    is(stop_well($s), 0, '');
    is(slurp($file), "done\n", 'what a wrapper runs is given its time after the wrapper has ended');
}

# hurry
{
    my $s = supervised('hurry', map { child($_, 'ignore TERM ready', ready => 'notify', 'stop-timeout' => '1h') } qw(a b));
    wait_up($s);
    my $begin = time;
    $s->signal('TERM');
    $s->wait_output('err', qr/told to stop:/);
    $s->signal('TERM');
    is($s->finish, 0, 'a second signal shortens the limits to a second');
    cmp_ok(time - $begin, '<', seconds(10), '... of those too whose turn comes later');
    like($s->{err}, qr/told to stop again: children have one second each/, '... and says so');
}
{
    my $s = supervised('hurry3', child('a', 'ignore TERM ready', ready => 'notify', 'stop-timeout' => '1h'), child('b', 'ignore TERM ready', ready => 'notify', 'stop-timeout' => '1h'));
    wait_up($s);
    $s->signal('TERM');
    $s->wait_output('err', qr/told to stop:/);
    $s->signal('INT');
    $s->wait_output('err', qr/told to stop again/);
    $s->signal('TERM');
    is($s->finish, 0, 'a third kills');
    like($s->{err}, qr/told to stop once more: killing what is left/, '... and says so');
}

# while starting, while waiting for a restart
{
    my $s = supervised('early', child('never', 'mark FILE:early', ready => 'notify', 'start-timeout' => '0'), child('next', 'mark FILE:next'));
    wait_marks('early', 1);
    is(stop_well($s), 0, 'SIGTERM while children start: status 0');
    is(scalar(marks('next')), 0, '... and nothing more is started');
}
{
    my $s = supervised('delayed', "backoff = 1h\nbackoff-max = 1h\n", child('bad', 'exit 1'));
    $s->wait_output('err', qr/restarting it in/);
    is(stop_well($s), 0, 'SIGTERM during a back-off: status 0, at once');
}

# the supervisor is killed
{
    my $s = supervised('killed', child('orphan', 'on-term FILE:orphan ready', ready => 'notify', instances => 3));
    wait_up($s);
    $s->stop('KILL');
    is(scalar(wait_marks('orphan', 3)), 3, 'when the supervisor is killed, its children get SIGTERM');
    ok(-S path('killed.supervisor'), '... the socket file is left');
    my $again = supervised('killed', child('x', 'ready', ready => 'notify'));
    ok(wait_up($again), '... and the next supervisor of that name starts all the same');
    is(stop_well($again), 0, '');
}

# a nested supervisor
{
    my $inner = write_file('inner2', child('deep', 'daemon FILE:deep mark FILE:deepmain ready', ready => 'notify'));
    my $s = supervised('outer', "child = inner\n    command = sole-supervisor $inner\n    ready = notify\n");
    ok(wait_up($s), 'a supervisor can be a child');
    my @pids = ((marks('deepmain'))[0][1], slurp(path('deep')) + 0);
    is((marks('deepmain'))[0][0], 'inner/deep', '... its children know the whole path of their name');
    is(stop_well($s), 0, '');
    is(scalar(grep { alive($_) } @pids), 0, '... and everything stops');
}

done_testing();
