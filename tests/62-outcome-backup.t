#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# What became of a command, told by real owners: alive, after the session's end, after the owner was
# killed; and backups of owners that are written to, killed in the middle, or have no disk.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use JSON::PP ();

my $json = JSON::PP->new->utf8;

sub sole { return run('sole', @_) }

# What `sole -v` told of a command: session and sequence.
sub told_of {
    my ($got) = @_;
    my ($session, $sequence) = $got->{err} =~ /session (\d+), sequence (\d+)/ or return;
    return ($session, $sequence);
}

# fate_is(NAME, [SESSION, SEQUENCE], STATUS, qr/WORDS/, TITLE)
sub fate_is {
    my ($name, $command, $status, $words, $title) = @_;
    my $got = sole('outcome', '-o', $name, @$command);
    subtest $title => sub {
        is $got->{status}, $status, 'its status';
        like $got->{out}, $words, 'its words';
        is $got->{err}, '', 'and nothing else is said';
    };
    return $got;
}

# ---- of a durable owner ----

my $state = path('state');
my $owner = start_owner('kept', '--state', $state);

my $got = sole(qw(put -v -o kept apples 12));
is $got->{status}, 0, 'a put';
like $got->{err}, qr/, durable$/m, '--verbose tells that it is on disk';
my ($early) = $got->{err} =~ /session (\d+)\n.*revision/s;
my @put = told_of($got);
is $put[0], $early, 'the session is told before the answer, and again with it';
my @refused = told_of(sole(qw(cas -v -o kept apples 7 8)));
my @results = told_of(sole(qw(call -v -o kept add apples 3)));

# One that waits, in a session that lives: it holds a lock, and another one asks for it.
my $client = dealer(endpoint('kept'));
my ($holder, $waiter) = map { open_session($client) } 1 .. 2;
ask($client, item(RUN, op(LOCK, 'door'), session => $holder, sequence => 1));
is ask($client, item(RUN, op(LOCK, 'door'), session => $waiter, sequence => 1))->{outcome}, 3, 'somebody waits';
my $cancelled = open_session($client);
ask($client, item(CANCEL, '', session => $cancelled, sequence => 1));

sub settled_fates {
    my ($when) = @_;
    fate_is('kept', \@put, 0, qr/^ran: it ran, once, at revision 2\n0\n\z/, "$when: a put that ran");
    fate_is('kept', \@results, 0, qr/^ran: .*\n15\n\z/, "$when: an add, with its sum");
    fate_is('kept', \@refused, 1, qr/^refused: it did not run and will not: conflict: cas: /, "$when: one that was refused");
    fate_is('kept', [$put[0], 2], 1, qr/^never-came: /, "$when: one that its session never sent");
    fate_is('kept', [4711, 1], 3, qr/^unknown: session-forgotten: /, "$when: one of a session that never was");
    fate_is('kept', [$cancelled, 1], 1, qr/^refused: .* cancelled: /, "$when: one that was withdrawn before it came");
    fate_is('kept', [$waiter, 2], 5, qr/^not-come: /, "$when: one that has not come");
}

settled_fates('alive');
fate_is('kept', [$waiter, 1], 5, qr/^waiting: /, 'alive: one that waits');

$owner->signal(9);
$owner->finish(10);
$owner = start_owner('kept', '--state', $state);
settled_fates('after a kill');
fate_is('kept', [$waiter, 1], 5, qr/^waiting: /, 'after a kill: one that waits');
ask($client, item(RUN, op(UNLOCK, 'door'), session => $holder, sequence => 2));
fate_is('kept', [$waiter, 1], 0, qr/^ran: .*\n\d+\n\z/, 'and then it has its turn');

my $answer = $json->decode(sole('outcome', '-j', '-o', 'kept', @results)->{out});
is_deeply [@$answer{qw(fate code results)}], ['ran', 'ok', [[15]]], 'as JSON: one that ran';
$answer = $json->decode(sole('outcome', '-j', '-o', 'kept', @refused)->{out});
is_deeply [@$answer{qw(fate code text)}], ['refused', 'conflict', 'cas: the value is not the expected one'], 'and one that did not';

