# SPDX-License-Identifier: MIT
#
# Restarts: the three kinds, the three strategies, intensity, back-off, start
# time-outs, watchdogs, significant children; and that hundreds leave no trace.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Socket::UNIX;
use Sole::Supervised;
use Sole::Test;
use Test::More;

# the kinds
{
    my $s = supervised('kinds', "intensity = 50\n",
        child('permanent', 'mark FILE:permanent once FILE:p1 exit 0', restart => 'permanent'),
        child('transient', 'mark FILE:transient once FILE:t1 exit 3', restart => 'transient'),
        child('finished', 'mark FILE:finished exit 0', restart => 'transient'),
        child('temporary', 'mark FILE:temporary exit 3', restart => 'temporary'),
        child('killed', 'mark FILE:killed once FILE:k1 kill SEGV', restart => 'transient'));
    is(scalar(wait_marks('permanent', 2)), 2, 'permanent: comes back after status 0');
    is(scalar(wait_marks('transient', 2)), 2, 'transient: comes back after another status');
    is(scalar(wait_marks('killed', 2)), 2, '... and after a signal');
    ok(wait_up($s), 'all settle');
    is((status_of('kinds', 'finished'))[1], 'ended', 'transient: status 0 is the end');
    is((status_of('kinds', 'temporary'))[1], 'ended', 'temporary: any end is the end');
    is(scalar(marks('finished')) . scalar(marks('temporary')), '11', '... they were started once');
    is((status_of('kinds', 'permanent'))[3], 1, 'the table counts restarts');
    is(stop_well($s), 0, '');
    like($s->{err}, qr/^sole-supervisor: transient: pid \d+: exited with status 3 after \S+; \d+ restarts left; restarting it in \S+$/m,
        'a death is one line: name, pid, cause, age, restarts left, what is next');
    like($s->{err}, qr/^sole-supervisor: killed: pid \d+: killed by SIGSEGV/m, '... with the name of the signal');
    like($s->{err}, qr/^sole-supervisor: temporary: pid \d+: exited with status 3 .*; it is not restarted$/m, '... and what is not restarted');
}

