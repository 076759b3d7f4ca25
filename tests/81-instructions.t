#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# 81-instructions.t - an operation costs as many instructions as it did.
#
# tests/bench/instructions.pl counts a fixed load under callgrind; tests/bench/instructions has the counts that are
# meant. A count, unlike a time, is the same on a loaded machine. It belongs to a compiler and a C library: of others,
# and of programs that are built otherwise, nothing is judged. What costs less is to be noted as well, or the next one
# would be free to lose it: `make instructions`.
use v5.36;

use FindBin ();
use Test::More;

use constant WITHIN => 0.03;

chdir "$FindBin::Bin/.." or BAIL_OUT("cannot enter the tree: $!");
alarm 600;

my $program = 'build/plain/tests/bench/instructions';
plan skip_all => 'counts are of programs that are built plainly' if ($ENV{SOLE_BIN} // 'bin') ne 'bin';
plan skip_all => 'valgrind is not here (make analyze-deps)' if !grep { -x "$_/valgrind" } split /:/, $ENV{PATH};
plan skip_all => "$program is not built: make $program" if !-x $program;

my %meant = counts('tests/bench/instructions');
open my $pipe, '-|', 'tests/bench/instructions.pl', '--program', $program or BAIL_OUT("cannot count: $!");
my @lines = <$pipe>;
ok(close $pipe, 'the load runs under callgrind') or BAIL_OUT('nothing was counted');
my ($built) = $lines[0] =~ /^(\S+) /;

if (!grep { /^\Q$built\E / } keys %meant) {
	diag "no counts are known for $built; add them with `make instructions`:\n", @lines;
	done_testing();
	exit;
}
for (@lines) {
	my ($what, $count) = /^(\S+ \S+ \S+) (\S+)$/ or BAIL_OUT("a line of another shape: $_");
	my ($case, $end) = (split / /, $what)[1, 2];
	my $meant = delete $meant{$what};
	ok(defined $meant && abs($count / $meant - 1) <= WITHIN, "$case: the $end takes the instructions that are meant")
		or diag defined $meant ? sprintf('%.1f instructions an operation and not %.1f: %+.1f %%. ', $count, $meant, 100 * ($count / $meant - 1))
			. 'If that is meant, note it: make instructions' : "no count of it is known: make instructions";
}
is_deeply([grep { /^\Q$built\E / } sort keys %meant], [], 'no count is known of what is not counted any more');
done_testing();

sub counts ($file) {
	open my $lines, '<', $file or BAIL_OUT("cannot read $file: $!");
	return map { /^(\S+ \S+ \S+) (\S+)$/ ? ($1 => $2) : BAIL_OUT("$file: a line of another shape: $_") } <$lines>;
}
