#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Hostile peers on tcp: in masses, silent, garbled, with wrong keys as fast as they can. What the limits of
# an owner promise holds for them as for those of a Unix socket, and its log stays readable.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM SOL_SOCKET SO_LINGER);
use Sole::Raw qw(raw_closed);
use Sole::Remote;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);
use ZMQ::FFI::Constants qw(:all);

my $checked = $ENV{SOLE_WRAPPER} || slurp(program('sole-owner')) =~ /__asan_init|__tsan_init/;
my $factor  = $checked ? 6 : 1;

use constant CURVE_GREETING => pack 'C x8 C C C a20 C x31', 0xff, 0x7f, 3, 1, 'CURVE', 0;
use constant CLEAR_GREETING => pack 'C x8 C C C a20 C x31', 0xff, 0x7f, 3, 1, 'NULL', 0;

sub descriptors { my ($process) = @_; my @open = glob '/proc/' . $process->pid . '/fd/*'; return scalar @open }

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

sub frame { my ($flags, $bytes) = @_; return length $bytes < 256 ? pack('C C/a*', $flags, $bytes) : pack('C Q>/a*', $flags | 2, $bytes) }

# In the clear, by hand: true when it is served.
sub clear_client {
    my ($at) = @_;
    my $socket = tcp_connect($at) // return;
    syswrite $socket, CLEAR_GREETING . frame(4, pack('C/a* C/a* N/a*', 'READY', 'Socket-Type', 'DEALER'));
    my ($heard, $end) = ('', time + seconds(10));
    while ($heard !~ /READY.*Socket-Type/s && time < $end) {
        IO::Select->new($socket)->can_read($end - time > 0 ? $end - time : 0) or return;
        sysread($socket, $heard, 4096, length $heard) or return;
    }
    return ping($socket) ? $socket : undef;
}

sub ping {
    my ($socket) = @_;
    my ($heard, $end) = ('', time + seconds(10));
    syswrite $socket, frame(1, '') . frame(0, message(item(PING, '')));
    while ($heard !~ /SOLE.{60}/s && time < $end) {
        IO::Select->new($socket)->can_read($end - time > 0 ? $end - time : 0) or return 0;
        sysread($socket, $heard, 4096, length $heard) or return 0;
    }
    return 1;
}

let_in('keys', 'alice');
my ($owner, $at) = remote_owner('hostile');
my $alice = keyed($at, 'alice');
my $local = dealer(endpoint('hostile'));
ask($alice, item(PING, ''));

# Looked at again at the end: a handshake has five seconds.
my $silent = tcp_connect($at);
my $half   = tcp_connect($at);
syswrite $half, CURVE_GREETING;

subtest 'what is no CURVE is no harm' => sub {
    my $hello = "\5HELLO\1\0" . "\0" x 72 . join('', map { chr rand 256 } 1 .. 120);
    my @strangers;
    for my $bytes ("GET / HTTP/1.1\r\n\r\n", "\x16\3\1\2\0\1\0\1\xfc\3\3", "\xff" x 64, substr(CURVE_GREETING, 0, 12), CLEAR_GREETING,
        CURVE_GREETING . frame(4, $hello), CURVE_GREETING . frame(4, substr $hello, 0, 50), CURVE_GREETING . frame(4, "\x08INITIATE" . "\0" x 300),
        CURVE_GREETING . frame(0, 'no command'), CURVE_GREETING . pack('C Q>', 6, 1 << 62), CURVE_GREETING . frame(4, 'x' x 70_000),
        CURVE_GREETING . frame(4, "\7MESSAGE" . "\0" x 100), "\1\0" . 'zmtp1', pack('C x8 C C', 0xff, 0x7f, 1), pack('C x8 C C', 0xff, 0x7f, 0),
        map { join '', map { chr rand 256 } 1 .. 2000 } 1 .. 20) {
        my $stranger = tcp_connect($at) or die "cannot connect: $!\n";
        syswrite $stranger, $bytes;
        push @strangers, $stranger;
    }
    cmp_ok longest_ping($local, 50), '<', seconds(1), 'others are served while strangers talk';
    is ask($alice, item(PING, ''))->{code}, 0, 'also on tcp';
    my $cut = grep { raw_closed($_, 8) } @strangers;
    is $cut, scalar @strangers, 'each of them is cut, at the latest when its time for a handshake is over';
    cmp_ok counters($local)->{handshakes_failed}, '>=', 8, 'and counted where libzmq tells';
};

