#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Hostile clients: those that never read, that never end a message, that come in
# masses, that are no ZeroMQ at all. The owner stays up, its memory and its
# descriptors stay bounded, what it refuses is counted, and others are served.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Raw;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);
use ZMQ::FFI::Constants qw(:all);

use constant MEBIBYTE => 1 << 20;

# Sanitizers and valgrind take memory of their own, and keep for a while what was freed.
my $checked = $ENV{SOLE_WRAPPER} || slurp(program('sole-owner')) =~ /__asan_init|__tsan_init/;
my $factor  = $checked ? 6 : 1;

sub mebibytes { return $_[0] * MEBIBYTE * $factor }

# The most memory that a process has had, or has, in bytes.
sub memory {
    my ($process, $field) = @_;
    my ($kib) = slurp('/proc/' . $process->pid . '/status') =~ /^$field:\s+(\d+) kB/m;
    return $kib * 1024;
}
sub given_back { my ($process) = @_; return $checked || wait_until { memory($process, 'VmRSS') < 96 * MEBIBYTE } }
sub memory_peak { return memory($_[0], 'VmHWM') }

sub descriptors { my ($process) = @_; my @open = glob '/proc/' . $process->pid . '/fd/*'; return scalar @open }

# The longest of so many pings.
sub longest_ping {
    my ($client, $count) = @_;
    my $longest = 0;
    for (1 .. $count) {
        my $start = time;
        ask($client, item(PING, ''));
        $longest = time - $start if time - $start > $longest;
    }
    return $longest;
}

# ---- one owner for most ----

my $owner  = start_owner('hostile', '--memory-mark', 256 * $factor . 'MiB');
my $client = dealer(endpoint('hostile'));
ask($client, item(RUN, op(PUT, 'large', 'v' x 200_000)));

# Looked at again at the end: a handshake has five seconds.
my $silent = raw_connect('hostile');

subtest 'clients that never read do not make the owner grow, and cost others nothing' => sub {
    my $before = memory_peak($owner);
    my @deaf   = map { dealer(endpoint('hostile'), receive => 1, send => 0) } 1 .. 4;
    for my $n (1 .. 500) {
        send_body($_, message(item(RUN, op(GET, 'large'), flags => QUERY))) for @deaf;
        ask($client, item(PING, '')) if $n % 50 == 0;
    }
    ok wait_until { counters($client)->{outbox_waits} >= 4 }, 'that answers wait is counted';
    my $counters = counters($client);
    cmp_ok $counters->{reads}, '<', 1000, 'what they ask meanwhile waits in their own sockets';
    is $counters->{outbox_drops}, 0, 'and no answer has to be dropped';
    cmp_ok status($client)->{'outbox-bytes'}, '<=', 16 * MEBIBYTE, 'what waits is bounded for each';
    cmp_ok memory_peak($owner) - $before, '<', mebibytes(96), 'memory is bounded';
    cmp_ok longest_ping($client, 200), '<', seconds(1), 'another client has its answers in time';
    my $one = $deaf[0];
    my ($served, $end) = (0, time + seconds(20));
    $served += receive_bodies($one) while $served < 500 && time < $end;
    is $served, 500, 'one that begins to read gets all its answers';
    send_body($one, message({ tag => 4711 }, item(PING, '')));
    ok wait_until { grep { read_message($_)->{tag} == 4711 } receive_bodies($one) }, 'and is served again';
    $_->close for @deaf;
    ok wait_until { status($client)->{'outbox-bytes'} == 0 }, 'when they leave nothing is kept for them';
};

subtest 'a client with many answers under way gets them as fast as it reads' => sub {
    my $eager = dealer(endpoint('hostile'), receive => 0, send => 0);
    ask($eager, item(PING, ''));
    my $start = time;
    send_body($eager, message(item(PING, ''))) for 1 .. 1000;
    is scalar(grep { defined receive_body($eager) } 1 .. 1000), 1000, 'a thousand answers';
    cmp_ok time - $start, '<', seconds(1.5), 'come at once, though a pipe holds sixteen';
    $eager->close;
};

