#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The numbers of an owner: `sole stats` for a person, as JSON, and as Prometheus reads it; GET /metrics says
# the same; and whoever reads that slowly, or speaks no HTTP, holds up nobody. `sole slow` keeps the slowest.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Sole::Exposition;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);

my $top  = "$FindBin::Bin/..";
my $json = JSON::PP->new->utf8;
my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

sub sole { return run({ name => 'sole' }, 'sole', '-o', 'n', @_) }

my $owner = start_owner('n', '--state', path('state'), '--metrics', 0, '--slow-after', 0, '--max-slow', 3);
my ($port) = $owner->err =~ m{metrics at http://127\.0\.0\.1:(\d+)/metrics};
ok $port, 'a line says where the metrics are';

my $client = dealer(endpoint('n'));
ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
my $session = open_session($client);
ask($client, item(RUN, op(PUT, "key$_", \$_), session => $session, sequence => $_, window => 0)) for 1 .. 40;
ask($client, item(RUN, op(GET, "key$_"), flags => QUERY)) for 1 .. 25;
ask($client, item(RUN, op(GET, 'a') . op(GET, 'b'), flags => QUERY)) for 1 .. 5;
is ask($client, item(RUN, op(CAS, 'key1', \5, \6)))->{code}, 9, 'something is refused';
is ask($client, item(RUN, op(999, 'key1')))->{code}, 3, 'and something else';

# ---- for a person ----

{
    my $ran = sole('stats');
    is $ran->{status}, 0, 'sole stats';
    my @titles = $ran->{out} =~ /^(\w[\w ]*):$/mg;
    is $titles[0], 'requests', 'it has titles';
    is_deeply [ grep { my $title = $_; !grep { $_ eq $title } @titles } slurp("$top/owner/core/counters.def") =~ /^COUNTERS\("([^"]+)"\)/mg, 'refusals', 'now', 'latencies' ], [], 'all of those that there are';
    my @lines = split /\n/, $ran->{out};
    my %line = map { /^(\S+) +(\S+(?: [KMG]?i?B)?)  / ? ($1 => $2) : () } @lines;
    is $line{writes}, 40, 'a counter';
    is $line{reads}, 35, 'another';
    like $line{'uptime-ms'}, qr/^[\d.]+(?:ms|s)$/, 'a time in the unit that people read';
    like $line{'resident-bytes'}, qr/^[\d.]+ [KM]iB$/, 'memory too';
    like $line{round_longest}, qr/^[\d.]+[um]s$/, 'the longest of something';
    is $line{starts}, 1, 'starts of this state';
    is $line{refused_conflict}, 1, 'refusals by code';
    is $line{refused_no_operation}, 1, '... each';
    my ($put) = grep { /^put +command / } @lines;
    like $put // '', qr/^put +command +40(?: +[\d.]+(?:ns|us|ms)){5}$/, 'latencies of an operation: p50 p90 p99 p99.9 max';
    my ($sync) = grep { /^sync +owner / } @lines;
    cmp_ok +($sync // '') =~ /^sync +owner +(\d+)/ ? $1 : 0, '>=', 40, 'and of syncs';
    cmp_ok max_length(@lines), '<', 140, 'no line is long';
}

sub max_length { my $max = 0; for (@_) { $max = length if length > $max } return $max }

# ---- for programs ----

my $told = $json->decode(sole('stats', '--json')->{out});
is $told->{writes}, 40, '--json has counters';
cmp_ok $told->{'resident-bytes'}, '>', 1_000_000, '... and gauges, in bytes';
my %latency = map { $_->{name} => $_ } @{ $told->{latencies} };
is $latency{get}{count} + $latency{put}{count}, $told->{reads} + $told->{writes}, 'the latencies are those of all operations that ran';
cmp_ok $latency{get}{$_->[0]}, '<=', $latency{get}{$_->[1]}, "$_->[0] is not above $_->[1]" for [qw(p50 p99)], [qw(p99 p999)], [qw(p999 maximum)];
cmp_ok $latency{put}{p50}, '>=', 1000, 'a write takes a microsecond or more';
cmp_ok $latency{put}{sum}, '>=', 40 * 1000, '... each of them';
is $latency{arrivals}{sum}, $latency{arrivals}{count}, 'a client that waits for each answer has one message in a round';
is sole('stats', '--json', '--prometheus')->{status}, 64, 'both at once are too much';

# ---- as Prometheus reads it ----

sub judged {
    my ($text, $title) = @_;
    my $metrics = Sole::Exposition->read($text);
    is join("\n", @{ $metrics->{complaints} }), '', "$title: it is Prometheus' text format";
    SKIP: {
        skip 'promtool is not installed', 1 if !$promtool;
        my $checked = run({ stdin => spew('metrics', $text) }, $promtool, 'check', 'metrics');
        is $checked->{status} . $checked->{out} . $checked->{err}, '0', '... promtool says so, too';
    }
    return $metrics;
}

my $printed = judged(sole('stats', '--prometheus')->{out}, 'sole stats --prometheus');
is $printed->value('sole_writes_total'), 40, 'a counter';
is $printed->value('sole_refusals_total', code => 'conflict'), 1, 'refusals, by code';
is $printed->value('sole_operation_seconds_count', operation => 'put'), 40, 'how often an operation ran';
cmp_ok $printed->value('sole_operation_seconds_sum', operation => 'put'), '<', 60, '... and for how long, in seconds';
cmp_ok $printed->value('sole_sync_seconds_count'), '>=', 40, 'syncs';
cmp_ok $printed->value('sole_uptime_seconds'), '<', 3600, 'a time is in seconds';
is $printed->value('sole_owner_info', name => 'n', behaviour => 'table', durability => 'sync'), 1, 'what the owner is';
for my $name (slurp("$top/owner/core/counters.def") =~ /^COUNTER\((\w+), "(?!ns")/mg) {
    ok defined $printed->value("sole_${name}_total"), "$name is there" or last;
}

# ---- over HTTP ----

sub connected { return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") // die "no connection to $port: $!\n" }

# What comes until the other side closes, or enough of it.
sub answer_to {
    my ($request, $socket) = @_;
    $socket //= connected();
    $socket->syswrite($request);
    my $answer = '';
    my $select = IO::Select->new($socket);
    while ($select->can_read(seconds(10))) {
        last if !sysread $socket, $answer, 65536, length $answer;
    }
    return $answer;
}

sub get_path { return answer_to("$_[0] $_[1] HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }

my $answer = get_path(GET => '/metrics');
like $answer, qr{\AHTTP/1.1 200 OK\r\n}, 'GET /metrics is answered';
like $answer, qr{^Content-Type: text/plain; version=0.0.4; charset=utf-8\r$}m, '... as that format';
my $scraped = judged($answer =~ s/.*?\r\n\r\n//sr, 'GET /metrics');
is_deeply [ $scraped->families ], [ $printed->families ], 'it tells what `sole stats --prometheus` does';
is $scraped->value('sole_writes_total'), 40, '... the same';
is $scraped->value('sole_scrapes_total'), 1, 'fetching it is counted';
like get_path(GET  => '/'),        qr{\AHTTP/1.1 404 .*/metrics}s, 'any other path: 404, and where they are';
like get_path(POST => '/metrics'), qr{\AHTTP/1.1 405 .*^Allow: GET, HEAD\r$}ms, 'any other method: 405';
like get_path(HEAD => '/metrics'), qr{\AHTTP/1.1 200 OK\r\n.*\r\n\r\n\z}s, 'HEAD has no body';
like answer_to("PUT /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"), qr{\AHTTP/1.1 405 }, 'a body is let go';
unlike answer_to("nonsense\r\n\r\n"), qr/200 OK/, 'what is no HTTP is not served';
like answer_to('GET /' . 'x' x 100_000 . " HTTP/1.1\r\n\r\n"), qr{\A(?:HTTP/1.1 (?:4|5)\d\d .*)?\z}s, 'a request without measure is cut off';

{
    my $other = IO::Socket::INET->new(PeerAddr => "127.0.0.2:$port");
    ok !$other, 'it listens on 127.0.0.1 and nowhere else';
}

# ---- and nobody is held up ----

{
    my @deaf = map { connected() } 1 .. 30;    # more than are served at once
    setsockopt $_, IO::Socket::INET::SOL_SOCKET, IO::Socket::INET::SO_RCVBUF, 2048 for @deaf;
    $_->syswrite("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" x 20) for @deaf;    # and reads nothing
    my ($worst, $all) = (0, time);
    for (1 .. 200) {
        my $begun = time;
        is ask($client, item(RUN, op(GET, 'key1'), flags => QUERY))->{code}, 0, 'a query' or last if $_ == 1 || $_ == 200;
        ask($client, item(RUN, op(GET, 'key1'), flags => QUERY));
        $worst = time - $begun if time - $begun > $worst;
    }
    cmp_ok $worst, '<', seconds(2), 'scrapers that do not read hold up nobody';
    my $memory = status($client)->{'resident-bytes'};
    cmp_ok $memory, '<', 100 << 20, '... and cost little';
    close $_ for @deaf;
    ok wait_until { get_path(GET => '/metrics') =~ /\AHTTP\/1.1 200/ }, 'when they have gone, others are served';
    my $half = connected();
    $half->syswrite("GET /metr");
    is ask($client, item(RUN, op(GET, 'key1'), flags => QUERY))->{code}, 0, 'nor does half a request hold up anybody';
}

# ---- what is slow ----

{
    ask($client, item(RUN, join('', map { op(PUT, "many$_", \$_) } 1 .. 900), session => $session, sequence => 41, window => 0));
    my $ran = sole('slow');
    is $ran->{status}, 0, 'sole slow';
    my @lines = split /\n/, $ran->{out};
    like $lines[0], qr/^\d+ requests have run for 0(?:ns)? or longer; the slowest:$/, 'it says how many there were';
    is scalar @lines, 2 + 3, '--max-slow bounds how many are kept';
    like $lines[2], qr/^[\d.]+[um]s\t[\d.]+[um]s\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\t$$\tok\tput\+899\tmany1$/, 'the slowest is the largest';
    my @objects = map { $json->decode($_) } split /\n/, sole('slow', '-j', '--limit', 1, '--reset')->{out};
    is scalar @objects, 2, '--limit';
    is $objects[0]{kept_at_most}, 3, '--json tells the bounds';
    is $objects[1]{operation} . ' ' . $objects[1]{operations} . ' ' . $objects[1]{key}, 'put 900 many1', '... and the request';
    cmp_ok $objects[1]{took_ns}, '>=', $objects[1]{run_ns}, 'it took no less than it ran';
    @objects = map { $json->decode($_) } split /\n/, sole('slow', '-j')->{out};
    is scalar(grep { ($_->{operations} // 0) == 900 } @objects), 0, '--reset has emptied the list';
}

# ---- starts, and what is counted anew ----

$client->close;
is $owner->stop, 0, 'the owner ends well';
$owner = start_owner('n', '--state', path('state'), '--metrics', $port);
$told = $json->decode(sole('stats', '--json')->{out});
is $told->{starts}, 2, 'the state has seen two owners';
is $told->{writes}, 0, 'which count from nothing';
is scalar(grep { $_->{kind} ne 'owner' } @{ $told->{latencies} }), 0, '... what was replayed is no latency';
like sole('slow')->{out}, qr/\Ano request has run for 1\.00ms or longer$/, 'none was slow';
like get_path(GET => '/metrics'), qr{\AHTTP/1.1 200 OK}, 'the port is the one that was given';
my $second = run({ name => 'second' }, 'sole-owner', 'other', '--metrics', $port);
is $second->{status}, 69, 'a port that is taken: status 69';
like $second->{err}, qr/cannot serve metrics at 127\.0\.0\.1:$port: Address already in use: give --metrics another port/, '... and what to do';
ok !-e path('other.sock'), '... and no socket is left behind';
is run('sole-owner', 'other', '--metrics', 65536)->{status}, 64, 'a port that cannot be: status 64';
is $owner->stop, 0, 'the owner ends well';
done_testing;