# After its end a session is found in the journal, what waited in it included.
ask($client, item(RUN, op(LOCK, 'gate'), session => $holder, sequence => 3, window => 2));
ask($client, item(RUN, op(LOCK, 'gate'), session => $waiter, sequence => 2, window => 1));
ask($client, item(GOODBYE, '', session => $_)) for $waiter, $holder;
fate_is('kept', [$waiter, 1], 0, qr/^ran: .*\n\d+\n\z/, 'ended: one that had waited and was answered');
fate_is('kept', [$waiter, 2], 1, qr/^refused: .* cancelled: /, 'ended: one that still waited');
fate_is('kept', [$waiter, 3], 1, qr/^never-came: /, 'ended: one that did not come');

is sole('outcome', '-o', 'kept', '0', '1')->{status}, 64, 'no session is a mistake of the caller';
is sole('outcome', '-o', 'kept', '1', 'x')->{status}, 64, 'nor is this a sequence';
is sole('outcome', '-o', 'nobody', '-t', '50ms', 1, 1)->{status}, 69, 'nobody there says nothing of the command';

# ---- backups ----

# restored(FILE): an owner of the state that was made of it, and its folder.
my $restored = 0;

sub restored {
    my ($file) = @_;
    my $folder = path('restored-' . ++$restored);
    my $made   = run('sole-owner', '--restore', $file, $folder);
    is $made->{status}, 0, 'a state is made of it' or diag $made->{err};
    return start_owner("restored$restored", '--state', $folder);
}

is sole('backup', '-o', 'kept', path('kept.backup'))->{status}, 0, 'a backup of a durable owner';
is((stat path('kept.backup'))[2] & 0777, 0600, '... that only its user can read');
ok !-e path('kept.backup.tmp'), '... and nothing is left beside it';
$got = sole('backup', '-v', '-o', 'kept', '-');
is $got->{status}, 0, 'a backup to standard output';
like $got->{err}, qr/^sole: \d+ bytes$/m, '... of so many bytes';
is length $got->{out}, ($got->{err} =~ /(\d+) bytes/)[0], '... all of them there';
my $copy = restored(spew('piped.backup', $got->{out}));
is sole('get', '-o', 'restored1', 'apples')->{out}, "15\n", '... which has what the first one had';
isnt status(dealer(endpoint('restored1')))->{history}, status($client)->{history}, '... in a history of its own';
is $copy->stop, 0, '... and its owner ends well';

is sole('backup', '-o', 'kept', path('no/such/folder'))->{status}, 73, 'a file that cannot be made';
$got = run({ stdout => '/dev/full' }, 'sole', 'backup', '-o', 'kept', '-');
is $got->{status}, 74, 'output that cannot be written';
spew('old.backup', 'old');
symlink path('old.backup'), path('link.backup.tmp');
is sole('backup', '-o', 'kept', path('link.backup'))->{status}, 73, 'a link in the way is not followed';
is slurp(path('old.backup')), 'old', '... and what it leads to is as it was';

# A large state, so that there is a middle. The reader stands still behind a full pipe.
my $big = 'x' x 200_000;
put_many($client, 150);

sub put_many {
    my ($socket, $count) = @_;
    ask($socket, item(RUN, op(PUT, "big/$_", $big))) for 1 .. $count;
}

pipe my $out, my $in or die "pipe: $!\n";
my $slow = start({ stdout => "/proc/$$/fd/" . fileno $in }, 'sole', 'backup', '-o', 'kept', '-t', '60s', '-');
close $in;
my $first = '';
sysread $out, $first, 65536;
is substr($first, 0, 4), 'SNAP', 'a backup that nobody reads has begun';
is sole(qw(add -o kept apples 1))->{out}, "16\n", '... and its owner goes on';
is status($client)->{state}, 'serving', '... with everything';