subtest 'four hundred peers with a key that is not known leave a log that can be read' => sub {
    my ($lines, $before) = (scalar(() = $owner->err =~ /refused a connection/g), counters($local)->{keys_refused});
    my $start = time;
    keygen('mallory');
    my $longest = 0;
    for (1 .. 20) {
        my $reached = counters($local)->{keys_refused};
        my @many = map { keyed($at, 'mallory') } 1 .. 20;
        my $ping = longest_ping($local, 20);
        $longest = $ping if $ping > $longest;
        wait_until { counters($local)->{keys_refused} >= $reached + 18 } 5;
        $_->close for @many;
    }
    my $refused = counters($local)->{keys_refused} - $before;
    cmp_ok $refused, '>=', 300, "$refused were refused and counted";
    my $told = () = $owner->err =~ /refused a connection/g;
    cmp_ok $told - $lines, '<=', 30 + 3 * (time - $start), 'ten are told at once and then one a second';
    ok $owner->wait_output('err', qr/\(and \d+ more before, not told\)|refused \d+ more connections on tcp/), 'with how many were not';
    cmp_ok $longest, '<', seconds(1), 'others are served all the while';
};

subtest 'a thousand connections come and go, and leave no descriptor behind' => sub {
    my ($open, $connections) = (descriptors($owner), status($local)->{connections});
    my @kept;
    for my $n (1 .. 1000) {
        my $socket = tcp_connect($at) or die "connection $n: $!\n";
        syswrite $socket, substr CURVE_GREETING, 0, $n % 64 if $n % 4 == 1;
        syswrite $socket, CURVE_GREETING if $n % 4 == 2;
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('i i', 1, 0) if $n % 3 == 0;    # gone with a reset
        push @kept, $socket;
        close shift @kept if @kept > $n % 50;
    }
    close $_ for @kept;
    ok +(wait_until { descriptors($owner) <= $open } 20), 'the owner has as many descriptors as before'
        or diag("$open before, " . descriptors($owner) . ' after');
    ok wait_until { status($local)->{connections} <= $connections }, 'and counts as many connections';
    cmp_ok counters($local)->{connections_opened}, '>=', 1000, 'it saw them all';
    is ask($alice, item(PING, ''))->{code}, 0, 'who has a key is served';
};

ok raw_closed($silent, 20), 'a connection that says nothing is closed in the end';
ok raw_closed($half, 20), 'and so is one that says half of what it should';
$_->close for $alice, $local;
is $owner->stop, 0, 'the owner ends well';

