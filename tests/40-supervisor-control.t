# SPDX-License-Identifier: MIT
#
# The control socket: status, restart, stop, start; several clients at once, slow
# ones, and ones that talk nonsense.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Select;
use IO::Socket::UNIX;
use Sole::Supervised;
use Sole::Test;
use Test::More;

my $s = supervised('control', "intensity = 100\n",
    child('one', 'mark FILE:one ready', ready => 'notify'),
    child('many', 'mark FILE:many ready', ready => 'notify', instances => 3),
    child('done', 'exit 0', restart => 'temporary'),
    child('slow', 'gate-term FILE:open mark FILE:slow ready', ready => 'notify'),
    child('fails', 'await FILE:gate once FILE:failed ready exit 1', ready => 'notify', 'start-timeout' => 0, restart => 'temporary'));
spew('gate', '');
wait_up($s);

# status
{
    my @lines = ask('control', 'status');
    like($lines[0], qr/^\+CHILD +PID STATE +UP RESTARTS +OPS\/S STATUS$/, 'the table has a heading');
    is($lines[-1], 'ok', '... and the answer an end');
    is(scalar(@lines), 9, '... and a line for each process');
    is((status_of('control', 'one'))[0], (marks('one'))[0][1], 'a line tells the pid');
    is((status_of('control', 'many.2'))[1], 'ready', '... and the state');
    is(join(' ', (status_of('control', 'done'))[0, 1]), '- ended', 'one that has ended has no pid');
    is(scalar(ask('control', 'status many')), 5, 'status CHILD shows that child\'s processes');
    is(scalar(ask('control', 'status many.3')), 3, '... or the one');
}

# restart, stop, start
{
    is(join(' ', ask('control', 'restart one')), 'wait ok', 'restart answers when the child is ready again');
    is(scalar(marks('one')), 2, '... a new process');
    is((status_of('control', 'one'))[1], 'ready', '... that is ready');
    is(join(' ', ask('control', 'stop many.2')), 'wait ok', 'stop answers when the child is gone');
    is((status_of('control', 'many.2'))[1], 'stopped', '... and it stays down');
    is((status_of('control', 'many.1'))[1], 'ready', '... it alone');
    is(join(' ', ask('control', 'start many')), 'wait ok', 'start answers when all are ready');
    is((status_of('control', 'many.2'))[1], 'ready', '... what was stopped runs');
    is(scalar(wait_marks('many', 4)), 4, '... and what ran was left alone');
    is(join(' ', ask('control', 'start one')), 'wait ok', 'start of what runs is done at once');
    is(join(' ', ask('control', 'stop one')), 'wait ok', 'stop');
    is(join(' ', ask('control', 'stop one')), 'wait ok', '... of what is stopped is done at once');
    is(join(' ', ask('control', 'restart one')), 'wait ok', 'restart starts what is stopped');
    like(join(' ', ask('control', 'start fails')), qr/^wait error 70 fails ended before it was ready/, 'a start that fails is told');
    is(join(' ', ask('control', 'start done')), 'wait ok', 'a child that has ended may be started again');
    unlike($s->err, qr/giving up/, 'restarts by order do not count towards the intensity');
}

# answers that are errors
for my $case (
    ['status nobody',   'error 1 there is no child called nobody'],
    ['restart nobody',  'error 1 there is no child called nobody'],
    ['restart many.4',  'error 1 there is no child called many.4'],
    ['restart',         'error 64 restart needs the name of a child'],
    ['destroy one',     'error 64 a request is status, restart, stop or start, and a child'],
    ['',                'error 64 a request is status, restart, stop or start, and a child'],
    ['stop ../../etc',  'error 64 that is not the name of a child'],
    ["stop \x01\xff",   'error 64 that is not the name of a child'],
    ["stop one\0two",   'error 64 a request is one short line'],
    ['x' x 5000,        'error 64 a request is one short line'],
) {
    my ($request, $answer) = @$case;
    my $shown = substr($request, 0, 20) =~ s/[^ -~]/?/gr;
    is(join(' ', ask('control', $request)), $answer, "'$shown': $answer");
}

