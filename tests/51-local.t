#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The edges of the Unix socket's door, byte by byte: commands amid messages, ends of which only one half
# is closed, peers that do not read while the owner is full, or leaves.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use POSIX ();
use Sole::Raw;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);

sub request { return raw_frame(1, '') . raw_frame(0, message(@_)) }
sub large { return request(item(RUN, join('', map { op(GET, "large$_") } 1 .. $_[0]), flags => QUERY)) }

# The bodies of up to so many messages, and whether the other side's end came before that many. A message of which only
# a part has come by then is taken up by the next call.
my %part;
sub raw_bodies {
    my ($socket, $count, $limit) = @_;
    my ($ended, $end, @bodies) = (0, time + seconds($limit // 10));
    my $bytes = \($part{$socket} //= '');
    $socket->blocking(0);
    while (@bodies < $count && !$ended) {
        IO::Select->new($socket)->can_read($end - time > 0 ? $end - time : 0) or last;
        my $got = sysread $socket, $$bytes, 1 << 20, length $$bytes;
        $ended = defined $got ? $got == 0 : !$!{EAGAIN};
        while (length $$bytes >= 2) {
            my $flags = unpack 'C', $$bytes;
            last if $flags & 2 && length $$bytes < 9;
            my ($head, $size) = $flags & 2 ? (9, unpack 'x Q>', $$bytes) : (2, unpack 'x C', $$bytes);
            last if length $$bytes < $head + $size;
            my $frame = substr $$bytes, 0, $head + $size, '';
            push @bodies, substr $frame, $head if !($flags & 5);
        }
    }
    return (\@bodies, $ended);
}

sub fill { my ($client) = @_; ask($client, item(RUN, op(PUT, "large$_", 'v' x 250_000))) for 1 .. 4; return }

my $owner  = start_owner('local');
my $client = dealer(endpoint('local'));
fill($client);

subtest 'commands without end amid a long message hold nobody up' => sub {
    my @busy = map { raw_connect('local') } 1 .. 4;
    for (@busy) {
        raw_handshake($_) or die "cannot connect\n";
        raw_write($_, raw_frame(1, 'p' x 65_000) . raw_frame(1, '') . raw_frame(0, 'x' x (1 << 20)));
    }
    ask($client, item(PING, ''));
    raw_write($_, raw_frame(1, '') . raw_frame(1, 'x' x 1_000_000)) for @busy;
    my $child = fork // die "fork: $!\n";
    if (!$child) {
        $_->blocking(0) for @busy;
        my $end = time + 2;
        while (time < $end) { syswrite $_, "\4\0" x 50_000 for @busy }
        POSIX::_exit(0);
    }
    my ($longest, $end) = (0, time + 2);
    while (time < $end) {
        my $start = time;
        ask($client, item(PING, ''));
        $longest = time - $start if time - $start > $longest;
    }
    cmp_ok $longest, '<', seconds(0.5), 'another client is answered in time';
    waitpid $child, 0;
    close $_ for @busy;
};

subtest 'who has closed only the half that it wrote to gets all its answers, and then the end' => sub {
    for my $case ([ 300, request(item(PING, '')) ], [ 20, large(4) ]) {
        my ($count, $request) = @$case;
        my $socket = raw_client('local');
        raw_write($socket, $request x $count);
        shutdown $socket, 1;
        my ($bodies, $ended) = raw_bodies($socket, $count + 1);
        is scalar @$bodies, $count, "$count answers";
        ok $ended, 'and the end';
    }
};

subtest 'who has closed the half that it would read from is let go' => sub {
    my $before = status($client)->{connections};
    my $socket = raw_client('local');
    shutdown $socket, 0;
    raw_write($socket, request(item(PING, '')));
    ok raw_write($socket, request(item(PING, ''))) == 0 || wait_until { status($client)->{connections} == $before },
        'its connection is closed';
    ok wait_until { status($client)->{connections} == $before }, 'at the owner, too';
};

subtest 'what was sent by one who went without reading is done' => sub {
    my $before = counters($client)->{reads};
    my $socket = raw_client('local');
    raw_write($socket, large(1) x 100);
    close $socket;
    ok wait_until { counters($client)->{reads} >= $before + 100 }, 'all of it';
};

is $owner->stop, 0, 'the owner ends well';

subtest 'replies to clients that do not read stay within max-outboxes, and leave room for those that do' => sub {
    my $full = start_owner('full', '--max-outboxes', '4MiB');
    my $other = dealer(endpoint('full'));
    fill($other);
    my @deaf = map { raw_client('full') } 1 .. 20;
    raw_write($_, large(4)) for @deaf;
    # Dropped, where they come one after the other; busy, where in one round; and where that takes more than a second,
    # those that did not read meanwhile are cut first.
    ok wait_until { my $now = counters($other); $now->{outbox_drops} + $now->{limit_outboxes} + $now->{connections_cut} > 0 },
        'not all answers are kept';
    cmp_ok status($other)->{'outbox-bytes'}, '<=', 4 << 20, 'what waits is bounded for all together';
    my $reader = raw_client('full');
    ok wait_until {
        raw_write($reader, large(4));
        my ($bodies) = raw_bodies($reader, 1, 0.2);
        @$bodies == 1;
    }, 'one that reads and asks again gets its large answer';
    cmp_ok counters($other)->{connections_cut}, '>', 0, 'at the cost of one that had not read for a second';
    close $_ for @deaf;
    is $full->stop, 0, 'the owner ends well';
};

subtest 'an owner that leaves waits for those that do not read no longer than it says, and for others meanwhile' => sub {
    my $leaving = start_owner('leaving', '--drain', '1ms');
    my $other   = dealer(endpoint('leaving'));
    fill($other);
    my @deaf   = map { raw_client('leaving') } 1 .. 4;
    my $slow   = raw_client('leaving');
    raw_write($_, large(4)) for @deaf, $slow;
    ok wait_until { counters($other)->{outbox_waits} >= 5 }, 'answers wait for all of them';
    my $start = time;
    $leaving->signal('TERM');
    $leaving->wait_notice(qr/STOPPING=1/);
    select undef, undef, undef, 0.1;    # past the drain
    my ($bodies) = raw_bodies($slow, 1);
    is scalar @$bodies, 1, 'who begins to read then gets all of its answer';
    is $leaving->finish, 0, 'the owner ends well';
    cmp_ok time - $start, '<', seconds(3), 'in time';
};

done_testing;
