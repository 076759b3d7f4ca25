#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# What an administrator does to an owner while it runs: lists and ends sessions, makes it read-only, and is warned before
# its disk is full.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Sole::Test;
use Sole::Wire;
use Test::More;

use constant { CONFLICT => 9, READ_ONLY_CODE => 20, FORGOTTEN => 100 };

sub sole { return run({ name => 'sole' }, 'sole', '-o', 'run', @_) }
sub told { my ($name, $kind) = @_; return sole($kind // 'status')->{out} =~ /^\Q$name\E:?\s+(\S+)/m ? $1 : undef }

my $owner = start_owner('run', '--state', path('state'));

# ---- sessions ----

my $holder = start({ notify => 0, name => 'holder' }, 'sole', '-o', 'run', 'lock', 'l', '--', '/bin/sleep', '100');
ok wait_until { sole('call', '-j', 'holder', 'l')->{out} =~ /^\[[1-9]/ }, 'a lock is held';
my $listed = sole('sessions');
is $listed->{status}, 0, 'the sessions are listed';
my $pid = $holder->pid;
my $me  = getpwuid $>;
like $listed->{out}, qr/\ASESSION +USER +PID +COMMANDS +WAITING +SILENT +PROGRAM\n(\d+) +\Q$me\E +$pid +1 +0 +\S+ +sole\n\z/, '... each with whose it is';
my ($session) = $listed->{out} =~ /^(\d+)/m;
my $told = decode_json(sole('sessions', '-j')->{out});
is_deeply [@$told{qw(uid gid pid key commands waiting silence_ms)}], [$>, $( + 0, $pid, undef, 1, 0, 30000], '... as JSON, too';
is "$told->{session}", $session, '... with the same id';

is sole('sessions', 'end', $session)->{status}, 0, 'one is ended';
is sole('call', '-j', 'holder', 'l')->{out}, "[null,null,0]\n", '... and what it held is free';
is sole('sessions')->{out} =~ /^\d/m, '', '... and it is listed no more';
my $again = sole('sessions', 'end', $session);
is $again->{status}, 1, 'ending it twice: status 1';
line_like $again->{err}, qr/^sole: there is no session of this id \(any more\)$/, '... and the line says why';
is sole('-q', 'sessions', 'end', $session)->{err}, '', '... unless it is to be quiet';
is $holder->finish(seconds(30)), 143, 'its client hears that the lock is lost, and ends what it ran for it' or diag $holder->err;
is told('sessions_ended', 'stats'), 1, 'which is counted';
for my $wrong (['end'], ['end', 'x'], ['begin', '1'], ['end', '0']) {
    is sole('sessions', @$wrong)->{status}, 64, "sole sessions @$wrong: status 64";
}

# Many of them: over pages.
my $raw = dealer(endpoint('run'));
ask($raw, item(HELLO, list(\1, \1, 'test'), flags => NOTICES));
for my $batch (0 .. 2) {
    ask($raw, map { item(OPEN, list(pack('L< L< Q<', $batch, $_, 7), \0)) } 1 .. 800);
}
my %seen = map { decode_json($_)->{session} => 1 } split /\n/, sole('sessions', '-j')->{out};
is keys %seen, 2400, 'each of many sessions is listed once';

# ---- read-only ----

is sole('read-only')->{out}, "off\n", 'an owner takes commands';
is sole('read-only', 'on')->{status}, 0, 'until it is told not to';
is sole('read-only')->{out}, "on\n", '... as it says';
is sole('read-only', '-j')->{out}, qq({"read_only":true}\n), '... as JSON, too';
is told('read-only'), 1, '... and in its status';
for my $command (['put', 'k', '1'], ['txn', 'get k', 'put k 1'], ['lock', 'l', '--', 'true'], ['call', 'put', 'k', '1']) {
    my $ran = sole(@$command);
    is $ran->{status}, 2, "refused: sole $command->[0]";
    line_like $ran->{err}, qr/refused: read-only: the owner is read-only: it takes queries, and no commands until told otherwise/, '... with the reason';
}
is sole('get', '-q', 'k')->{status}, 1, 'queries are answered';
is sole('txn', 'get k', 'count')->{status}, 0, '... several at once, too';
my $id = open_session($raw);
is ask($raw, item(RUN, op(PUT, 'k', \1), session => $id, sequence => 1))->{code}, READ_ONLY_CODE, 'a command takes its place in its session';
is sole('read-only', 'off')->{status}, 0, 'it is told to take commands again';
is ask($raw, item(RUN, op(PUT, 'k', \1), session => $id, sequence => 1))->{code}, READ_ONLY_CODE, 'a retry of what was refused hears the same';
is ask($raw, item(RUN, op(PUT, 'k', \2), session => $id, sequence => 2))->{code}, 0, '... and the next command runs';
is get($raw, 'k'), 2, '... and it alone';
is told('read_only_refused', 'stats'), 5, 'each is counted';
like $owner->err, qr/^sole-owner: read-only: commands are refused, told so by uid $>, pid \d+\n.*^sole-owner: commands are taken again, told so by uid $>, pid \d+$/ms,
    'the log has who told it so, both times';
is sole('read-only', 'perhaps')->{status}, 64, 'neither on nor off: status 64';
sole('read-only', 'on');
$owner->stop('KILL');
$owner = start_owner('run', '--state', path('state'));
is sole('read-only')->{out}, "off\n", 'an owner that starts anew is what its settings say';
is $owner->stop, 0, 'it ends well';
$owner = start_owner('run', '--state', path('state'), '--read-only');
is sole('put', 'k', '3')->{status}, 2, '... which may be read-only';
is sole('read-only', 'off')->{status}, 0, '... until somebody says otherwise';
is sole('put', 'k', '3')->{status}, 0, '... to it';
is $owner->stop, 0, 'it ends well';

# ---- the disk ----

$owner = start_owner('run', '--state', path('state'), '--disk-warning', 2**40);
like $owner->err, qr{^sole-owner: \d+ KiB are left on the disk of \S+/state, less than disk-warning: make room, or the owner ends when there is none$}m,
    'an owner warns when less than that is left' if (my $free = told('disk-free-bytes')) < 2**40;
SKIP: {
    skip 'there is more than a TiB of disk', 3 if $free >= 2**40;
    is told('disk-low'), 1, '... and in its status';
    is told('disk_warnings', 'stats'), 1, '... and counts it';
    ok $owner->wait_notice(qr/STATUS=.*, the disk is nearly full/), '... and tells its supervisor';
}
is $owner->stop, 0, 'it ends well';

SKIP: {
    skip 'only root mounts a small disk', 6 if $> != 0;
    my $disk = path('disk');
    mkdir $disk;
    # In a namespace of its own: nothing is left mounted, whatever becomes of the test.
    my $mounted = run('/usr/bin/env', 'unshare', '-m', '/bin/sh', '-c', "mount -t tmpfs -o size=1m none '$disk'");
    skip 'nothing can be mounted here', 6 if $mounted->{status} != 0;
    my $fill = path('fill');
    my $script = "mount -t tmpfs -o size=24m none '$disk' && exec \"\$0\" run --state '$disk/state' --journal-segment 64K --disk-warning 8M";
    my $small = start({ name => 'small' }, '/usr/bin/env', 'unshare', '-m', '/bin/sh', '-c', $script, program('sole-owner'));
    $small->wait_ready;
    unlike $small->err, qr/less than disk-warning/, 'enough is left at the start';
    is told('disk-low'), 0, '... as its status says';
    my $inside = '/proc/' . $small->pid . "/root$disk";
    my $filled = sub { open my $file, '>', "$inside/filler" or die "cannot fill the disk: $!\n"; print {$file} 'x' x ($_[0] << 20); close $file };
    $filled->(18);
    ok +(wait_until { $small->err =~ /less than disk-warning/ } seconds(20)), 'when it has become less, it is told';
    is told('disk-low'), 1, '... in the status, too';
    is sole('put', 'k', '1')->{status}, 0, '... and the owner goes on';
    unlink "$inside/filler";
    ok +(wait_until { $small->err =~ /MiB are left on the disk of .*: enough again$/m } seconds(20)), 'and when there is enough again';
    is told('disk-low'), 0, '... in the status, too';
    is $small->stop, 0, 'it ends well';
}

done_testing;
