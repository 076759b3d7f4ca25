#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# `sole watch`: each event once and in order, from now or from a place, printed or given to a command.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use POSIX ();
use Socket;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory', '--max-events', '65536');
my $json  = JSON::PP->new;

sub sole { return run(ref $_[0] eq 'HASH' ? shift : (), 'sole', '-o', 'inventory', @_) }

# A watch that has begun.
sub watch {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    my $process = start({ name => 'watch', %$options }, 'sole', '-o', 'inventory', 'watch', '-v', @_);
    $process->wait_output('err', qr/^sole: watching from [0-9a-f]{16}:\d+ on$/m) or die 'no watch: ' . $process->err;
    return $process;
}
sub place {
    my %status = sole('status')->{out} =~ /^(\S+): +(\S+)$/mg;
    return "$status{history}:" . ($status{revision} + 1);
}
sub hears {
    my ($process, $what, $title) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_until { length $process->out >= length $what };
    is($process->out, $what, $title);
}

# ---- printed ----

sole('put', 'before', '1');
my $start = place();
my $watch = watch();
sole('put', 'a', '1');
hears($watch, "put\ta\t1\n", 'an event is printed as soon as it happens, from now on');
sole('add', 'a', '1');
sole('put', 'a', 'two');
sole('del', 'a');
sole('del', 'a', '-q');
hears($watch, "put\ta\t1\nput\ta\t2\nput\ta\ttwo\ndelete\ta\t\n", '... each change once, in order, and nothing where nothing changed');
sole('put', '--for', '1ms', 'brief', 'x');
ok($watch->wait_output('out', qr/^put\tbrief\tx\nexpire\tbrief\t\n/m), 'an expiry is heard');
sole({ input => "a\tb\nc\\" }, 'put', 'odd', '-');
ok($watch->wait_output('out', qr/^put\todd\ta\\tb\\nc\\\\\n/m), 'control characters are escaped');
sole('lock', 'l', '--', 'true');
ok($watch->wait_output('out', qr/^lock\tl\t\d+\nunlock\tl\t\n/m), 'locks are heard');
sole('txn', 'put t1 1', 'put t2 2');
ok($watch->wait_output('out', qr/^put\tt1\t1\nput\tt2\t2\n/m), 'a transaction\'s changes are heard in order');
is($watch->stop('TERM'), undef, 'SIGTERM ends it');

my $users = watch('user/');
sole('put', $_, '1') for 'user/a', 'users', 'us', 'user/b';
hears($users, "put\tuser/a\t1\nput\tuser/b\t1\n", 'a prefix filters');
$users->stop;

# ---- from a place, and JSON ----

my $got = sole('watch', '--from', $start, '--count', '3');
is($got->{status}, 0, '--count ends it with status 0');
is($got->{out}, "put\ta\t1\nput\ta\t2\nput\ta\ttwo\n", '--from begins at a place in the past');
my @events = map { $json->decode($_) } split /\n/, sole('watch', '-j', '--from', $start, '--count', '2', 't')->{out};
is_deeply([map { [@$_{qw(kind key value index)}] } @events], [['put', 't1', 1, 0], ['put', 't2', 2, 1]], '--json tells the whole event');
is($events[0]{revision}, $events[1]{revision}, '... two of one transaction have one revision');
my $again = "$events[0]{history}:$events[0]{revision}";
is(sole('watch', '--from', "$again:1", '--count', '1', 't')->{out}, "put\tt2\t2\n", '... and --from goes on in the middle of it');
my ($from) = sole('scan', '-v', 't')->{err} =~ /sole watch --from (\S+)$/m;
sole('put', 't3', '3');
is(sole('watch', '--from', $from, '--count', '1', 't')->{out}, "put\tt3\t3\n", 'a watch goes on where scan -v says');

# ---- --exec ----

$got = sole('watch', '--from', $start, '--count', '4', '--exec',
    'echo "$SOLE_KIND,$SOLE_KEY,${SOLE_VALUE-none},$SOLE_HISTORY:$SOLE_REVISION:$SOLE_INDEX,$(cat)"');
is($got->{status}, 0, '--exec: status 0');
my ($history, $revision) = split /:/, $start;
is($got->{out}, join('', map { "$_->[0],a,$_->[1],$history:" . ($_->[3]) . ":0,$_->[2]\n" }
    map { [@$_, $got->{out} =~ /^\Q$_->[0],a,$_->[1]\E,[0-9a-f]+:(\d+)/m] }
    ['put', '1', '1'], ['put', '2', '2'], ['put', 'two', 'two'], ['delete', 'none', '']),
    '... the command has the event in its environment and the value as its input');
$got = sole('watch', '--from', $start, '--count', '2', '--exec', 'echo begin; sleep 0.05; echo end; exit 3');
is($got->{out}, "begin\nend\nbegin\nend\n", '... one after the other');
is($got->{status}, 0, '... a command that fails does not end it');
like($got->{err}, qr/\A(sole: the command ended with status 3 for revision \d+, index 0\n){2}\z/, '... but is told');
is(sole('watch', '-q', '--from', $start, '--count', '1', '--exec', 'exit 3')->{err}, '', '... not with -q');
my $large = "\0" . 'x' x 250_000;
$from = place();
sole({ input => $large }, 'put', 'large', '-');
$got = sole('watch', '--from', $from, '--count', '1', '--exec', 'echo "${SOLE_VALUE-unset}"; wc -c');
is($got->{status}, 4, 'an event larger than what is kept cannot be heard later') or diag($got->{err});
my $exec = start({ name => 'exec' }, 'sole', '-o', 'inventory', 'watch', '-v', 'large', '--count', '1', '--exec', 'echo "${SOLE_VALUE-unset}"; wc -c');
$exec->wait_output('err', qr/watching/);
sole({ input => "\0" . 'x' x 60_000 }, 'put', 'large', '-');
$exec->finish;
is($exec->out, "unset\n60001\n", 'a value that no environment holds comes as standard input alone');

