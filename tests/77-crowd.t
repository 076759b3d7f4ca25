#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A thousand clients: 950 that behave, and 50 that send garbage, never read, connect and leave, send what has
# expired, or halves of frames. Phases with the 50 and without take turns (PAIRS=n of each, of PHASE_MS), so that the machine is
# the same for both; the 950 ask at a fixed rate, and their p99 with the others about is at most twice what it is without.
# The 950 are connections of one process, which speaks ZMTP itself: a process each would measure the scheduler.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(max min);
use Sole::Crash ();
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(sleep time);

my $pairs    = $ENV{PAIRS} // 5;
my $phase    = ($ENV{PHASE_MS} // 800) / 1000;
my $rate     = $ENV{RATE} // 1000;
my @ways     = qw(garbage deaf fleeting expired halves);
my $checked  = slurp(program('sole-owner')) =~ /__asan_init|__tsan_init/;
my $limit    = `sh -c 'ulimit -Hn'`;

plan skip_all => 'a thousand connections take more than the ' . ($limit + 0) . ' descriptors that one may have here'
    if $limit =~ /^\d+$/ && $limit < 2100;

sub crowd_program { return Sole::Crash::client_program() =~ s{crash/client\z}{crowd/$_[0]}r }
sub descriptors { my ($process) = @_; my @open = glob '/proc/' . $process->pid . '/fd/*'; return scalar @open }
sub resident { my ($process) = @_; return slurp('/proc/' . $process->pid . '/status') =~ /^RssAnon:\s+(\d+)/m ? $1 / 1024 : 0 }
sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[$#sorted / 2] }

my $owner  = start_owner('crowd');
my $client = dealer(endpoint('crowd'));
ask($client, item(RUN, op(PUT, 'large', 'v' x 40_000)));
my $good = start({ name => 'good', stdin => 'pipe', notify => 0 }, crowd_program('good'), path('crowd.sock'), 950, $rate);
ok($good->wait_output('out', qr/^connected$/m, 60), '950 clients are connected') or BAIL_OUT($good->err);

# What the 950 had in the time since the last call: { count p50 p99 max late }, in ms.
my $told = 1;
sub figures {
    $good->say("\n");
    $told++;
    wait_until { my @lines = split /\n/, $good->out; @lines >= $told || !$good->running } 30;
    my %of;
    @of{qw(count p50 p99 max late)} = split ' ', (split /\n/, $good->out)[$told - 1] // die 'no figures: ' . $good->err;
    $of{$_} /= 1000 for qw(p50 p99 max);
    return \%of;
}

# One phase: `bad` are there, or not, for so long.
sub phase {
    my @with = @_;
    my $bad = @with ? start({ name => "bad", notify => 0 }, crowd_program('bad'), path('crowd.sock'), @with) : undef;
    sleep 0.2;    # what comes when they do belongs to neither
    figures();
    sleep $phase;
    my $of = figures();
    is($bad->stop, 0, 'those who misbehave end when they are told to') if $bad;
    return $of;
}

sub show { my ($name, $of) = @_; return sprintf '%-9s %6d answers, p50 %.2f ms, p99 %.2f ms, at most %.1f ms, %d late', $name, @$of{qw(count p50 p99 max late)} }

phase();    # caches are cold before
my $descriptors = descriptors($owner);
my $memory;
sub compare {
    my ($name, $count, @with) = @_;
    my (@without, @with_them, @ratios);
    for (1 .. $count) {
        push @without, phase();
        push @with_them, phase(@with);
        push @ratios, $with_them[-1]{p99} / max(0.05, $without[-1]{p99});
        note(show('without', $without[-1]), '; ', show($name, $with_them[-1]), sprintf '; ratio %.2f', $ratios[-1]);
    }
    my ($without, $with) = (median(map { $_->{p99} } @without), median(map { $_->{p99} } @with_them));
    return { ratio => median(@ratios), of_medians => $with / max(0.05, $without), without => $without, with => $with,
        answered => !grep { $_->{count} < 0.8 * $rate * $phase } @without, @with_them };
}

# What else runs here can spoil one comparison, also one of medians; three of them it does not.
my %before = %{ counters($client) };
my $all;
for my $try (1 .. 3) {
    $all = compare('with', $pairs, 50);
    note(sprintf 'p99 %.2f ms without, %.2f ms with fifty that misbehave; ratio %.2f (median of pairs), %.2f (of medians)', @$all{qw(without with ratio of_medians)});
    last if $all->{answered} && min($all->{ratio}, $all->{of_medians}) <= 2;
}
my %after = %{ counters($client) };
cmp_ok($after{messages_malformed} - $before{messages_malformed}, '>', 100, 'there was garbage');
cmp_ok($after{outbox_waits} - $before{outbox_waits}, '>', 5, '... there were clients that never read');
cmp_ok($after{connections_opened} - $before{connections_opened}, '>', 1000, '... connections that came and went');
cmp_ok($after{requests_expired} - $before{requests_expired}, '>', 1000, '... requests whose time was over');
ok($all->{answered}, 'the 950 were answered at the rate they asked at');
cmp_ok(min($all->{ratio}, $all->{of_medians}), '<=', 2, 'the p99 of the 950 is at most twice what it is without the 50')
    or diag(sprintf '%.2f ms without, %.2f with', @$all{qw(without with)});

if ($ENV{EACH}) {
    for my $way (@ways) { my $one = compare($way, 3, 50, $way); note(sprintf '%s: ratio %.2f', $way, $one->{ratio}) }
}

ok(wait_until(sub { descriptors($owner) <= $descriptors }), 'they leave no descriptor behind') or diag(descriptors($owner) . " after $descriptors");
ok($good->running, 'nobody who behaves was cut off');
is($owner->running, 1, 'the owner is there');
my @lines = split /\n/, $owner->err;
cmp_ok(scalar @lines, '<', 20, 'and has not filled its log') or diag(join "\n", @lines[0 .. 10]);
$good->close_input;
is($good->finish, 0, 'the 950 leave');
$client->close;
is($owner->stop, 0, 'the owner ends well');
done_testing;
