#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# coverage.pl - runs tests that were built with --coverage, and tells what gcov says of each file.
#
#   coverage.pl --least PERCENT --build FOLDER --file FILE.c ... [--run COMMAND] ... TEST ...
#
# Ends with 1 when a test fails, or fewer than PERCENT of a file's branches were taken; those are told by their lines.
#
# Not counted, because nothing can take them: the failure of an assert(), and that what only ever returns false,
# as in `return sound || refuse(...)`, returned true.
use strict;
use warnings;

use File::Find;
use Getopt::Long;

use constant LINES_TOLD_MAX => 40;

my ($least, $build, @files, @runs) = (95, 'build/coverage');
GetOptions('least=f' => \$least, 'build=s' => \$build, 'file=s' => \@files, 'run=s' => \@runs) or exit 64;

find({ no_chdir => 1, wanted => sub { unlink $_ if /\.gcda$/ } }, $build);
my $good = 1;
for my $test (@ARGV, @runs) {
	my $said = `$test 2>&1`;
	next if $? == 0;
	print "$test failed:\n", grep { /^not ok|^#/ } map { "$_\n" } split /\n/, $said;
	$good = 0;
}

# Each branch that gcov counts, by line: those never taken, and how many there are.
sub branches {
	my ($file) = @_;
	my ($line, $all, $taken, $lines, $run, $run_line, $text, %missed) = (0, 0, 0, 0, 0, 0, '');
	my ($object) = $file =~ /^(.*)\.c$/;
	my $ours = 0;
	open my $in, '-|', "gcov -t -b -c -o '$build/$object.o' '$file' 2>/dev/null" or return;
	while (<$in>) {
		if (/^\s*-:\s*0:Source:(.*)/) {
			$ours = $1 eq $file;
		} elsif (!$ours) {
			next;
		} elsif (/^\s*(\S+):\s*(\d+):(.*)/) {
			my $count = $1;
			($line, $text) = ($2, $3);
			$run_line = $count =~ /^\d/;
			$lines++ if $count ne '-';
			$run++   if $run_line;
		} elsif (/^branch\s+\d+\s+(?:taken (\d+)|never executed)/) {
			my $count = $1;
			next if !$count && ($text =~ /^\s*assert\(/ || ($run_line && $text =~ s/\|\| (?:refuse|refuse_at|differs)\(//));
			$all++;
			if ($count) { $taken++ } else { $missed{$line}++ }
		}
	}
	close $in;
	return ($lines, $run, $all, $taken, \%missed);
}

printf "%-28s %8s %8s\n", '', 'lines', 'branches';
for my $file (@files) {
	my ($lines, $run, $all, $taken, $missed) = branches($file);
	if (!$lines) {
		print "$file: gcov says nothing\n";
		$good = 0;
		next;
	}
	my $percent = $all ? 100 * $taken / $all : 100;
	printf "%-28s %7.1f%% %7.1f%%%s\n", $file, 100 * $run / $lines, $percent, $percent < $least ? "  below $least%" : '';
	next if $percent >= $least;
	$good = 0;
	my @told = sort { $a <=> $b } keys %$missed;
	my $more = @told > LINES_TOLD_MAX ? ' ...' : '';
	splice @told, LINES_TOLD_MAX if $more;
	print "    lines with branches not taken: @told$more\n";
}
exit($good ? 0 : 1);
