# SPDX-License-Identifier: MIT
#
# An owner's start and stop: one of a name, in the right place, told clearly when it
# cannot be; nothing left behind when it leaves.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Test::More;

# ---- what cannot be, in one line and a status ----

# [arguments], status, what the line says, title
my @wrong = (
    [[], 64, qr/give the name of the state; see sole-owner --help/, 'no name'],
    [['a', 'b'], 64, qr/only one name/, 'two names'],
    [['../a'], 64, qr/'\.\.\/a' is not a name/, 'a path as the name'],
    [['x' x 65], 64, qr/1 to 64 characters/, 'a name that is too long'],
    [['--frob', 'a'], 64, qr/option '--frob' is not known; see sole-owner --help/, 'an unknown option'],
    [['--max-key'], 64, qr/option '--max-key' needs a value/, 'an option without its value'],
    [['--max-key', 'many', 'a'], 64, qr/max-key: 'many' is not a size/, 'a size that is none'],
    [['--max-key', '2K', 'a'], 64, qr/out of range: give 1 to 1024 bytes/, 'a limit out of range'],
    [['--socket-mode', '0888', 'a'], 64, qr/octal permission bits/, 'a mode that is none'],
    [['-e', 'tcp://*:5555', 'a'], 64, qr/give ipc:\/\/ and an absolute path/, 'an endpoint of another kind'],
    [['-e', 'ipc:///' . 'd' x 110, 'a'], 78, qr/the limit is 107: give a shorter one/, 'a path that is too long'],
    [['-e', 'ipc:///nowhere/at/all.sock', 'a'], 73, qr/does the folder exist/, 'a folder that is not there'],
    [['-c', path('none.zpl'), 'a'], 78, qr/: cannot be read: No such file/, 'a configuration that is not there'],
    [['-c', folder(), 'a'], 78, qr/: cannot be read: Is a directory/, 'a folder for a configuration'],
);
for (@wrong) {
    my ($arguments, $status, $says, $title) = @$_;
    my $got = run('sole-owner', @$arguments);
    is($got->{status}, $status, "$title: status $status");
    line_like($got->{err}, $says, "$title: one line that says what to do");
}

