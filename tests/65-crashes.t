#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A durable owner is killed at random moments, 200 times (KILLS=n), while eight clients write and two read;
# snapshots are taken and segments begun all the time. Then everything that a client was told is held against
# the journal, a model and the order of time: nothing that was answered is lost, nothing is done twice, nobody
# has heard an error.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Crash;
use Sole::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $kills = $ENV{KILLS} // 200;
my @options = ('--snapshot-after', '64K', '--journal-segment', '64K', '--keep-snapshots', '8');
my ($state, $archive) = (path('state'), path('archive'));
my ($early, $idle, $ready, @said) = (0, 0, 0);
my %seen = (torn => 0, snapshots => 0, recoveries => 0);
note('SEED=' . SEED);

sub owner { return start({ name => 'owner' }, 'sole-owner', '--state', $state, @options, '-q', 'killed') }

# What the owner said of its start and while it ran.
sub note_end {
    my ($owner) = @_;
    my $err = $owner->err;
    $seen{torn}++       if $err =~ /: cut off /;
    $seen{recoveries}++ if $err =~ /: history /;
    $seen{snapshots} += () = $err =~ /: snapshot of round \d+ written/g;
    # A disk that is slow is not ours to judge.
    push @said, grep { !/: (?:cut off|history|snapshot of round|nothing was there|killed: serving|the disk took)/ } split /\n/, $err;
    unlink @$owner{qw(out_file err_file)};
    close delete $owner->{notify};
}

# Some are killed while they start, the others a while after the first answer.
sub live_and_die {
    my ($owner, @clients) = @_;
    my $die;
    if (random_below(5) == 0) {
        $early++;
        $die = time + random_below(30_000) / 1e6;
    } else {
        my $before = answered(@clients);
        wait_until { archive($state, $archive); answered(@clients) > $before || !$owner->running } 30;
        $die = time + random_below(180_000) / 1e6;
        $ready++;
    }
    while ((my $left = $die - time) > 0) {
        archive($state, $archive);
        sleep($left < 0.01 ? $left : 0.01);
    }
    kill KILL => $owner->pid;
    $owner->finish;
    archive($state, $archive);
    note_end($owner);
    return ($owner->{signal} // 0) == 9;
}

my $owner   = owner();
my @clients = start_clients('killed', writers => 8, readers => 2, pause_us => 500);
my ($began, $killed) = (time, 0);
for (1 .. $kills) {
    last if !live_and_die($owner, @clients);
    $killed++;
    $owner = owner();
}
my $took = time - $began;
is($killed, $kills, "killed $killed times, and each time it was running") or diag(@said);
my @unwell = stop_clients(@clients);
is("@unwell", '', 'the clients end as they should');
is($owner->stop, 0, 'and so does the last owner');
archive($state, $archive);
note_end($owner);
is(join("\n", @said), join("\n", grep { /told to stop/ } @said), 'no owner had to complain of what it found');

my $verify = run({ limit => 60 }, 'sole-owner', '--verify', $state);
is($verify->{status}, 0, 'the folder is sound') or diag($verify->{out}, $verify->{err});
my $result = judged($archive, \@clients);
is(join("\n", grep { defined } @{ $result->{problems} }[0 .. 9]), '', 'nothing that was answered is lost, done twice or out of order')
    or diag(scalar @{ $result->{problems} }, ' problems');
is($result->{errors}, 0, 'nobody was told of an error') or diag(map { "$_\n" } @{ $result->{error_list} }[0 .. 4]);
is($result->{unanswered} + $result->{untold}, 0, 'everybody was answered, and nothing was done that nobody asked for');

# The state is what snapshot and journal make of it; that of the archive comes from the journal alone.
sub dump_of {
    my $dump = run({ limit => 120 }, 'sole-owner', '--dump', $_[0]);
    return join '', grep { /^"/ } map { "$_\n" } split /\n/, $dump->{out};
}
my $dump = dump_of($state);
is($dump, dump_of($archive), 'the state is the same from the last snapshot as from the whole journal');
my %table = $dump =~ /^(\S+) (\S+) @\d+$/mg;
is_deeply(\%table, $result->{model}, 'and the same as the model\'s');
note(sprintf '%d kills in %.1f s (%d of them in the start), %d recoveries, %d torn tails, %d snapshots', $killed, $took, $early,
    $seen{recoveries}, $seen{torn}, $seen{snapshots});
note("$result->{requests} requests: $result->{commands} commands ($result->{conflicts} refused), $result->{queries} queries, "
        . "$result->{locks} locks; revision $result->{revision}; lost: 0");
done_testing;
