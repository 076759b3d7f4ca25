#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A durable owner meets the worst at each of its system calls in turn: it is killed there, the call fails with EIO, or
# with ENOSPC once or from then on, a write is short. It does so in each part of its life: with new state (append, sync,
# segments, snapshots, the clean end), taking up one whose last round is torn, and while a child writes a snapshot.
# After each, the next owner must have all that was answered, run what was not answered once when it is
# asked again, and leave a folder that --verify finds sound. An owner that goes on must have said what failed;
# one that ends must not have answered, and say why in one line, with EX_IOERR.
#
# Of nearly a thousand cases it takes an even choice, another one each time; FAULTS=all takes all of them.
# Then the disk becomes full: a small tmpfs, in a mount namespace of this test's own.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

BEGIN {
    if (!$ENV{SOLE_TEST_NAMESPACE} && $> == 0 && system('unshare -m true 2>/dev/null') == 0) {
        $ENV{SOLE_TEST_NAMESPACE} = 1;
        exec 'unshare', '-m', '--propagation', 'private', $^X, $0 or die "unshare: $!\n";
    }
}

use File::Temp qw(tempdir);
use Sole::Crash;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time sleep);
use ZMQ::FFI::Constants qw(ZMQ_RCVTIMEO ZMQ_DONTWAIT);

use constant { CHOSEN => 100, COMMANDS => 18, BLOB => 7000, EX_IOERR => 74 };

my ($strace) = grep { -x } map { "$_/strace" } split /:/, $ENV{PATH};
plan skip_all => 'there is no strace' if !$strace;
plan skip_all => 'strace may not trace here' if run($strace, '-o', '/dev/null', '/bin/true')->{status} != 0;
plan skip_all => 'sanitizers and valgrind do not run under strace'
    if $ENV{SOLE_WRAPPER} || slurp(program('sole-owner')) =~ /__asan_init/;

# The folders are in memory: a thousand lives, and this is not about the machine's own disk.
my $memory = tempdir('sole-test-XXXXXX', DIR => -w '/dev/shm' ? '/dev/shm' : folder(), CLEANUP => 1);
my $state  = "$memory/state";
# In the test's own folder: the linker takes a blank in LD_PRELOAD for the end of a path.
my $short = spew('short.so', slurp(client_program() =~ s{client\z}{short.so}r));
my $trace  = path('trace');
my $told   = path('told');
my @small  = ('--keep-snapshots', '1', '--drain', '100ms', '-q');
note('SEED=' . SEED);

# ---- one client, which knows what it was told ----

# Asks, and waits until the answer is there or the owner is not. The answer's item, or undef.
sub ask_owner {
    my ($client, $owner, $item) = @_;
    my $socket = $client->{socket};
    send_body($socket, message($item));
    my $end = time + seconds(20);
    for (;;) {
        my $running = $owner->running;    # before the last look
        my $reply = receive_message($socket);
        return $reply->{items}[0] if $reply && $reply->{items}[0]{kind} == RUN;
        return if !$running;
        die "neither an answer nor an end\n" if time > $end;
    }
}

sub connected {
    my $socket = dealer(endpoint('faulty'));
    $socket->set(ZMQ_RCVTIMEO, 'int', 20);
    return { socket => $socket, session => 0, asked => 0, answered => 0 };
}

sub command {
    my ($sequence, $client) = @_;
    return item(RUN, op(ADD, 'sum', \1) . op(PUT, 'blob', chr(65 + $sequence) x BLOB), session => $client->{session}, sequence => $sequence);
}

sub open_with_owner {
    my ($client, $owner) = @_;
    my $socket = $client->{socket};
    send_body($socket, message(item(OPEN, list(pack('L< L< Q<', $$, 7, time * 1e6), \600_000))));
    my $end = time + seconds(20);
    while (time < $end) {
        my $running = $owner->running;
        my $reply = receive_message($socket);
        return $client->{session} = $reply->{items}[0]{session} if $reply && $reply->{items}[0]{kind} == OPEN;
        return 0 if !$running;
    }
    die "neither a session nor an end\n";
}

# Up to so many commands, one after the other. False when one was not answered.
sub commands {
    my ($client, $owner, $count) = @_;
    $client->{session} || open_with_owner($client, $owner) || return 0;
    for (1 .. $count) {
        my $item = ask_owner($client, $owner, command(++$client->{asked}, $client)) // return 0;
        die "refused: $item->{code}\n" if $item->{code} != 0;
        $client->{answered} = $client->{asked};
        $client->{sum} = $item->{lists}[0][0];
    }
    return 1;
}

# ---- the parts of its life ----