subtest 'connections beyond the descriptors are refused on tcp, too, and nobody aborts' => sub {
    my @wrapper = split ' ', $ENV{SOLE_WRAPPER} // '';
    my $narrow = start({ name => 'narrow' }, '/bin/sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh', @wrapper, program('sole-owner'), 'narrow',
        '--listen', 'tcp://127.0.0.1:*', '--in-the-clear', '--access', rules('narrow.rules', clear => 'command'));
    $narrow->wait_ready;
    $narrow->wait_output('err', qr/also at tcp:/);
    my ($where) = $narrow->err =~ m{also at (tcp://\S+:\d+),};
    my (@served, $refused);
    for (1 .. 400) {
        my $socket = clear_client($where);
        if ($socket) { push @served, $socket }
        else { $refused++ }
    }
    cmp_ok scalar @served, '>=', 150, 'most of what the descriptors allow is used';
    cmp_ok scalar @served, '<', 256, 'and no more';
    is @served + $refused, 400, 'each of the others is refused at once';
    is scalar(grep { ping($_) } @served), scalar @served, 'all that are in are served';
    my @mass = map { tcp_connect($where) } 1 .. 400;
    is scalar(grep { ping($_) } @served), scalar @served, 'also while 400 more come at once';
    close $_ for @mass, splice @served, 1, 50;
    my $again;
    ok wait_until { $again = clear_client($where) }, 'when some leave others may come';
    my $local = dealer(endpoint('narrow'));
    ok wait_until { counters($local)->{connections_refused} >= $refused }, 'the refusals are counted';
    $local->close;
    is $narrow->stop, 0, 'the owner ends well';
};

subtest '--max-connections counts both ways in together' => sub {
    my ($small, $where) = remote_owner('small', '--max-connections', 10, '--in-the-clear');
    my @local = map { dealer(endpoint('small')) } 1 .. 4;
    ask($_, item(PING, '')) for @local;
    my @remote = map { clear_client($where) } 1 .. 6;
    is scalar(grep { defined } @remote), 6, 'four of one and six of the other are served';
    for (1 .. 3) {
        my $more = tcp_connect($where);
        syswrite $more, CLEAR_GREETING;
        ok raw_closed($more), 'one more on tcp is refused';
    }
    my $more = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => path('small.sock'));
    syswrite $more, CLEAR_GREETING;
    ok raw_closed($more), 'and one more on the Unix socket';
    is counters($local[0])->{connections_refused}, 4, 'it is counted';
    ok wait_until { status($local[0])->{connections} == 10 }, 'as the ten are';
    is scalar(grep { ping($_) } @remote), 6, 'those that are in do not notice';
    close shift @remote;
    my $next;
    ok wait_until { $next = clear_client($where) }, 'when one leaves another may come';
    $_->close for @local;
    is $small->stop, 0, 'the owner ends well';
};

subtest 'a message without an end is cut on tcp, too' => sub {
    my ($guarded, $where) = remote_owner('endless', '--memory-mark', 64 * $factor . 'MiB', '--in-the-clear');
    my $good = dealer(endpoint('endless'));
    ask($good, item(PING, ''));
    my $endless = clear_client($where) or die "not served\n";
    $endless->blocking(0);
    my $bytes = frame(1, 'x' x 65536);
    my ($left, $end, $cut, $heard) = ($bytes, time + seconds(60), 0);
    local $SIG{PIPE} = 'IGNORE';
    while (time < $end && !$cut) {
        my $wrote = syswrite $endless, $left;
        if (defined $wrote) { substr $left, 0, $wrote, ''; $left = $bytes if $left eq '' }
        elsif ($!{EAGAIN}) {
            # The end of what the owner sends comes though it has no room for what we do.
            my $both = IO::Select->new($endless);
            IO::Select->select($both, $both, undef, $end - time > 0 ? $end - time : 0);
            $cut = 1 if defined sysread($endless, $heard, 4096) && $heard eq '';
        }
        else { $cut = 1 }
    }
    ok $cut, 'the connection was cut';
    cmp_ok counters($good)->{connections_cut}, '>=', 1, 'and counted';
    is ask($good, item(PING, ''))->{code}, 0, 'the owner serves';
    $good->close;
    is $guarded->stop, 0, 'the owner ends well';
};

subtest 'peers that never read do not make the owner grow' => sub {
    my ($patient, $where) = remote_owner('deaf', '--memory-mark', '1GiB');
    my $local = dealer(endpoint('deaf'));
    ask($local, item(RUN, op(PUT, 'large', 'v' x 200_000)));
    my @deaf = map { keyed($where, 'alice', receive => 1, send => 0) } 1 .. 4;
    for my $n (1 .. 250) { send_body($_, message(item(RUN, op(GET, 'large'), flags => QUERY))) for @deaf }
    ok +(wait_until { counters($local)->{reads} >= 1000 } 30), 'all they asked was run';
    cmp_ok counters($local)->{outbox_drops}, '>', 300, 'most answers were dropped, and counted';
    cmp_ok status($local)->{'outbox-bytes'}, '<=', 4 << 20, 'what waits is bounded for each';
    $_->close for @deaf;
    ok wait_until { status($local)->{'outbox-bytes'} == 0 }, 'when they leave nothing is kept for them';
    $local->close;
    is $patient->stop, 0, 'the owner ends well';
};

done_testing;