subtest 'a message that asks for far more than it weighs is answered within bounds' => sub {
    my $before = memory_peak($owner);
    my $greedy = dealer(endpoint('hostile'), receive => 1);
    ask($greedy, item(HELLO, list(\1, \1, 'greedy'), flags => NOTICES));
    my $body = message((item(RUN, op(GET, 'large') x 5, flags => QUERY)) x 1024);
    send_body($greedy, $body) for 1 .. 4;
    my $ran = counters($client)->{requests};
    ok wait_until { counters($client)->{requests_refused} > 0 }, 'what goes beyond is refused';
    cmp_ok counters($client)->{limit_outboxes}, '>', 0, 'and counted';
    cmp_ok memory_peak($owner) - $before, '<', mebibytes(384), 'a gigabyte of answers was not made';
    cmp_ok longest_ping($client, 100), '<', seconds(1), 'another client has its answers in time';
    $greedy->close;
};

subtest 'what is no ZeroMQ is no harm' => sub {
    my @strangers;
    for my $bytes ("GET / HTTP/1.1\r\nHost: sole\r\n\r\n", "\xff", "\xff" x 64, GREETING, substr(GREETING, 0, 12), "\0" x 4096,
        GREETING . "\x04\xff" . 'x' x 255, GREETING . raw_frame(4, "\5READY" . "\xff" x 20), join('', map { chr rand 256 } 1 .. 5000)) {
        my $stranger = raw_connect('hostile') or die "cannot connect: $!\n";
        raw_write($stranger, $bytes);
        push @strangers, $stranger;
    }
    cmp_ok longest_ping($client, 50), '<', seconds(1), 'others are served while strangers talk';
    close $_ for splice @strangers, 0, 5;
    ok raw_client('hostile'), 'and can still connect';
    my $socket = raw_client('hostile');
    raw_write($socket, raw_frame(1, '') . pack('C Q>', 2, 1 << 62));
    ok raw_closed($socket), 'a frame told to be far too large ends its connection';
};

subtest 'two thousand connections come and go, and leave no descriptor behind' => sub {
    my $baseline = status($client)->{connections};
    my ($open, $memory) = (descriptors($owner), memory($owner, 'VmRSS'));
    my @kept;
    for my $n (1 .. 2000) {
        my $socket = raw_connect('hostile') or die "connection $n: $!\n";
        if ($n % 4 == 1) { raw_write($socket, substr GREETING, 0, $n % 64) }
        if ($n % 4 == 2) { raw_write($socket, GREETING) }
        if ($n % 20 == 3) { raw_handshake($socket) && raw_ping($socket) or die "connection $n is not served\n" }
        push @kept, $socket;
        close shift @kept if @kept > $n % 50;
    }
    close $_ for @kept;
    ok wait_until { descriptors($owner) <= $open }, 'the owner has as many descriptors as before'
        or diag("$open before, " . descriptors($owner) . ' after');
    ok wait_until { status($client)->{connections} <= $baseline }, 'and counts as many connections';
    cmp_ok counters($client)->{connections_opened}, '>=', 2000, 'it saw them all';
    cmp_ok memory($owner, 'VmRSS') - $memory, '<', mebibytes(24), 'memory has not grown by much';
    cmp_ok longest_ping($client, 50), '<', seconds(1), 'others are served';
};

ok raw_closed($silent, 20), 'a connection that says nothing is closed in the end';
close $silent;
$client->close;
is $owner->stop, 0, 'the owner ends well';

# ---- owners with limits ----

subtest 'a message without an end is cut when it is longer than any can be' => sub {
    my $guarded = start_owner('endless', '--memory-mark', 64 * $factor . 'MiB');
    my $good    = dealer(endpoint('endless'));
    ask($good, item(PING, ''));
    for my $bytes (1, 65536) {
        my $endless = raw_connect('endless');
        ok raw_handshake($endless), "connected, for frames of $bytes";
        my $frames = raw_frame(1, 'x' x $bytes) x (65536 / $bytes);
        my ($sent, $end) = (0, time + seconds(60));
        $sent += length $frames while time < $end && raw_write($endless, $frames);
        ok time < $end, 'the connection was cut';
        cmp_ok $sent, '<', 4 * MEBIBYTE, 'soon';
    }
    is counters($good)->{connections_wrong}, 2, 'it is counted';

    # Others stop in the middle, within bounds, and hold what they have sent: all together more than the mark.
    my @halves = map { raw_connect('endless') } 1 .. 90 * $factor;
    my $half = raw_frame(1, '') . substr raw_frame(0, 'x' x MEBIBYTE), 0, 1_000_000;
    for (@halves) { raw_handshake($_) && raw_write($_, $half) or last }
    is scalar(grep { raw_closed($_) } @halves), scalar @halves, 'many that stop in the middle of a message are cut';
    cmp_ok counters($good)->{connections_cut}, '>=', 60 * $factor, 'and counted';
    cmp_ok memory_peak($guarded), '<', mebibytes(320), 'memory was bounded';
    ok given_back($guarded), 'and is given back';
    is ask($good, item(PING, ''))->{code}, 0, 'the well-behaved client is served as before';
    is $guarded->stop, 0, 'the owner ends well';
    like $guarded->{err}, qr/over the mark: cut \d+ connections? that delivered no whole message/, 'and said so';
    $good->close;
};

