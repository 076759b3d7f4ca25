#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# An owner with --state: what it has answered is there after SIGKILL and after a clean end, sessions,
# locks and watches go on, and a start that cannot be right is refused in one line.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;

my $state = path('state');

sub owner { return start_owner({ name => 'owner' }, '--state', $state, @_, 'kept') }
sub sole  { return run('sole', '-o', 'kept', @_) }

sub value_of { my $r = sole('get', @_); return $r->{status} == 0 ? $r->{out} =~ s/\n\z//r : undef }

# Kills it and waits for its end, so that the next finds no lock.
sub killed { $_[0]->signal('KILL'); $_[0]->finish }

my $owner = owner();
is((stat $state)[2] & 07777, 0700, 'the folder is made, and is nobody else\'s');
is(sole('put', 'apples', '12')->{status}, 0, 'a value is put');
is(sole('add', 'apples', '3')->{out}, "15\n", 'and added to');
my ($history) = sole('-v', 'get', 'apples')->{err} =~ /history ([0-9a-f]{16})/;
killed($owner);
$owner = owner();
is(value_of('apples'), 15, 'after SIGKILL it is there');
my ($again) = sole('-v', 'get', 'apples')->{err} =~ /history ([0-9a-f]{16})/;
is($again, $history, 'in the same history');
is($owner->stop, 0, 'a clean end');
ok(scalar(glob "$state/snapshot-*"), 'leaves a snapshot');
$owner = owner();
is(value_of('apples'), 15, 'and what it keeps is there after it');

subtest 'a second owner of the same folder is told who holds it' => sub {
    my $second = run('sole-owner', '--state', $state, 'other');
    isnt($second->{status}, 0, 'it ends');
    line_like($second->{err}, qr/\Q$state\E.*@{[ $owner->pid ]}/, 'and says whose the folder is');
};

subtest 'a command that was answered, and is sent again after SIGKILL, is not run again' => sub {
    my $socket  = dealer(endpoint('kept'));
    my $session = open_session($socket);
    my $add = item(RUN, op(ADD, 'sum', \5), session => $session, sequence => 1);
    my $first = ask($socket, $add);
    is($first->{code}, 0, 'it ran');
    killed($owner);
    $owner = owner();
    my $second = ask($socket, $add);
    is_deeply([ @$second{qw(code revision)} ], [ @$first{qw(code revision)} ], 'the stored reply, at the same revision');
    is(value_of('sum'), 5, 'it ran once');
    my $cas = item(RUN, op(CAS, 'sum', \1, \2), session => $session, sequence => 2);
    my $refused = ask($socket, $cas);
    killed($owner);
    $owner = owner();
    is_deeply(ask($socket, $cas)->{lists}, $refused->{lists}, 'a refusal is repeated, too');
    is(ask($socket, item(RUN, op(ADD, 'sum', \5), session => $session, sequence => 3))->{lists}[0][0], 10, 'the session goes on');
};

subtest 'what was held by a process that is gone goes back at the next start, and nothing else' => sub {
    my ($dead, $live) = map {
        start({ name => $_, notify => 0 }, 'sole', '-o', 'kept', 'lock', $_, '--', 'sh', '-c', 'echo $SOLE_TOKEN; exec sleep 1000')
    } qw(dead live);
    $_->wait_output(out => qr/^\d+\n/) or die 'no lock' for $dead, $live;
    killed($owner);
    killed($dead);
    $owner = owner();
    my $taken = sole('-t', '10s', 'lock', 'dead', '--', 'sh', '-c', 'echo $SOLE_TOKEN');
    is($taken->{status}, 0, 'the lock of the dead is free');
    cmp_ok($taken->{out}, '>', $dead->out, 'with a higher token');
    my $refused = sole('-t', '300ms', 'lock', 'live', '--', 'true');
    isnt($refused->{status}, 0, 'that of the living is held');
    ok($live->running, 'and its command runs');
    killed($live);
};

subtest 'a watch goes on where it was, through SIGKILL of the owner' => sub {
    my $watch = start({ name => 'watch', notify => 0 }, 'sole', '-o', 'kept', 'watch', 'w/');
    wait_until { sole('status')->{out} =~ /watches\s*=?\s*1\b/ };
    sole('put', "w/$_", $_) for 1 .. 3;
    killed($owner);
    $owner = owner();
    sole('put', "w/$_", $_) for 4 .. 6;
    ok($watch->wait_output(out => qr{w/6}), 'the last is heard');
    my @heard = $watch->out =~ m{\bw/(\d)}g;
    is("@heard", '1 2 3 4 5 6', 'each event once, in order');
    killed($watch);
};

subtest 'its callers see a pause, not an error' => sub {
    my @clients = map {
        my $n = $_;
        start({ name => "client-$n", notify => 0 }, '/bin/sh', '-c',
            'n=0; while [ $n -lt 40 ]; do "$0" -o kept add pause 1 >/dev/null || exit 1; n=$((n + 1)); done', program('sole'))
    } 1 .. 3;
    for my $time (1 .. 5) {
        my $target = 20 * $time;
        wait_until { (value_of('pause') // 0) >= $target };
        killed($owner);
        $owner = owner();
    }
    is($_->finish(60), 0, "$_->{name} heard no error") for @clients;
    is(value_of('pause'), 120, 'and each of 120 additions counts once');
};

subtest 'what does not fit together is refused in one line' => sub {
    line_like(run('sole-owner', '--durability', 'sync', 'x')->{err}, qr/--state/, 'sync without a folder');
    line_like(run('sole-owner', '--durability', 'memory', '--state', $state, 'x')->{err}, qr/memory/, 'memory with one');
    line_like(run('sole-owner', '--durability', 'often', '--state', $state, 'x')->{err}, qr/sync/, 'no such word');
    line_like(run('sole-owner', '--state', '', 'x')->{err}, qr/folder/, 'no name');
    spew('file', 'x');
    line_like(run('sole-owner', '--state', path('file'), 'x')->{err}, qr/not a directory/i, 'a file');
    line_like(run('sole-owner', '--state', path('no/such/one'), 'x')->{err}, qr/No such/, 'a folder in none');
    mkdir path('open'); chmod 0777, path('open');
    line_like(run('sole-owner', '--state', path('open'), 'x')->{err}, qr/writ/, 'one that everybody can write to');
    $owner->stop;
    my $other = run('sole-owner', '--state', $state, '--behaviour', program('ledger.so'), 'x');
    line_like($other->{err}, qr/table.*ledger/, 'another behaviour');
};

done_testing;