my $config = spew('bad.zpl', "max-key = 64\nmax-frob = 3\n# a comment\n\nmax-value = tiny\n    max-key = 65\n  x = 1\ncheck-config = 1\nstate =\n");
my $bad = run('sole-owner', '-c', $config, 'a');
is($bad->{status}, 78, 'a configuration with mistakes: status 78');
my @mistakes = (
    [2, qr/'max-frob' is not a setting of sole-owner/],
    [5, qr/max-value: 'tiny' is not a size/],
    [6, qr/'max-key' is indented, and no setting belongs to another/],
    [7, qr/the line is not indented by 4 spaces a level/],
    [8, qr/'check-config' is an option, and no setting for a file/],
    [9, qr/'state' has no value: state = DIR/],
);
my @told = split /\n/, $bad->{err};
is(scalar @told, scalar @mistakes, '... each told in a line');
like(shift @told // '', qr/^sole-owner: \Q$config\E:$_->[0]: $_->[1]/, "... with that of the file, $_->[0]") for @mistakes;

my $good = spew('good.zpl', "max-key = 64\nsocket-mode = 0660\n");
my $checked = run('sole-owner', '-c', $good, '--max-value', '1K', '--check-config', 'a');
is($checked->{status}, 0, '--check-config accepts a sound file');
like($checked->{out}, qr/^max-key = 64$/m, '... and shows its settings');
like($checked->{out}, qr/^max-value = 1024$/m, '... options winning over it');
like($checked->{out}, qr/memory at the worst/, '... and the worst case of memory');
ok(!-e path('a.sock'), '... and serves nothing');
$checked = run('sole-owner', '-c', "-$good", '--check-config', 'a');
like($checked->{out}, qr/^max-key = 64$/m, 'a file with - before its name is read when it is there');
is(run('sole-owner', '-c', '-' . path('none.zpl'), '--check-config', 'a')->{status}, 0, '... and may be missing');
is(run('sole-owner', '-c', '-' . path('good.zpl/x'), '--check-config', 'a')->{status}, 78, '... but not be something else');

my $long = path('d' x 90);
mkdir $long;
my $got = run({ env => { SOLE_RUNTIME_DIR => $long } }, 'sole-owner', 'counters');
is($got->{status}, 78, 'a runtime folder with too long a path: status 78');
line_like($got->{err}, qr/shorter folder/, '... and the line says to take a shorter one');

SKIP: {
    skip 'permissions do not bind root without setpriv', 2
        if $> == 0 && system('setpriv --version >/dev/null 2>&1') != 0;
    my $closed = path('closed');
    mkdir $closed, 0755;
    chmod 0755, folder();
    my @as = $> == 0 ? ('/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups') : ();
    chmod 0555, $closed;
    my @program = @as ? (@as, program('sole-owner')) : ('sole-owner');
    $got = run({ env => { SOLE_RUNTIME_DIR => $closed } }, @program, 'a');
    # Who may not even reach the program cannot be told anything by it.
    skip 'the programs are out of reach for another user', 2 if $got->{err} =~ /failed to execute|cannot run/;
    is($got->{status}, 77, 'a folder that this user cannot write: status 77');
    line_like($got->{err}, qr/set SOLE_RUNTIME_DIR to one that this user can write/, '... and the line says what to do');
    chmod 0700, folder();
}

# ---- one owner of a name ----

my $first = start_owner('a');
is((stat path('a.sock'))[2] & 0777, 0600, 'the socket is for its user only');
my $second = run('sole-owner', 'a');
is($second->{status}, 69, 'a second owner of the same name: status 69');
line_like($second->{err}, qr/is served by process @{[$first->pid]}: stop it first/, '... and the line names the first');
ok($first->running && -S path('a.sock'), '... which goes on');

is($first->stop, 0, 'SIGTERM: exit status 0');
like($first->{out}, qr/\Areads: 0, writes: 0\n\z/, '... and the totals on standard output');
ok((grep { $_ eq 'STOPPING=1' } $first->notices), '... and the supervisor is told');
like($first->err, qr/^sole-owner: told to stop by process $$ \(SIGTERM\): answering what has arrived, then leaving$/m,
    '... and the log says who wanted it');
is_deeply([glob path('a.*')], [], 'nothing is left in the folder');

is(start_owner('a')->stop('INT'), 0, 'SIGINT ends it just the same');

# Started at the same moment, in the folder of one that was killed: its lock still names that.
start_owner('race')->stop('KILL');
my @odd;
for my $round (1 .. 20) {
    my @pair = map { start('sole-owner', 'race') } 1 .. 2;
    wait_until { grep { !$_->running } @pair } 20;
    my ($loser, @winners) = sort { $a->running <=> $b->running } @pair;
    $loser->finish;
    wait_until { $winners[0]->wait_ready(1) };
    my $refused = ($loser->{status} // -1) == 69
        && $loser->{err} =~ /is served by process @{[$winners[0]->pid]}: stop it first/;
    push @odd, "round $round: $loser->{err}" if !$refused || !$winners[0]->running;
    $winners[0]->stop($round % 2 ? 'KILL' : 'TERM');
}
is(join('', @odd), '', 'of two owners started at once one serves, and the other one names it');
unlink glob path('race.*');

# ---- what others leave behind ----

my $killed = start_owner('a');
$killed->stop('KILL');
ok(-S path('a.sock'), 'SIGKILL leaves the socket file');
my $next = start_owner('a');
ok($next->running, '... which the next owner replaces');
$next->stop;

spew('a.sock', "precious\n");
$got = run('sole-owner', 'a');
is($got->{status}, 73, 'a file in the place of the socket: status 73');
line_like($got->{err}, qr/is not a socket: move it away/, '... and the line says so');
is(slurp(path('a.sock')), "precious\n", '... and it is not touched');
unlink path('a.sock');

my $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => path('a.sock'), Listen => 1);
$got = run('sole-owner', 'a');
is($got->{status}, 69, 'a program that listens there: status 69');
line_like($got->{err}, qr/another program listens/, '... and the line says so');
ok(IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => path('a.sock')), '... and its socket is not taken from it');
close $other;
unlink path('a.sock');

