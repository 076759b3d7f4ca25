#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# An owner that is asked for twice what it can do: requests whose time is up are dropped unrun, so
# that the others still make theirs. Without that each would wait for all before it: at the end for
# four seconds.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(max min);
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);
use ZMQ::FFI::Constants qw(ZMQ_DONTWAIT);

my $limit = seconds(0.5);    # of each request
my $slack = seconds(1);      # for a round, the way back, and a test that is not alone on its machine

sub now { return clock_gettime(CLOCK_MONOTONIC) }

my $owner  = start_owner('overload');
my @clients = map { dealer(endpoint('overload'), send => 0, receive => 0) } 1 .. 16;
my $client  = $clients[0];

# A request that is long for the owner and short on the way: it counts a long line, many times.
ask($client, item(RUN, op(LOCK, 'line'), session => open_session($client), sequence => 1));
for (1 .. 5) {
    my $session = open_session($client);
    ask($client, map { item(RUN, op(LOCK, 'line'), session => $session, sequence => $_) } 1 .. 200);
}
my $work = op(ADD, 'ran', \1) . op(HOLDER, 'line') x 10;
is ask($client, item(RUN, $work))->{lists}[1][2], 1000, 'a long line to count';

sub request {
    my ($sequence, $deadline) = @_;
    my $body = message({ tag => $sequence }, item(RUN, $work, sequence => $sequence, deadline => int($deadline * 1e9)));
    send_body($clients[ $sequence % @clients ], $body);
}

# ---- what it can do: one of each client under way all the time, for a second ----

my ($answered, $start) = (0, now());
request($_, 0) for 1 .. @clients;
while (now() < $start + 1) {
    defined receive_body($clients[ ++$answered % @clients ]) or die "no answer\n";
    request($answered, 0);
}
my $capacity = $answered / (now() - $start);
receive_body($_) for @clients;
my $before = get($client, 'ran');
note sprintf 'it can do %d a second', $capacity;

# ---- twice as many ----

my $duration = 4;
my ($offered, $to_offer, $longest_ping) = (0, int(2 * $duration * $capacity), 0);
my (%deadline, %outcome, @late, @done_at);
my $other = dealer(endpoint('overload'));
my $pinged;

# What has come.
sub take {
    for my $socket (@clients) {
        while (defined(my $body = receive_body($socket, ZMQ_DONTWAIT))) {
            my $arrived = now();
            my ($code, $sequence) = unpack 'x38 S< x8 Q<', $body;
            $outcome{$code}++;
            my $deadline = delete $deadline{$sequence} // die "an answer to $sequence, which was not asked\n";
            next if $code != 0;
            push @late, $arrived - $deadline;
            push @done_at, $arrived;
        }
    }
}

$start = now();
while ($offered < $to_offer) {
    my $due = min($to_offer, int((now() - $start) * 2 * $capacity));
    for (; $offered < $due; $offered++) {
        $deadline{ $offered + 1 } = now() + $limit;
        request($offered + 1, $deadline{ $offered + 1 });
    }
    take();
    # Somebody else has a word now and then.
    if (!defined $pinged) { send_body($other, message(item(PING, ''))); $pinged = now() }
    elsif (defined receive_body($other, ZMQ_DONTWAIT)) { $longest_ping = max($longest_ping, now() - $pinged); undef $pinged }
    sleep 0.001;
}
my $took = now() - $start;
my $end  = now() + seconds(30);
while (%deadline && now() < $end) { take(); sleep 0.001 }

my ($done, $expired) = ($outcome{0} // 0, $outcome{7} // 0);
note sprintf '%d offered in %.1f s: %d done, %d expired; the latest answer came %.0f ms %s its deadline; longest ping %.0f ms',
    $offered, $took, $done, $expired, 1000 * abs max(@late), max(@late) > 0 ? 'after' : 'before', 1000 * $longest_ping;

is scalar(keys %deadline), 0, 'every request is answered';
is $done + $expired, $offered, 'each is done or expired';
cmp_ok $expired, '>', 0, 'some expired';
is get($client, 'ran') - $before, $done, 'what expired did not run, and what is done ran once';
cmp_ok max(@late), '<', $slack, 'what is done was answered in time';
cmp_ok $done, '>', 0.25 * $capacity * $took, 'and the owner is kept busy with them';
my $last = grep { $_ > $start + $took / 2 } @done_at;
cmp_ok $last, '>', 0.3 * $done, 'as much at the end as at the beginning';
cmp_ok $longest_ping, '<', $slack, 'who asks for little has an answer all the while';
cmp_ok counters($client)->{requests_expired}, '>=', $expired, 'it is counted';

# ---- and afterwards ----

$start = now();
request(0, now() + $limit);
my $reply = receive_message($client);
is $reply->{items}[0]{code}, 0, 'it is as before when the load has gone';

$_->close for @clients, $other;
is $owner->stop, 0, 'the owner ends well';
done_testing;
