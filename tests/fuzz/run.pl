#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# run.pl - runs fuzz targets, as many at a time as there are processors, each from its committed
# corpus (tests/fuzz/corpus/NAME) and for a time. An input that breaks a target stays in a folder of the
# build, is told with its bytes, and makes the run a failure.
#
#   run.pl --build FOLDER [--seconds N] [--seed N] [--jobs N] [--keep] NAME ...
#
# --keep: of all that was found, what reaches most goes into the corpus in place of what is there.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use Getopt::Long;
use POSIX qw(:sys_wait_h);

use constant { INPUT_BYTES_MAX => 4096, KEPT_BYTES_MAX => 12288, HEX_BYTES_MAX => 512, SLACK_SECONDS => 60 };

my ($build, $seconds, $seed, $keep) = ('', 60, 0, 0);
my $jobs = do { my $n = `nproc`; $n =~ /^(\d+)/ ? $1 : 2 };
GetOptions('build=s' => \$build, 'seconds=i' => \$seconds, 'seed=i' => \$seed, 'jobs=i' => \$jobs, 'keep' => \$keep)
	or exit 64;
die "run.pl: give --build and the targets\n" if $build eq '' || !@ARGV;
my $corpora = dirname($0) . '/corpus';
$ENV{CMOCKA_TEST_ABORT} = 1; # where an input breaks an assertion of a kit, as where it breaks our own
$ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS}, 'quarantine_size_mb=8', 'allocator_may_return_null=1';

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	binmode $file;
	local $/;
	return scalar(<$file>) // '';
}

sub run_in_child {
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!\n";
	return $pid if $pid;
	open STDIN,  '<', '/dev/null';
	open STDOUT, '>', $log or POSIX::_exit(126);
	open STDERR, '>&', \*STDOUT;
	{ no warnings "exec"; exec { $command[0] } @command; }
	POSIX::_exit(127);
}

sub start {
	my ($name) = @_;
	my $folder = "$build/$name.run";
	system('rm', '-rf', '--', $folder);
	make_path("$folder/found");
	my $corpus = "$corpora/$name";
	my $log    = "$folder/log";
	my $pid    = run_in_child(
		$log, "$build/$name", "-max_total_time=$seconds", "-max_len=" . INPUT_BYTES_MAX, '-timeout=25',
		'-rss_limit_mb=2048', '-print_final_stats=1', '-close_fd_mask=1', $seed ? "-seed=$seed" : (),
		"-artifact_prefix=$folder/broke-", "$folder/found", -d $corpus ? $corpus : ());
	return { name => $name, pid => $pid, folder => $folder, log => $log, until => time + $seconds + SLACK_SECONDS };
}

sub number {
	my ($text, $pattern) = @_;
	my @all = $text =~ /$pattern/g;
	return @all ? $all[-1] : 0;
}

# Returns whether the target held.
sub report {
	my ($run, $status) = @_;
	my $log   = slurp($run->{log});
	my @broke = glob("$run->{folder}/broke-*");
	my $runs  = number($log, qr/^stat::number_of_executed_units:\s+(\d+)/m);
	if ($status == 0 && !@broke) {
		printf "%-10s %9d inputs, %5d edges, %5d a second\n", $run->{name}, $runs, number($log, qr/ cov: (\d+)/),
			number($log, qr/^stat::average_exec_per_sec:\s+(\d+)/m);
		return 1;
	}
	print "$run->{name}: broken after $runs inputs\n";
	my @lines = split /\n/, $log;
	my @tail  = grep { !/\b(?:NEW|REDUCE|pulse)\b/ } @lines;
	splice @tail, 0, @tail - 60 if @tail > 60;
	print "  | $_\n" for @tail;
	for my $path (@broke) {
		my $bytes = slurp($path);
		my $hex   = join ' ', unpack '(H2)*', substr $bytes, 0, HEX_BYTES_MAX;
		printf "  input %s (%d bytes): %s%s\n", $path, length $bytes, $hex,
			length $bytes > HEX_BYTES_MAX ? ' ...' : '';
		print "  again: $build/$run->{name} $path\n";
	}
	return 0;
}

# The few inputs that reach every edge that anything reached, the small ones first.
sub keep {
	my ($name) = @_;
	my ($corpus, $folder) = ("$corpora/$name", "$build/$name.run");
	make_path("$folder/kept", $corpus);
	my $pid = run_in_child("$folder/keep.log", "$build/$name", '-set_cover_merge=1', '-use_counters=0',
		'-max_len=' . INPUT_BYTES_MAX, '-close_fd_mask=1', "$folder/kept", $corpus, "$folder/found");
	waitpid $pid, 0;
	die "run.pl: cannot merge: see $folder/keep.log\n" if $? != 0;
	my ($bytes, $files) = (0, 0);
	unlink glob "$corpus/*";
	for my $path (sort { -s $a <=> -s $b || $a cmp $b } glob "$folder/kept/*") {
		next if $bytes + -s $path > KEPT_BYTES_MAX;
		$bytes += -s $path;
		$files++;
		my ($base) = $path =~ m{([^/]+)$};
		open my $out, '>', "$corpus/" . substr $base, 0, 12 or die "$corpus: $!\n";
		binmode $out;
		print $out slurp($path);
		close $out or die "$corpus: $!\n";
	}
	print "$name: kept $files inputs, $bytes bytes\n";
}

$| = 1;
my @waiting = @ARGV;
my %running;
my $good = 1;
while (@waiting || %running) {
	while (@waiting && keys %running < $jobs) {
		my $run = start(shift @waiting);
		$running{ $run->{pid} } = $run;
	}
	my $pid = waitpid -1, WNOHANG;
	if ($pid > 0 && $running{$pid}) {
		my $run  = delete $running{$pid};
		my $held = report($run, $?);
		keep($run->{name}) if $held && $keep;
		$good &&= $held;
		next;
	}
	for my $run (values %running) {
		next if time < $run->{until} || $run->{late}++;
		print "$run->{name}: did not stop in time\n";
		kill 'KILL', $run->{pid};
	}
	select undef, undef, undef, 0.05;
}
exit($good ? 0 : 1);