my $wide = start_owner('--socket-mode', '0666', 'a');
is((stat path('a.sock'))[2] & 0777, 0666, '--socket-mode sets the permissions of the socket');
$wide->stop;

# ---- a socket that is handed over ----

sub hand_over {
    my ($listener, $name) = @_;
    return start({
            setup => sub {
                # By way of a copy: when it is 3 already, close-on-exec has to go.
                POSIX::dup2(POSIX::dup(fileno $listener), 3);
                @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
            },
        }, 'sole-owner', $name);
}
my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => path('b.sock'), Listen => 8);
my $wrapped = $ENV{SOLE_WRAPPER};
SKIP: {
    skip 'a wrapper does not pass descriptors on to the same pid', 6 if $wrapped;
    my $early = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => path('b.sock'));
    my $activated = hand_over($listener, 'b');
    ok($activated->wait_ready, 'an owner serves a socket that is handed over');
    my $greeting;
    $early->blocking(0);
    ok(wait_until { sysread $early, $greeting, 1 }, 'a connection that was made before is served too');
    is($activated->stop, 0, 'it leaves');
    ok(-S path('b.sock'), '... and the socket file stays, being not its own');
    my $wrong = hand_over($listener, 'c');
    $wrong->finish;
    is($wrong->{status}, 78, 'a socket of another path: status 78');
    line_like($wrong->{err}, qr/this owner is to serve/, '... and the line names both');
}

# ---- what cannot be printed, and too few descriptors ----

$got = run({ stdout => '/dev/full' }, 'sole-owner', '--check-config', 'a');
is($got->{status}, 74, 'settings that cannot be printed: status 74');
line_like($got->{err}, qr/cannot print the settings/, '... and the line says so');
my $unheard = start({ stdout => '/dev/full' }, 'sole-owner', 'u');
$unheard->wait_ready;
is($unheard->stop, 74, 'totals that cannot be printed: status 74');
like($unheard->{err}, qr/cannot print the totals: No space left/, '... and a line says so');
SKIP: {
    skip 'valgrind needs descriptors itself', 3 if $wrapped;
    for my $few (12, 24, 63) {
        $got = run('/bin/sh', '-c', "ulimit -n $few; exec '" . program('sole-owner') . "' few");
        ok($got->{status} && $got->{status} == 71 && $got->{err} =~ /descriptors|Too many open files/ && $got->{err} =~ tr/\n// == 1,
            "with $few descriptors it does not start, and says why") or diag($got->{err});
    }
}

# ---- being watched ----

my $watched = start({ env => { WATCHDOG_USEC => 200_000 } }, 'sole-owner', 'w');
$watched->wait_ready;
ok($watched->wait_notice(qr/^WATCHDOG=1$/), 'it beats while it is idle when a watchdog asks for it');
$watched->stop;

# ---- its status ----

my $telling = start_owner('t', '--state', path('t.state'));
is(run('sole', '-o', 't', 'put', 'a', 'b')->{status}, 0, 'while it is asked');
ok($telling->wait_notice(qr{^STATUS=revision \d+, \d clients?, [1-9]\d* operations/s$}), '... it tells revision, clients and operations a second');
ok($telling->wait_notice(qr{^STATUS=revision \d+, 0 clients, 0 operations/s$}), '... and once that all is quiet again');
my $told = grep { /^STATUS/ } $telling->notices;
$telling->stop;
my @last = grep { /^(STATUS|EXTEND)/ } $telling->notices;
cmp_ok(scalar @last, '<=', $told + 5, '... no more than that');
like($last[-2], qr/^EXTEND_TIMEOUT_USEC=\d{8}$/, 'while it leaves it asks for the time to write its state');
like($last[-1], qr/^STATUS=writing the state of revision \d+$/, '... and says that it does');
my $memory = start_owner('m');
run('sole', '-o', 'm', 'put', 'a', 'b');
ok($memory->wait_notice(qr{^STATUS=.* operations/s, in memory only$}), 'one without a folder says so');

done_testing;
