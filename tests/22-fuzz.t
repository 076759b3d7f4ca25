#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Whatever bytes come, the decoders read or refuse them: each fuzz target of tests/fuzz runs from its committed corpus
# for $FUZZ_SECONDS (30), as many at a time as there are processors. `make fuzz` runs them for longer.
#
# $SEED replays a run, more or less: which inputs are tried also follows from how fast they run.
use strict;
use warnings;

use Test::More;

my $seconds = $ENV{FUZZ_SECONDS} // 30;
my $seed    = $ENV{SEED} // 1 + int rand 1e9;

plan skip_all => 'the targets bring their own sanitizers: `make check` runs them' if ($ENV{SOLE_BIN} // 'bin') ne 'bin';
plan skip_all => 'needs clang with libFuzzer: make deps' if system('clang --version >/dev/null 2>&1') != 0;

# Not with the flags and variables of the make that may have started this.
# The rest of `make check` runs beside it, and has times to keep: this runs only where a processor is idle.
system "chrt -i -p 0 $$ >/dev/null 2>&1" and setpriority 0, 0, 19;
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES)};
my ($targets) = map { /^FUZZ_NAMES (.*)/ ? $1 : () } `make --no-print-directory fuzz-names`;
my @targets = split ' ', $targets // '';
cmp_ok(scalar @targets, '>=', 8, 'there are targets') or BAIL_OUT('make fuzz-names says nothing');

is(system('make --no-print-directory --silent -j2 fuzz-build >/dev/null'), 0, 'the targets are built');
diag "SEED=$seed" if $ENV{SEED};
note "SEED=$seed";
my $said = `make --no-print-directory --silent fuzz FUZZ_SECONDS=$seconds FUZZ_SEED=$seed 2>&1`;
my $status = $?;
for my $target (@targets) {
	my ($inputs) = $said =~ /^\Q$target\E\s+(\d+) inputs/m;
	ok($inputs, "$target holds, whatever the bytes") or next;
	note "$target: $inputs inputs";
}
is($status, 0, 'no input broke anything') or diag $said;
done_testing;