# many clients, slow clients
{
    my $connect = sub { IO::Socket::UNIX->new(Peer => path('control.supervisor')) };
    my $waiter = $connect->();
    $waiter->print("restart slow\n");
    $waiter->flush;
    is(scalar(<$waiter>), "wait\n", 'a restart that takes its time is under way');
    is((status_of('control', 'one'))[1], 'ready', '... while others are answered');
    my @idle = map { $connect->() } 1 .. 15;
    my $extra = $connect->();
    is(scalar(<$extra>), "error 75 the supervisor has too many clients at once: try again\n", 'the 17th client at once is told to try again');
    $_->close for @idle[1 .. 14];
    wait_until { (ask('control', 'status one'))[-1] eq 'ok' };
    is((status_of('control', 'one'))[1], 'ready', 'when others have gone, there is room');
    spew('open', '');
    is(scalar(<$waiter>), "ok\n", 'the one that waited has its answer');
    my $half = $connect->();
    $half->print("restart slow\n");
    $half->flush;
    $half->shutdown(1);
    is(join('', <$half>), "wait\nok\n", 'a client may close its sending side and wait');
    my $gone = $connect->();
    $gone->print("restart slow\n");
    $gone->flush;
    <$gone>;
    $gone->close;
    my $cpu = sub { my @f = split ' ', slurp('/proc/' . $s->pid . '/stat') =~ s/.*\) //sr; $f[11] + $f[12] };
    my $before = $cpu->();
    is(join(' ', ask('control', 'restart slow')), 'wait ok', 'a client that leaves while it waits disturbs nobody');
    cmp_ok($cpu->() - $before, '<', 30, '... and costs nothing');
}

# nonsense at length
{
    srand(my $seed = $ENV{SEED} // 12345);
    for (1 .. 200) {
        my $socket = IO::Socket::UNIX->new(Peer => path('control.supervisor')) or next;
        $socket->syswrite(join '', map { chr int rand 256 } 1 .. 1 + int rand 300);
        $socket->close;
    }
    wait_until { ((status_of('control', 'one'))[1] // '') eq 'ready' };
    is((status_of('control', 'one'))[1], 'ready', "200 connections of random bytes (SEED=$seed) change nothing");
    is(scalar(grep { /stopp|delayed|waiting/ } ask('control', 'status')), 0, '... for any child');
}
is(stop_well($s), 0, '');

# through the command
SKIP: {
    skip 'bin/sole is not built', 12 unless -x program('sole');
    my $c = supervised('command', child('web', 'mark FILE:web ready', ready => 'notify'), child('x', 'ready', ready => 'notify', instances => 2));
    wait_up($c);
    my $r = run('sole', 'status');
    SKIP: {
        skip 'sole has no status of children yet', 12 unless $r->{status} == 0 && $r->{out} =~ /CHILD/;
        like($r->{out}, qr/\ACHILD .*^web +\d+ ready /ms, 'sole status prints the table of the only supervisor');
        $r = run('sole', 'restart', 'web');
        is($r->{status}, 0, 'sole restart CHILD');
        is(scalar(marks('web')), 2, '... restarts it');
        is(run('sole', 'stop', 'x.1')->{status}, 0, 'sole stop CHILD');
        is((status_of('command', 'x.1'))[1], 'stopped', '... stops it');
        is(run('sole', 'start', 'x')->{status}, 0, 'sole start CHILD');
        is((status_of('command', 'x.1'))[1], 'ready', '... starts it');
        $r = run('sole', 'restart', 'nobody');
        is($r->{status}, 1, 'no such child: status 1');
        line_like($r->{err}, qr/there is no child called nobody/, '... and one line');
        is(run({ env => { SOLE_SUPERVISOR => 'command' } }, 'sole', 'status', 'web')->{status}, 0, 'SOLE_SUPERVISOR names it');
        is(run({ env => { SOLE_SUPERVISOR => 'nobody' } }, 'sole', 'status')->{status}, 69, '... one that does not run: EX_UNAVAILABLE');
        is(stop_well($c), 0, '');
        is(run('sole', 'status')->{status}, 69, 'no supervisor: EX_UNAVAILABLE');
    }
}

done_testing();