sub fresh { system('rm', '-rf', $state, $trace, $told); return }

sub owner_at {
    my ($options, @wrapper) = @_;
    return start({ name => 'owner', env => $options->{env} // {} }, @wrapper, program('sole-owner'), '--state', $state, @small,
        '--snapshot-after', $options->{snapshot_after} // '64K', '--journal-segment', $options->{segment} // '64K', 'faulty');
}

# A part is prepared in `template`, and its calls are met by `inject` (nothing: a life without faults). Each leaves
# { client, owner, ended_early }.
sub live {
    my ($part, $inject, $env) = @_;
    fresh();
    system('cp', '-a', $part->{template}, $state) if $part->{template};
    my $client = connected();
    @$client{qw(session asked answered sum)} = @{ $part->{client} }{qw(session asked answered sum)} if $part->{client};
    my @wrapper = $inject && !$part->{attach} ? ($strace, '-D', '-f', '--seccomp-bpf', '-q', '-o', $trace, @$inject) : ();
    my $owner = owner_at({ env => $env, %$part }, @wrapper);
    my $tracer;
    my $ready = $owner->wait_notice(qr/^READY=1/) || !$owner->running;
    if ($part->{attach} && $inject) {
        $tracer = start({ name => 'strace', notify => 0 }, $strace, '-f', '-o', $trace, '-p', $owner->pid, @$inject);
        $tracer->wait_output(err => qr/attached/) or die 'strace does not attach: ' . $tracer->err;
    }
    my $early = !$ready || !commands($client, $owner, $part->{commands});
    # What the children do, too.
    wait_until { (() = $owner->err =~ /: snapshot of round|snapshot failed|no snapshot can/g) >= ($part->{snapshots} // 0) || !$owner->running } 5 if !$early;
    $early ||= !$owner->running;
    $owner->signal('TERM') if !$early;
    $owner->finish;
    my $pid = $owner->pid;
    wait_until { $tracer ? !$tracer->running : slurp($trace) =~ /^(?:$pid +)?\+\+\+ /m } 5 if $inject;
    return { client => $client, owner => $owner, early => $early };
}

# What must be so afterwards. Returns what is not, as sentences.
my (%line, $restarts);
sub odd_things {
    my ($life, $kind) = @_;
    my ($client, $owner) = @$life{qw(client owner)};
    my @odd;
    my @lines = grep { !/: (?:history |cut off |snapshot of round|nothing was there|faulty: serving|told to stop)|history [0-9a-f]{16}, incarnation/ } split /\n/, $owner->err;
    my $status = $owner->{status} // "signal $owner->{signal}";
    if ($kind eq 'KILL') {
        push @odd, "said: @lines" if $status eq 'signal 9' && grep { !/the snapshot failed/ } @lines;
        push @odd, "ended with $status: @lines" if $status !~ /^(?:signal 9|0|74)$/;
    } else {
        push @odd, "ended with $status: @lines" if $status !~ /^(?:0|74|73|77|71)$/;
        push @odd, 'ended without a word' if $status ne '0' && !@lines;
        push @odd, 'ended with ' . @lines . " lines: @lines" if $status ne '0' && (grep { !/no segment could be made|the snapshot failed|no snapshot can be begun|cannot be removed: |the file crashed of the state / } @lines) != 1;
        push @odd, 'answered, and then ended' if $status eq '74' && $life->{early} && $client->{asked} && $client->{answered} == $client->{asked};
    }
    $line{ $_ =~ s/^sole-owner: //r =~ s/[0-9a-f]{16}/X/gr =~ s/\d+/N/gr =~ s/\Q$state\E/DIR/r }++ for @lines;

    # The next owner has it all, and runs what was not answered once.
    my $next = owner_at({ snapshot_after => '1M' });
    $restarts++;
    if (!$next->wait_notice(qr/^READY=1/)) {
        $next->finish;
        return @odd, 'the next owner does not start: ' . $next->err;
    }
    if ($client->{session}) {
        my $again = $client->{answered} + 1;
        my $item = ask_owner($client, $next, command($again, $client));
        my $sum = $item ? $item->{lists}[0][0] // "code $item->{code}" : 'no answer';
        push @odd, "$client->{answered} were answered, and asked for the next it says $sum" if $sum ne $again;
    }
    kill KILL => $next->pid;
    $next->finish;
    my $verify = run('sole-owner', '--verify', $state);
    push @odd, "not sound: $verify->{out}$verify->{err}" if $verify->{status} != 0;
    unlink map { @$_{qw(out_file err_file)} } $owner, $next, $verify;
    close delete $_->{notify} for $owner, $next;
    return @odd;
}

# ---- what there is to be met ----

my %parts = (
    'new state' => { commands => COMMANDS, calls => [qw(pwrite64 fdatasync fsync renameat unlinkat openat mkdir)] },
    'a torn tail' => { commands => 2, calls => [qw(pwrite64 fdatasync fsync renameat unlinkat openat pread64)] },
    'a snapshot' => { commands => COMMANDS, attach => 1, segment => '1M', snapshots => 1,
        calls => [qw(pwrite64 write fdatasync fsync renameat unlinkat openat)] },
);

# The folder with a torn tail: killed in the middle of writing its fifth round or so.
{
    my $part = { commands => COMMANDS };
    my $life = live($part, undef, { LD_PRELOAD => $short, SHORT_WRITE => 9, SHORT_KILL => 1 });
    is($life->{owner}{signal}, 9, 'an owner is killed in the middle of a write');
    my $look = run('sole-owner', '--verify', $state);
    like($look->{out} . $look->{err}, qr/torn|unfinished|cut off|not finished|being written/i, 'and leaves a torn tail');
    system('cp', '-a', $state, "$memory/torn");
    $parts{'a torn tail'}{template} = "$memory/torn";
    $parts{'a torn tail'}{client} = $life->{client};
    $life->{client}{asked} = $life->{client}{answered};
}

# Where strace is to look: calls of which there are others than the folder's.
sub only {
    my ($call) = @_;
    return ('-P', $state) if $call eq 'openat' || $call eq 'mkdir';
    return map { ('-P', $_ =~ s/^\Q$memory\E.torn/$state/r) } glob "$memory/torn/*-*" if $call eq 'pread64';
    return map { ('-P', sprintf "$state/snapshot-%016x.tmp", $_) } 1 .. 40 if $call eq 'write';
    return;
}

# How often each call comes at the most, in one thread of one process.
my @cases;
my %writes;
for my $name (sort keys %parts) {
    my $part = $parts{$name};
    for my $call (@{ $part->{calls} }) {
        my $life = live($part, [ only($call), '-e', "trace=$call" ]);
        die "$name: $call: " . $life->{owner}->err if $life->{early};
        my %count;
        $count{ $_ // 'main' }++ for slurp($trace) =~ /^(\d+ +)?$call\(/mg;
        my ($most) = sort { $b <=> $a } values %count, 0;
        note("$name: $most times $call");
        $writes{$name} = $most if $call eq 'pwrite64';
        my @kinds = ('KILL', 'EIO', $call =~ /write|sync|open|rename|mkdir/ ? qw(ENOSPC ENOSPC+) : ());
        for my $nth (1 .. $most) {
            push @cases, { part => $name, call => $call, nth => $nth, kind => $_,
                inject => [ only($call), '-e', "trace=$call", '-e',
                    "inject=$call:" . ($_ eq 'KILL' ? 'signal=KILL' : 'error=' . s/\+//r) . ":when=$nth" . (/\+/ ? '+' : '') ] }
                for @kinds;
        }
    }
    for my $kind (qw(short short+ short-and-killed)) {
        my @env = (LD_PRELOAD => $short, SHORT_TOLD => $told, $kind eq 'short+' ? (SHORT_FROM => 1) : (), $kind eq 'short-and-killed' ? (SHORT_KILL => 1) : ());
        push @cases, { part => $name, call => 'write', nth => $_, kind => $kind, env => { @env, SHORT_WRITE => $_ } } for 1 .. ($kind eq 'short+' ? 1 : $writes{$name});
    }
}

my $all = @cases;
if (($ENV{FAULTS} // '') ne 'all') {
    my $step = $all / CHOSEN;
    my $from = random_below(1000) / 1000 * $step;
    @cases = map { $cases[ $from + $_ * $step ] } 0 .. CHOSEN - 1;
}
my (%met, @odd);
my $began = time;
for my $case (@cases) {
    my $life = live($parts{ $case->{part} }, @$case{qw(inject env)});
    my $met = $case->{env} ? -e $told : slurp($trace) =~ /INJECTED|killed by SIGKILL/;
    my $kind = $case->{kind} =~ /kill/i ? 'KILL' : $case->{kind};
    $met{ $met ? $case->{kind} : 'not met' }++;
    push @odd, map { "$case->{part}, $case->{call} $case->{nth} $case->{kind}: $_\n" } odd_things($life, $kind);
}
is(join('', @odd[0 .. ($#odd > 9 ? 9 : $#odd)]), '', 'whatever fails, or kills, at whichever call: nothing answered is lost, nothing is run twice');
diag(scalar @odd, ' odd things') if @odd;
note(sprintf '%d of %d cases in %.1f s: %s; %d restarts', scalar @cases, $all, time - $began, join(', ', map { "$_ $met{$_}" } sort keys %met), $restarts);
note("said $line{$_} times: $_") for sort keys %line;
cmp_ok($met{'not met'} // 0, '<', 0.5 * @cases, 'and most of what was planned came to pass');

# ---- a disk that is full ----

SKIP: {
    my $at = path('disk');
    mkdir $at;
    my $mount = sub { run('/bin/mount', '-t', 'tmpfs', '-o', $_[0], 'small', $at)->{status} == 0 };
    skip 'no small disk can be mounted: only root can, in a mount namespace of its own', 1 if !$ENV{SOLE_TEST_NAMESPACE} || !$mount->('size=500k');
    $state = "$at/state";
    my @full = (snapshot_after => '64K', segment => '64K');
    @small = ('--keep-snapshots', '1000', '--drain', '100ms', '-q');

    my $client = connected();
    my $owner  = owner_at({@full});
    ok(!commands($client, $owner, 1000), 'a disk becomes full under an owner');
    is($owner->finish, EX_IOERR, 'it ends with EX_IOERR');
    my @lines = grep { /: ending, since what was not written must not be answered/ } split /\n/, $owner->err;
    is(scalar @lines, 1, 'and says why') or diag($owner->err);
    line_like("@lines\n", qr/No space left on device/, 'in one line');
    cmp_ok($client->{answered}, '==', $client->{asked} - 1, "$client->{answered} commands were answered before, and not the one that found no room");

    my $again = owner_at({@full});
    # What the first had made ahead of need and not used is gone, which may leave room for a few more.
    $client->{asked} = $client->{answered};
    my $served = $again->wait_notice(qr/^READY=1/) && commands($client, $again, 1000);
    ok(!$served, 'while there is no room, it comes to the same');
    is($again->finish, EX_IOERR, 'and the next owner ends as the first did') or diag($again->err);

    ok($mount->('remount,size=16m'), 'room is made');
    my $next = owner_at({@full});
    is(ask_owner($client, $next, command($client->{asked}, $client))->{lists}[0][0], $client->{asked}, 'then all that was answered is there, and the rest runs once');
    is($next->stop, 0, 'and it goes on');
    is(run('sole-owner', '--verify', $state)->{status}, 0, 'with a sound folder');

    # Under a supervisor: each start is as vain as the one before, until there is room.
    system('rm', '-rf', $state);
    $mount->('remount,size=500k');
    my $file = spew('full.zpl', "strategy = one_for_one\nintensity = 50\nperiod = 10s\nchild = owner\n    command = " . (program('sole-owner') =~ s/ /\\ /gr)
            . " --state $state --snapshot-after 64K --journal-segment 64K -q faulty\n    ready = notify\n");
    my $supervisor = start({ name => 'supervisor' }, 'sole-supervisor', $file);
    $supervisor->wait_output(err => qr/children are ready|child is ready/);
    my $other = connected();
    my $deaths = sub { my $n = () = $supervisor->err =~ /No space left on device: ending/g; return $n };
    my $sequence = 0;
    open_with_owner($other, $supervisor);
    my $ask = sub {
        my $item;
        send_body($other->{socket}, message(command($sequence + 1, $other)));
        my $end = time + 0.2;
        $item = receive_message($other->{socket}) while !$item && time < $end;
        return if !$item || $item->{items}[0]{kind} != RUN || $item->{items}[0]{code} != 0;
        $sequence = $item->{items}[0]{sequence} if $item->{items}[0]{sequence} > $sequence;
        return 1;
    };
    wait_until { $ask->(); $deaths->() >= 4 } 60;
    my $first = time;
    my $before = $deaths->();
    wait_until { $ask->(); $deaths->() >= $before + 3 } 60;
    my ($more, $took) = ($deaths->() - $before, time - $first);
    cmp_ok($more, '>=', 3, 'a supervisor starts it again');
    cmp_ok($more / $took, '<', 10, sprintf 'and does not spin: %d times in %.1f s', $more, $took);
    ok($supervisor->running, 'nor gives up');
    my $had = $sequence;
    $mount->('remount,size=16m');
    wait_until { $ask->() && $sequence > $had } 30;
    cmp_ok($sequence, '>', $had, 'when there is room, what had waited is answered');
    is($supervisor->stop, 0, 'and all of it ends well');
    my $last = owner_at({@full});
    $last->wait_ready;
    is(get(dealer(endpoint('faulty')), 'sum'), $sequence, "with $sequence commands run, each once");
    $last->stop;
    run('/bin/umount', $at);
}
done_testing;
