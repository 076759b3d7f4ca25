#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# instructions.pl - how many instructions an operation costs, by callgrind.
#
# Prints a line for each case of instructions.c and each end: what it was built with and runs on, the case, the end,
# and instructions an operation. --write FILE replaces in FILE the lines of what it was built with and runs on; those
# of others stay. A count depends on the compiler, on the C library, and on nothing else: under valgrind every
# processor looks the same.
use v5.36;

use Config         qw(%Config);
use File::Temp     qw(tempdir);
use Getopt::Long   qw(GetOptions);

my %ENDS = (client => 'client_part', owner => 'owner_part');

my ($write, $program) = (undef, 'build/plain/tests/bench/instructions');
GetOptions('write=s' => \$write, 'program=s' => \$program) && !@ARGV
	or die "Usage: tests/bench/instructions.pl [--program PROGRAM] [--write FILE]\n";
-x $program or die "instructions.pl: $program is not there: make it first\n";

my $built = built_with();
my $folder = tempdir('sole-instructions-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my @lines;
for my $case (split ' ', output($program)) {
	for my $end (sort keys %ENDS) {
		push @lines, sprintf "%s %s %s %.1f\n", $built, $case, $end, count($case, $ENDS{$end});
		print $lines[-1];
	}
}
replace_lines($write) if defined $write;

sub count ($case, $function) {
	my $file = "$folder/$case.$function";
	my $operations = output('valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$file", '--collect-atstart=no',
		"--toggle-collect=$function", $program, $case);
	open my $counts, '<', $file or die "instructions.pl: callgrind wrote nothing of $case: $!\n";
	my ($sum) = map { /^(?:summary|totals): (\d+)/ ? $1 : () } <$counts>;
	die "instructions.pl: nothing was counted of $case\n" if !$sum || $operations !~ /^[1-9]\d*$/;
	return $sum / $operations;
}

# The compiler tells by the comment that it leaves, the C library by itself.
sub built_with () {
	my ($compiler) = output('readelf', '-p', '.comment', $program) =~ /(GCC|clang).*?(\d+\.\d+\.\d+)/ ? lc "$1-$2" : 'unknown';
	my ($library) = output('getconf', 'GNU_LIBC_VERSION') =~ /^(\w+) (\S+)/ ? "$1-$2" : 'unknown';
	my ($machine) = $Config{archname} =~ /^([^-]+)/;
	return "$compiler/$library/$machine";
}

sub output (@command) {
	open my $pipe, '-|', @command or die "instructions.pl: cannot run $command[0]: $!\n";
	my $text = do { local $/; <$pipe> };
	close $pipe or die "instructions.pl: $command[0] failed\n";
	chomp $text;
	return $text;
}

sub replace_lines ($file) {
	my @others;
	if (open my $old, '<', $file) {
		@others = grep { !/^\Q$built\E / } <$old>;
	}
	open my $new, '>', $file or die "instructions.pl: cannot write $file: $!\n";
	print $new @others, @lines;
	close $new or die "instructions.pl: cannot write $file: $!\n";
}
