# SPDX-License-Identifier: MIT
#
# How the supervisor starts: in order, by readiness, instances together, the go;
# and what a child finds when it is there.
use strict;
use warnings;
use lib 'tests/lib';
use Fcntl qw(F_SETFD);
use IO::Socket::UNIX;
use Sole::Supervised;
use Sole::Test;
use Test::More;

# order
{
    my $s = supervised('order',
        child('first', 'mark FILE:order pause 0.2 mark FILE:order ready', ready => 'notify'),
        child('second', 'mark FILE:order ready', ready => 'notify', instances => 3),
        child('third', 'mark FILE:order'));
    ok(wait_up($s), 'all children come up');
    wait_marks('order', 6);
    is(join(' ', map { $_->[0] =~ s/\..*//r } marks('order')), 'first first second second second third',
        'a child starts when all before it have said that they are ready, instances together');
    is(join(' ', sort map { $_->[0] } grep { $_->[0] =~ /second/ } marks('order')), 'second.1 second.2 second.3',
        'instances are numbered from 1');
    ok($s->wait_notice(qr/^READY=1$/), 'the supervisor tells its own supervisor that all are ready');
    is(stop_well($s), 0, 'SIGTERM: it ends with status 0');
    is(join(' ', glob(path('order.*'))), path('order.zpl'), '... and leaves no socket and no lock');
}

# the go and the duration
{
    my $s = supervised('go', "duration = 300ms\n",
        child('clients', 'mark FILE:begun input mark FILE:gone', go => 'yes', instances => 5),
        child('late', 'await FILE:gate ready', ready => 'notify'));
    wait_marks('begun', 5);
    spew('gate', '');
    ok(wait_up($s), 'with one child late, all become ready in the end');
    wait_marks('gone', 5);
    is(scalar(marks('gone')), 5, 'the standard input of `go` children ends when all are ready');
    is($s->finish, 0, 'after the duration it ends by itself with status 0');
    like($s->{err}, qr/the duration is over/, '... and says why');
}
{
    my $s = supervised('nogo', child('client', 'mark FILE:early input mark FILE:late', go => 'yes'),
        child('never', 'mark FILE:never', ready => 'notify', 'start-timeout' => '0'));
    wait_marks('never', 1);
    wait_marks('early', 1);
    is(scalar(marks('late')), 0, 'no go is given while a child is not ready');
    kill KILL => (marks('early'))[0][1];
    wait_marks('early', 2);
    is(scalar(marks('late')), 0, '... nor to one that was restarted before the go');
    is(stop_well($s), 0, '');
}
{
    my $s = supervised('aftergo', child('client', 'input mark FILE:aftergo', go => 'yes'));
    my ($mark) = wait_marks('aftergo', 1);
    kill KILL => $mark->[1];
    is(scalar(wait_marks('aftergo', 2)), 2, 'one that is restarted after the go finds its standard input at its end');
    is(stop_well($s), 0, '');
}
{
    my $s = supervised('long', "duration = 1h\n", child('one', ''), { arguments => ['--duration', '50ms'] });
    is($s->finish, 0, '--duration beats the file');
}

# what a child finds
{
    my $s = supervised('clean', child('looker', 'look FILE:look', directory => folder(),
            environment => ['GIVEN = a value', 'HOME = "/else where"'], watchdog => '30s'),
        { env => { NOTIFY_SOCKET => path('elsewhere'), WATCHDOG_USEC => 10000000, JOURNAL_STREAM => '1:2' },
          notify => 0,
          setup => sub {
            open my $leak, '<', '/dev/zero';
            fcntl $leak, F_SETFD, 0;
            POSIX::dup2(fileno $leak, 40);
            POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGUSR1()));
            $SIG{USR2} = 'IGNORE';
            exec 'sh', '-c', 'ulimit -Sn 333; exec "$0" "$1"', program('sole-supervisor'), path('clean.zpl');
          } });
    ok(wait_until { slurp(path('look')) =~ /^end$/m }, 'a child runs');
    my $look = slurp(path('look'));
    my %fd = $look =~ /^fd (\d+) (.*)$/mg;
    delete @fd{ grep { $fd{$_} =~ m{^/proc/\d+/fd} || $fd{$_} =~ m{child\.pl$} } keys %fd };
    is(join(' ', sort keys %fd), '0 1 2', 'a child has the three standard descriptors and no other');
    is($fd{0}, '/dev/null', '... the first is /dev/null');
    like($look, qr/^SigBlk:\t0+$/m, 'no signal is blocked');
    # Perl ignores SIGFPE; 32 and 33 are the C library's own, and nobody else can change them.
    my ($ignored) = $look =~ /^SigIgn:\t([0-9a-f]+)$/m;
    no warnings 'portable';
    is(sprintf('%x', hex($ignored) & ~(0x80 | 0x180000000)), '0', 'none is ignored');
    my ($pid) = $look =~ /^pid (\d+)$/m;
    like($look, qr/^NSpgid:\t$pid$/m, 'it leads its process group');
    like($look, qr/^NSsid:\t$pid$/m, '... and its session');
    like($look, qr/^GIVEN=a value$/m, 'it has the variables of the file');
    like($look, qr{^HOME=/else where$}m, '... which beat the inherited ones');
    like($look, qr/^SOLE_CHILD=looker$/m, 'its name is in SOLE_CHILD');
    like($look, qr/^SOLE_SUPERVISOR=clean$/m, '... and the supervisor\'s in SOLE_SUPERVISOR');
    like($look, qr/^NOTIFY_SOCKET=\Q${\path('clean.notify')}\E$/m, 'it has the supervisor\'s notify socket, not that of the supervisor\'s supervisor');
    like($look, qr/^WATCHDOG_USEC=30000000$/m, 'it has its watchdog time');
    like($look, qr/^WATCHDOG_PID=$pid$/m, '... meant for itself');
    unlike($look, qr/^JOURNAL_STREAM=/m, 'it is not told of a journal that its output does not reach');
    like($look, qr{^folder \Q${\folder()}\E$}m, 'it is in its working directory');
    like($look, qr/^limit 333$/m, 'it has the limit of descriptors that the supervisor was given');
    like(slurp('/proc/' . $s->pid . '/status'), qr/^Threads:\t1$/m, 'the supervisor has one thread');
    is(stop_well($s), 0, '');
}