# strategies
for my $case (['one_for_one', 'b'], ['one_for_all', 'a b c.1 c.2'], ['rest_for_one', 'b c.1 c.2']) {
    my ($strategy, $expected) = @$case;
    my $s = supervised($strategy, "strategy = $strategy\n",
        child('a', "mark FILE:$strategy on-term FILE:$strategy-term ready", ready => 'notify'),
        child('b', "mark FILE:$strategy on-term FILE:$strategy-term ready", ready => 'notify'),
        child('c', "mark FILE:$strategy on-term FILE:$strategy-term ready", ready => 'notify', instances => 2),
        child('temp', "mark FILE:$strategy.temp on-term FILE:$strategy-term ready", ready => 'notify', restart => 'temporary'));
    wait_up($s);
    my %first = map { @$_ } marks($strategy);
    kill KILL => $first{b};
    my @expected = split ' ', $expected;
    wait_marks($strategy, 4 + @expected);
    my @again = map { $_->[0] } splice @{ [marks($strategy)] }, 4;
    is(join(' ', sort @again), $expected, "$strategy restarts the children it should");
    is(join(' ', map { s/\..*//r } @again), join(' ', map { s/\..*//r } @expected), '... in their order');
    my @stopped = map { $_->[0] =~ s/\..*//r } marks("$strategy-term");
    is(join(' ', @stopped), { one_for_one => '', one_for_all => 'temp c c a', rest_for_one => 'temp c c' }->{$strategy},
        '... after having stopped the others in reverse order');
    is(scalar(marks("$strategy.temp")), 1, '... and a temporary one does not come back');
    wait_until { (status_of($strategy, 'c.2'))[1] eq 'ready' };
    is(stop_well($s), 0, '');
}

# intensity
{
    my $s = supervised('intensity', "intensity = 3\nperiod = 30s\nbackoff = 1ms\n",
        child('good', 'on-term FILE:good ready', ready => 'notify'),
        child('bad', 'mark FILE:bad exit 1'));
    is($s->finish, 70, 'more restarts than the intensity allows: the supervisor ends with EX_SOFTWARE');
    is(scalar(marks('bad')), 4, '... after exactly so many restarts');
    is(scalar(marks('good')), 1, '... having stopped the others in good order');
    like($s->{err}, qr/giving up: more than 3 restarts in 30\.0s/, '... saying so');
}
{
    my $s = supervised('slide', "intensity = 2\nperiod = 1ms\nbackoff = 5ms\nbackoff-max = 10ms\n", child('bad', 'mark FILE:slide exit 1'));
    is(scalar(wait_marks('slide', 12)) >= 12, 1, 'restarts that are further apart than the period go on');
    is(stop_well($s), 0, '');
}
{
    my $s = supervised('gone', "intensity = 0\n", child('bad', 'mark FILE:none exit 1'));
    is($s->finish, 70, 'intensity 0 allows no restart');
    is(scalar(marks('none')), 1, '... not one');
}

# back-off
{
    my $s = supervised('backoff', "intensity = 100\nbackoff = 40ms\nbackoff-max = 160ms\nstable = 1h\n", child('bad', 'exit 1'));
    $s->wait_output('err', qr/(restarting it in .*\n.*){7}/);
    my @delays = map { my ($n, $unit) = /([\d.]+)(m?s)/; $unit eq 'ms' ? $n : 1000 * $n } $s->err =~ /restarting it in ([\d.]+m?s)/g;
    my @most = (40, 80, 160, 160, 160);
    my $good = 1;
    for my $i (0 .. $#most) { $good = 0 if $delays[$i] > $most[$i] + 1 || $delays[$i] < $most[$i] / 2 - 1 }
    ok($good, 'delays double up to backoff-max, less a jitter of at most a half') or diag("@delays");
    is(stop_well($s), 0, '');
}

# a program that is not there any more
{
    my $program = spew('vanishes', "#!/bin/sh\nwhile [ -e \$0 ]; do sleep 0.01; done\n");
    chmod 0755, $program;
    my $s = supervised('vanish', "intensity = 2\n", "child = v\n    command = $program\n", child('x', 'ready', ready => 'notify'));
    wait_up($s);
    unlink $program;
    is($s->finish, 70, 'a program that has vanished counts as a failure of its child');
    like($s->{err}, qr/v: pid \d+: could not be run: running the program: \S+vanishes: No such file or directory/, '... and the death says what could not be run');
}

# start time-out, watchdog
{
    my $s = supervised('late', "intensity = 100\n", child('late', 'mark FILE:late once FILE:l1 pause 1000 ready', ready => 'notify', 'start-timeout' => '300ms'));
    ok(wait_up($s), 'a child that is not ready in time is stopped and started again');
    is(stop_well($s), 0, '');
    like($s->{err}, qr/late: pid \d+: not ready after \d+ms: stopping it/, '... which is told');
    like($s->{err}, qr/late: pid \d+: killed by SIGTERM \(not ready in time\)/, '... and is the cause of its death');
}
{
    my $s = supervised('watchdog', "intensity = 100\n",
        child('beats', 'ready beat 0.1 8 mark FILE:beaten', ready => 'notify', watchdog => '3s'),
        child('silent', 'mark FILE:silent once FILE:s1 ready', ready => 'notify', watchdog => '400ms', 'start-timeout' => 0));
    wait_marks('silent', 2);
    like($s->err, qr/silent: pid \d+: no watchdog beat for 400ms: aborting it/, 'a missed beat is told');
    like($s->err, qr/silent: pid \d+: killed by SIGABRT.* \(no watchdog beat\)/, '... the child gets SIGABRT and is restarted');
    wait_marks('beaten', 1);
    unlike($s->err, qr/beats: pid/, 'one that beats is left alone');
    is(stop_well($s), 0, '');
}

# significant
{
    my $s = supervised('significant',
        child('base', 'on-term FILE:base ready', ready => 'notify'),
        child('job', 'await FILE:end exit 0', restart => 'transient', significant => 'yes', instances => 3),
        child('other', 'exit 0', restart => 'temporary'));
    wait_up($s);
    ok($s->running, 'while a significant child runs, the supervisor does');
    spew('end', '');
    is($s->finish, 0, 'when the last significant child has ended normally, the supervisor stops the rest and ends with 0');
    is(scalar(marks('base')), 1, '... in good order');
    $s = supervised('significant2', child('job', 'exit 4', restart => 'temporary', significant => 'yes'), child('x', ''));
    is($s->finish, 1, 'one that ended abnormally, for good, makes it status 1');
}

# stopped by hand is not restarted by a strategy
{
    my $s = supervised('held', "strategy = one_for_all\n", child('a', 'mark FILE:held ready', ready => 'notify'), child('b', 'mark FILE:heldb ready', ready => 'notify'));
    wait_up($s);
    is(join(' ', ask('held', 'stop b')), 'wait ok', 'a child is stopped by order');
    kill KILL => (marks('held'))[0][1];
    wait_marks('held', 2);
    wait_until { (status_of('held', 'a'))[1] eq 'ready' };
    is((status_of('held', 'b'))[1], 'stopped', '... and one_for_all does not start it');
    is(stop_well($s), 0, '');
}

# and so does an order that is under way
{
    my $s = supervised('underway', "strategy = one_for_all\n", child('a', 'mark FILE:underway ready', ready => 'notify'), child('b', 'gate-term FILE:open ready', ready => 'notify'));
    wait_up($s);
    my $order = IO::Socket::UNIX->new(Peer => path('underway.supervisor'));
    $order->print("stop b\n");
    $order->flush;
    <$order>;
    kill KILL => (marks('underway'))[0][1];
    ok($s->wait_output('err', qr/a: pid \d+: killed/), 'a sibling dies while an ordered stop is under way');
    spew('open', '');
    is(scalar(<$order>), "ok\n", '... the stop is done');
    wait_until { (status_of('underway', 'a'))[1] eq 'ready' };
    is((status_of('underway', 'b'))[1], 'stopped', '... and stands');
    is(stop_well($s), 0, '');
}

# hundreds of crashes
{
    my $s = supervised('crashes', "intensity = 1000\nperiod = 1ms\nbackoff = 0\n",
        "child = crash\n    command = sh -c 'echo x; kill -9 \$\$'\n    instances = 4\n");
    my $fds = sub { my @all = glob('/proc/' . $s->pid . '/fd/*'); scalar @all };
    my $restarts = sub { my $sum = 0; $sum += (status_of('crashes', "crash.$_"))[3] // 0 for 1 .. 4; $sum };
    my $resident = sub { slurp('/proc/' . $s->pid . '/status') =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 };
    wait_until { $restarts->() > 60 } 60;
    my $memory = $resident->();
    ok(wait_until(sub { $restarts->() > 600 }, 120), 'hundreds of crashes are restarted');
    SKIP: {
        skip 'sanitizers and valgrind keep freed memory', 1 if $ENV{SOLE_WRAPPER} || slurp(program('sole-supervisor')) =~ /__asan_init/;
        cmp_ok($resident->() - $memory, '<', 512, '... without memory growing');
    }
    ask('crashes', 'stop crash');
    is(scalar(descendants($s->pid)), 0, '... and leave no process and no zombie');
    my $quiet = $fds->();
    like(join(' ', ask('crashes', 'start crash')), qr/^wait (ok$|error 70 crash\.\d ended before it was ready)/, '... while a start of what crashes has an answer');
    wait_until { $restarts->() > 700 } 60;
    ask('crashes', 'stop crash');
    ok(wait_until(sub { $fds->() <= $quiet }), '... and no descriptor') or diag($fds->() . " after $quiet");
    is(stop_well($s), 0, '');
}

done_testing();