# ---- falling behind, restarts ----

my $old = place();
sole('put', "fill/$_", 'x' x 1000) for 1 .. 70;
$got = sole('watch', '--from', $old);
is($got->{status}, 4, 'events that are no longer kept: status 4');
line_like($got->{err}, qr/^sole: too-old: events are missing here: .* go on with --from [0-9a-f]{16}:\d+$/, '... and one line says where to begin again');
my $json_told = sole('watch', '-j', '--from', $old);
my $object = $json->decode($json_told->{out});
is_deeply([$json_told->{status}, @$object{qw(error outcome)}], [4, 'too-old', 'refused'], '... with --json an object on standard output, too');
like("$object->{history}:$object->{revision}", qr/^[0-9a-f]{16}:\d+$/, '... with the place');
my ($restart) = $got->{err} =~ /--from (\S+)$/;
is(sole('watch', '--from', $restart, '--count', '1')->{status}, 0, '... which works');
my $relay = start({ name => 'relay', notify => 0, stdin => 'pipe' }, $^X, "$FindBin::Bin/lib/Sole/relay.pl", path('relay.sock'), path('inventory.sock'));
$relay->wait_output('out', qr/^ready$/m) or die 'no relay: ' . $relay->err;
my $quiet = start({ name => 'quiet' }, 'sole', '-e', 'ipc://' . path('relay.sock'), 'watch', '-v', '--count', '1', 'quiet');
$quiet->wait_output('err', qr/watching from/) or die 'no watch: ' . $quiet->err;
sole('put', "fill/$_", 'x' x 1000) for 1 .. 140;
$relay->say("cut\n");
ok($relay->wait_output('out', qr/^connected\ncut\nconnected$/m), 'a watch that hears nothing while much happens to others is cut');
sole('put', 'quiet', '1');
is($quiet->finish, 0, '... and goes on: it has missed nothing');
is($quiet->out, "put\tquiet\t1\n", '... and hears what comes');
$relay->stop('KILL');
my $over = watch('new');
$owner->stop('KILL');
$owner = start_owner('inventory');
sole('put', 'new', '1');
is($over->finish, 4, 'an owner that began anew: status 4');
line_like($over->err =~ s/^.*\n(?=sole: too-old)//sr, qr/^sole: too-old: .*--from [0-9a-f]{16}:\d+$/, '... and where to begin');
($restart) = $over->err =~ /--from (\S+)$/;
is(sole('watch', '--from', $restart, '--count', '1', 'new')->{out}, "put\tnew\t1\n", '... from where all that the new one did is heard');

# ---- who reads ----

my $file = path('head');
my $head = start({ name => 'head' }, '/bin/sh', '-c',
    "('" . program('sole') . "' -o inventory watch -v; echo \$? > $file) | head -n 1");
$head->wait_output('err', qr/watching/);
sole('put', 'h', $_) for 1;
is($head->finish, 0, 'a pipeline\'s reader that has enough ends the watch');
ok(wait_until { slurp($file) ne '' }, '... also when nothing happens any more');
is(slurp($file), "0\n", '... with status 0');
is($head->out, "put\th\t1\n", '... and it had its line');
is($head->err =~ tr/\n//, 2, '... and nothing is told about it') or diag($head->err);
socketpair my $mine, my $its, AF_UNIX, SOCK_STREAM, 0 or die "socketpair: $!\n";
my $socket = start({ name => 'socket', setup => sub { POSIX::dup2(fileno $its, 1) } }, 'sole', '-o', 'inventory', 'watch', '-v');
$socket->wait_output('err', qr/watching/);
close $_ for $mine, $its;
sole('put', 's', '1');
is($socket->finish, 0, 'a socket that nobody reads ends it with status 0, too');
is($socket->err =~ tr/\n//, 2, '... and nothing is told about it') or diag($socket->err);
my $full = start({ name => 'full', stdout => '/dev/full' }, 'sole', '-o', 'inventory', 'watch', '-v');
$full->wait_output('err', qr/watching/);
sole('put', 'f', '1');
is($full->finish, 74, 'a full device ends it with status 74');

# ---- what is wrong ----

for my $place ('x', ':', '1:0', '1:', '1:2:', '1:2:x', '1:2:3:4', 'G:1', '1:-1', '00112233445566778:1', '1:9223372036854775808', '1:2:4294967296') {
    $got = sole('watch', '--from', $place);
    is($got->{status}, 64, "--from $place: status 64");
    line_like($got->{err}, qr/^sole: --from takes HISTORY:REVISION/, '... and one line says what it takes');
}
for (
    [['watch', 'a', 'b'], qr/too much/, 'two prefixes', 64],
    [['watch', '--count', '0'], qr/count: '0' is out of range/, 'a count of none', 64],
    [['watch', '--exec', 'true', '--json'], qr/--exec prints nothing/, '--exec with --json', 64],
    [['watch', 'k' x 1025], qr/^sole: refused: too-large/, 'a prefix above the limit', 2],
) {
    my ($arguments, $says, $title, $status) = @$_;
    $got = sole(@$arguments);
    is($got->{status}, $status, "$title: status $status");
    line_like($got->{err}, $says, '... and one line that says so');
}
is(run('sole', '-o', 'nobody', '-t', '100ms', 'watch')->{status}, 69, 'no owner: status 69');

done_testing;