# Its client is killed: the owner lets go of it, and of its child and file.
$slow->signal(9);
$slow->finish(10);
close $out;
ok wait_until { !descendants($owner->{pid}) }, 'a client that dies takes its backup with it: no child is left';
ok wait_until { !grep { (readlink // '') =~ /deleted/ } glob "/proc/$owner->{pid}/fd/*" }, '... and no file';

# The owner is killed in the middle: no file comes to be, and it starts at once.
my $half = start('sole', 'backup', '-o', 'kept', '-t', '3s', path('half.backup'));
wait_until { -e path('half.backup.tmp') };
$owner->signal(9);
$owner->finish(10);
my $children = wait_until { !descendants($owner->{pid}) };
ok $children, 'a child does not outlive its owner';
$owner = start_owner('kept', '--state', $state);
$half->finish(30);
my $made = -e path('half.backup');
is $half->{status} == 0 ? 1 : 0, $made ? 1 : 0, 'over the death of its owner a backup is begun again, or there is none';
if ($made) {
    my $again = restored(path('half.backup'));
    is sole('get', '-o', "restored$restored", 'apples')->{out}, "16\n", '... and what there is, is whole';
    is $again->stop, 0, '... its owner ends well';
}
ok !-e path('half.backup.tmp'), '... and nothing is left of it';
$got = sole(qw(get -o kept apples));
is $got->{out}, "16\n", 'what was answered is there';

is $owner->stop, 0, 'the owner ends well';

# ---- in memory ----

my $memory = start_owner('memory');
my $wire   = dealer(endpoint('memory'));
my $session = open_session($wire);
ask($wire, item(RUN, op(PUT, 'k', \7), session => $session, sequence => 1));
unlike sole(qw(put -v -o memory l 1))->{err}, qr/durable/, 'in memory nothing is said to be on disk';
fate_is('memory', [$session, 1], 0, qr/^ran: .*\n0\n\z/, 'in memory a living session tells');
my @ended = told_of(sole(qw(put -v -o memory k 8)));
fate_is('memory', \@ended, 3, qr/^unknown: session-forgotten: /, '... and one that has ended is not known');

# Eight writers move units between sixteen accounts, all or none, in memory and on disk: whatever moment a backup is
# of, the sum is the same.
my $mover = <<'SH';
n=$3
while [ ! -e "$2" ]; do
    n=$(((n * 69069 + 1) % 65536)); from=$((n / 16 % 16)); to=$((n / 256 % 16)); amount=$((n % 50 + 1))
    "$0" txn -q -o "$1" -t 60s "add account/$from -$amount" "add account/$to $amount" >/dev/null || exit 1
done
SH

sub sums_are_conserved {
    my ($name, $socket, $process) = @_;
    ask($socket, item(RUN, join '', map { op(PUT, "account/$_", \1000) } 0 .. 15));
    my @writers = map {
        start({ name => 'writer' }, '/bin/sh', '-c', $mover, program('sole'), $name, path("enough-$name"), $_)
    } 1 .. 8;
    my $before = status($socket)->{revision};
    for my $n (1 .. 3) {
        ok wait_until { status($socket)->{revision} > $before + 20 }, "$name: they are at it";
        my $file = path("$name-$n.backup");
        is sole('backup', '-o', $name, '-t', '60s', $file)->{status}, 0, "$name: backup $n under eight writers";
        $before = status($socket)->{revision};
        my $owner = restored($file);
        my @lines = split /\n/, sole('scan', '-o', "restored$restored", 'account/')->{out};
        is scalar @lines, 16, '... has every account';
        my $sum = 0;
        $sum += (split /\t/)[1] for @lines;
        is $sum, 16_000, '... and the sum is what it always was';
        is $owner->stop, 0, '... its owner ends well';
    }
    spew("enough-$name", '');
    is join(' ', map { $_->finish(20); $_->{status} } @writers), '0 0 0 0 0 0 0 0', "$name: the writers had their way";
    is $process->stop, 0, 'and that owner ends well';
}

sums_are_conserved('memory', $wire, $memory);
my $durable = start_owner('durable', '--state', path('durable'));
sums_are_conserved('durable', dealer(endpoint('durable')), $durable);

done_testing;
