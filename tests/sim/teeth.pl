#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# teeth.pl - plants a fault in the code, builds it in a folder of its own, and lets the simulation run until it
# sees it; one fault after the other. Prints the table: fault, caught by what, after how many seeds and seconds.
# Exit status 1: a fault that nothing saw, or a violation where nothing is planted.
#
# SEEDS is how many seeds a fault has at the most (20000).
use strict;
use warnings;
use Time::HiRes 'time';

my $seeds = $ENV{SEEDS} || 20000;
my $cc = $ENV{CC} || 'gcc';

# Flag (-DPLANT_...), what is wrong then.
my @faults = (
    [''                 => 'none'],
    [SKIP_SYNC          => 'a round is not synced'],
    [REPLY_BEFORE_SYNC  => 'replies leave before the sync'],
    [READ_BEFORE_SYNC   => 'reads do not wait for the sync of their round'],
    [FORGET_SESSIONS    => 'the table of sessions is lost at a start'],
    [REPLAY_TWICE       => 'a record is replayed twice'],
    [IGNORE_CHECKSUM    => 'the checksum of a round is not looked at'],
    [DROP_ON_ROTATION   => 'the last record is dropped when a segment is full'],
);

sub build {
    my ($flag) = @_;
    my $folder = 'build/teeth-' . lc($flag || 'none') =~ tr/_/-/r;
    my @make = ('make', '--silent', "CC=$cc", "BUILD=$folder", 'OPTIMIZE=-O2 -g' . ($flag ? " -DPLANT_$flag" : ''),
        "$folder/tests/sim/sim");
    open my $out, '-|', @make or die "make: $!\n";
    my @said = <$out>;
    close $out or die "teeth: cannot build with $flag planted\n", @said;
    return "$folder/tests/sim/sim";
}

# Runs seeds; what was violated first, and how many seeds were run until then.
sub run {
    my ($sim, $count) = @_;
    local $ENV{SEEDS} = $count;
    delete local @ENV{qw(SEED FROM)};
    open my $out, '-|', "$sim 2>/dev/null" or die "$sim: $!\n";
    my ($what, $run);
    while (<$out>) {
        $what = $1 if !defined $what && /^# seed \d+: (.*)/;
        $run = $1 if /^# (\d+) seeds,/;
    }
    close $out;
    $what = "it crashed ($?)" if $? != 0 && !defined $what;
    return ($what, $run);
}

my $well = 1;
printf "%-52s %-12s %8s %8s  %s\n", 'fault', 'caught by', 'seeds', 'seconds', 'as';
for (@faults) {
    my ($flag, $words) = @$_;
    my $sim = build($flag);
    my $begin = time;
    my ($what, $run) = run($sim, $flag ? $seeds : $seeds < 4000 ? $seeds : 4000);
    my $caught = defined $what;
    $well = 0 if $caught != ($flag ne '');
    printf "%-52s %-12s %8d %8.1f  %s\n", $words, $caught ? 'simulation' : $flag ? 'NOTHING' : '-', $run, time - $begin,
        substr $what // '', 0, 110;
}
exit !$well;