subtest 'connections beyond the descriptors are refused, and the others served' => sub {
    my @wrapper = split ' ', $ENV{SOLE_WRAPPER} // '';
    my $narrow  = start({ name => 'narrow' }, '/bin/sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh', @wrapper,
        program('sole-owner'), 'narrow');
    $narrow->wait_ready;
    my (@served, $refused);
    for (1 .. 400) {
        my $socket = raw_client('narrow');
        if ($socket) { push @served, $socket }
        else { $refused++ }
    }
    cmp_ok scalar @served, '>=', 150, 'most of what the descriptors allow is used';
    cmp_ok scalar @served, '<', 256, 'and no more';
    is @served + $refused, 400, 'each of the others is refused at once';
    is scalar(grep { raw_ping($_) } @served), scalar @served, 'all that are in are served';
    cmp_ok raw_ask_stats($served[0])->{connections_refused}, '>=', $refused, 'the refusals are counted';
    my $most = @served;
    close $_ for splice @served, 1, 50;
    my $again = 0;
    ok wait_until { my $socket = raw_client('narrow'); push @served, $socket if $socket; $again += !!$socket; $again >= 40 },
        'when some leave others may come';
    cmp_ok scalar @served, '<=', $most, 'up to the same number';

    # All at once, while the owner is too busy to count them: only accept itself can refuse.
    my $before = raw_ask_stats($served[0])->{connections_refused};
    my $busy   = dealer(endpoint('narrow'), send => 0);
    my $long   = message((item(RUN, op(COUNT) x 1024, flags => QUERY)) x 300);
    close pop @served;
    ok wait_until { ask($busy, item(PING, ''))->{code} == 0 }, 'somebody keeps the owner busy';
    close $_ for splice @served, 1;
    ok wait_until { descriptors($narrow) < 60 }, 'nearly all leave';
    send_body($busy, $long) for 1 .. 30;
    my @mass = map { raw_connect('narrow') } 1 .. 400;
    is scalar(grep { defined } @mass), 400, '400 come at once';
    ok wait_until { raw_ask_stats($served[0])->{connections_refused} > $before }, 'refused are those for whom there is no descriptor';
    is scalar(grep { defined receive_body($busy) } 1 .. 30), 30, 'what the owner was busy with is answered';
    close $_ for @mass;
    $busy->close;
    ok wait_until { my $socket = raw_client('narrow'); !!$socket }, 'and it serves others afterwards';
    is $narrow->stop, 0, 'the owner ends well';
};

subtest '--max-connections' => sub {
    my $small  = start_owner('small', '--max-connections', 10);
    my @served = map { raw_client('small') } 1 .. 10;
    is scalar(grep { defined } @served), 10, 'ten are served';
    for (1 .. 5) {
        my $more = raw_connect('small');
        # Far enough that nothing but the limit would close it.
        raw_handshake($more);
        ok raw_closed($more), 'one more is refused';
    }
    is scalar(grep { raw_ping($_) } @served), 10, 'those that are in do not notice';
    is raw_ask_stats($served[0])->{connections_refused}, 5, 'and it is counted';
    close shift @served;
    my $next;
    ok wait_until { $next = raw_client('small') }, 'when one leaves another may come';
    is $small->stop, 0, 'the owner ends well';
};

# Counters over a raw connection, for owners that have no place for one more client.
sub raw_ask_stats {
    my ($socket) = @_;
    raw_write($socket, raw_frame(1, '') . raw_frame(0, message(item(STATS, ''))));
    my $head = raw_read($socket, 2 + 9) // return {};
    my $size = unpack 'x3 Q>', $head;
    my $reply = read_message(raw_read($socket, $size) // return {});
    return { map { $_->[0] => $_->[1] } @{ $reply->{items}[0]{lists} } };
}

done_testing;
