#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The simulation (tests/sim): the owner's real service, journal, snapshots and recovery, and the clients' real
# engine, through crashes, losses of power, failing disks and cut connections, each run checked against a model.
# The same seeds each time, and as many that nobody has seen before; SEEDS for more, FROM for where those begin.
use strict;
use warnings;
use FindBin;
use Test::More;

my $bin = $ENV{SOLE_BIN} || 'bin';
my $build = $bin =~ m{^(.*build/[^/]+)/bin$} ? $1 : "$FindBin::Bin/../build/plain";
my $sim = "$build/tests/sim/sim";
my $seeds = $ENV{SEEDS} || ($build =~ /sanitize/ ? 500 : 2000);
my $from = $ENV{FROM} || 1_000_000 + int rand 1_000_000_000;

plan skip_all => "$sim is not built: make check builds it" if !-x $sim;
delete $ENV{SEED};

# What it says. Not by a shell: its path may have spaces.
sub output {
    my $pid = open(my $out, '-|') // die "cannot fork: $!\n";
    exec { $sim } $sim or die "cannot run $sim: $!\n" if !$pid;
    my @lines = <$out>;
    close $out;
    return @lines;
}

sub run {
    my ($title, %settings) = @_;
    local @ENV{keys %settings} = values %settings;
    my @said = output();
    my $well = $? == 0;
    ok($well, $title);
    diag(@said) if !$well;
    note(@said) if $well;
}

# What one seed does, as it prints it.
sub steps {
    my ($seed) = @_;
    local $ENV{SEED} = $seed;
    return join '', output();
}

run("$seeds seeds: nothing acknowledged is lost, nothing is done twice, and all that was heard is true", SEEDS => $seeds, FROM => 1);
run("as many from $from on", SEEDS => $seeds, FROM => $from);
my $once = steps($from);
like($once, qr/nothing violated$/m, 'one seed is run step by step');
is(steps($from), $once, 'the same seed takes the same steps, byte for byte');
done_testing;