# output
{
    my $s = supervised('output',
        child('a', 'say out complain err', output => 'prefixed'),
        child('b', "say 'plain words' complain err2", output => 'plain'),
        child('c', 'say hidden complain err3', output => 'errors', instances => 2));
    ok($s->wait_output('err', qr/^c\.2: err3$/m), 'lines of children come with their names');
    $s->wait_output('err', qr/^c\.1: err3$/m);
    $s->wait_output('out', qr/plain/);
    is(stop_well($s), 0, '');
    like($s->{err}, qr/^a: out$/m, 'prefixed: standard output goes to standard error');
    like($s->{err}, qr/^a: err$/m, '... and standard error too');
    is($s->{out}, "plain words\n", 'plain: standard output goes to standard output as it is');
    like($s->{err}, qr/^b: err2$/m, '... and standard error is prefixed');
    unlike($s->{err}, qr/hidden/, 'errors: standard output is dropped');
    my $v = supervised('verbose', child('c', 'say shown', output => 'errors'), { arguments => ['-v'] });
    ok($v->wait_output('err', qr/^c: shown$/m), '... but shown with -v');
    is(stop_well($v), 0, '');
}

# notices
{
    my $s = supervised('notice',
        child('talker', 'ready tell STATUS=busy\twork tell X_SOLE_OPS=1000 tell X_SOLE_OPS=5000', ready => 'notify'),
        child('quick', 'ready exit 0', ready => 'notify', restart => 'temporary'),
        child('shell', 'helper FILE:helper'));
    ok(wait_up($s), 'a child that says READY=1 and ends at once was ready');
    my @line;
    ok(wait_until { @line = status_of('notice', 'talker'); $line[4] ne '-' && $line[5] =~ /busy/ }, 'STATUS= and the rate are in the table');
    ok($s->wait_notice(qr{^STATUS=2 of 3 up, [1-9][\d ]* operations/s, 0 restarts$}), '... and the supervisor tells its own how it goes');
    my $socket = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(), Peer => path('notice.notify'));
    $socket->send('STATUS=forged');
    $socket->send("\0\xff\n=\n");
    ask('notice', 'status');
    is(scalar(grep { /forged/ } ask('notice', 'status')), 0, 'a notice of a process that is no child\'s is dropped');
    ok(wait_until(sub { (status_of('notice', 'quick'))[1] eq 'ended' }), 'the quick one has ended');
    is(stop_well($s), 0, '');
}

# listening sockets
{
    my $socket_path = path('own.sock');
    my $s = supervised('listen2', "intensity = 100\n",
        child('server', 'look FILE:sockets listen exit 0', listen => 'web2', 'listen-mode' => '0660'),
        child('path', '', listen => $socket_path));
    wait_up($s);
    ok(-S path('web2.sock'), 'listen = NAME makes DIR/NAME.sock');
    is(sprintf('%o', (stat path('web2.sock'))[2] & 0777), '660', '... with its mode');
    ok(-S $socket_path, 'listen = PATH makes that socket');
    my %served;
    for (1 .. 4) {
        my $client = IO::Socket::UNIX->new(Peer => path('web2.sock')) or last;
        my $line = <$client> // '';
        $served{$1}++ if $line =~ /^served server (\d+)$/;
    }
    is(scalar(keys %served), 4, 'a client is served by each generation: the socket stays while the child is restarted');
    like(slurp(path('sockets')), qr/^LISTEN_FDS=1$/m, 'LISTEN_FDS is set');
    like(slurp(path('sockets')), qr/^LISTEN_FDNAMES=web2$/m, '... and LISTEN_FDNAMES');
    my ($pid) = slurp(path('sockets')) =~ /^pid (\d+)$/m;
    like(slurp(path('sockets')), qr/^LISTEN_PID=$pid$/m, '... for the child itself');
    my $other = run('sole-supervisor', write_file('listen3', child('x', '', listen => 'web2')));
    is($other->{status}, 73, 'a socket in use is not taken: EX_CANTCREAT');
    line_like($other->{err}, qr/web2\.sock is in use/, '... with one clear line');
    ok(-S path('web2.sock'), '... and it is still there');
    is(join(' ', glob(path('listen3.*'))), path('listen3.zpl'), '... and the failed start leaves nothing');
    is(stop_well($s), 0, '');
    ok(!-e path('web2.sock') && !-e $socket_path, 'the sockets are removed at the end');
}

# many
{
    my $s = supervised('many', map({ child("c$_", 'ready', ready => 'notify', instances => 55) } 1, 2));
    ok(wait_up($s), '110 processes that tell their readiness come up');
    is(scalar(descendants($s->pid)), 110, '... all of them');
    is(stop_well($s), 0, '... and stop');
}

done_testing();
