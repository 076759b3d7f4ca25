#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# profile.pl - where the time goes, by layer: README.md has what it told.
#
#	profile.pl perf LOAD            shares of the processor's time, by process and layer (perf record)
#	profile.pl strace LOAD          system calls of the owner for each operation (strace -c)
#	profile.pl callgrind CASE END   instructions of a case of instructions.c, by layer; END: client or owner
#
# A load lasts for two seconds. What is looked at is what `make all bench-build` and `make instructions` have built.
use v5.36;

use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use FindBin    ();

# $O starts an owner in $D, which prints its totals when it ends.
my %LOADS = (
	'110'     => 'sed "s/^duration .*/duration = 2s/" supervisor/seed-110.zpl >$D/seed.zpl; bin/sole-supervisor $D/seed.zpl',
	'one'     => '$O & P=$!; bin/sole-reader -o x -p 0 -d 2s; kill $P; wait $P',
	'4x256'   => '$O & P=$!; for n in 1 2; do for who in reader writer; do bin/sole-$who -o x -a 256 -p 0 -k 100000 -d 2s & C="$C $!"; done; done;'
		. ' wait $C; kill $P; wait $P',
	'durable' => '$O --state $D/state & P=$!; until [ -S $D/x.sock ]; do sleep 0.01; done;'
		. ' build/bench/sole_clients --socket $D/x.sock --readers 0 --writers 64 --pause 0 --keys 1000 --duration 2s; kill $P; wait $P',
);

# The first that fits decides. What a process is called decides between functions of one name.
my @LAYERS = (
	[qr{^owner/transport/}                    => "the owner's transport"],
	[qr{^owner/core/(?:store|table|lock)}     => 'store and table'],
	[qr{^owner/(?:core|service)/}             => 'service and core'],
	[qr{^owner/state/}                        => 'journal'],
	[qr{^owner/}                              => "the owner's loop"],
	[qr{^common/}                             => 'wire, buffer and the like'],
	[qr{^clients/(?:actors|reader|writer)}    => 'the actors'],
	[qr{^clients/}                            => 'client library'],
);

chdir "$FindBin::RealBin/../.." or die "profile.pl: cannot enter the tree: $!\n";
my ($how, $what, $end) = @ARGV;
my $usage = 'Usage: profile.pl perf|strace ' . join('|', sort keys %LOADS) . " or profile.pl callgrind CASE client|owner\n";
my $folder = tempdir('sole-profile-XXXXXX', DIR => getcwd() . '/build', CLEANUP => 1);
if (@ARGV == 3 && $how eq 'callgrind') {
	by_callgrind($what, $end);
} elsif (@ARGV == 2 && exists $LOADS{$what} && $how =~ /^(?:perf|strace)$/) {
	$how eq 'perf' ? by_perf($what) : by_strace($what);
} else {
	die $usage;
}

sub load_of ($load, $owner = 'bin/sole-owner x') {
	return "D='$folder'; export SOLE_RUNTIME_DIR=\"\$D\"; O='$owner'; $LOADS{$load}";
}

sub by_perf ($load) {
	run('timeout', 30, 'perf', 'record', '-q', '-e', 'cpu-clock', '-F', 1999, '-o', "$folder/perf", 'sh', '-c', load_of($load));
	my (%share, %files);
	for my $object (split ' ', `find build/plain/owner build/plain/clients build/plain/common -name '*.o'`) {
		my $file = $object =~ s{^build/plain/}{}r;
		push @{ $files{$_} }, $file for `nm --defined-only $object` =~ /^\S+ [tT] (\S+)$/mg;
	}
	for (`perf report -q -i $folder/perf --no-children -g none --sort comm,dso,sym 2>/dev/null`) {
		my ($percent, $process, $object, $symbol) = /^ *([\d.]+)% +(\S+) +(\S+) +\[.\] (\S+)/ or next;
		$symbol =~ s/\..*//; # what the compiler adds where it made a copy
		next if $process !~ /^sole/;
		my $side = $process eq 'sole-owner' ? qr/^owner/ : qr/^clients/;
		my ($file) = sort { ($b =~ $side) <=> ($a =~ $side) } @{ $files{$symbol} // [] };
		my $layer = $object =~ /^sole/ ? layer($file // '') : $object =~ /kernel/ ? 'kernel' : $object =~ /vdso/ ? 'reading the clock' : 'C library and others';
		$process = 'clients' if $process !~ /owner|supervisor/;
		$share{"$process: $layer"} += $percent;
	}
	table('%', %share);
}

sub by_strace ($load) {
	my $output = output('timeout', 30, 'sh', '-c', load_of($load, "strace -D -f -c -o $folder/calls bin/sole-owner x"));
	my ($reads, $writes) = $output =~ /^reads: (\d+), writes: (\d+)$/m or die "profile.pl: the owner told no totals\n";
	# Its tracer ends a moment after the owner.
	for (my $left = 100; $left-- > 0 && !-s "$folder/calls";) {
		select undef, undef, undef, 0.05;
	}
	open my $calls, '<', "$folder/calls" or die "profile.pl: strace wrote nothing: $!\n";
	my %each = map { /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$/ && $2 ne 'total' ? ($2 => $1 / ($reads + $writes)) : () } <$calls>;
	table('for each operation', map { $each{$_} >= 0.0005 ? ($_ => $each{$_}) : () } keys %each);
}

sub by_callgrind ($case, $end) {
	my $program = 'build/plain/tests/bench/instructions';
	my $operations = output('valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$folder/counts", '--collect-atstart=no',
		"--toggle-collect=${end}_part", $program, $case);
	my %each;
	for (`callgrind_annotate --threshold=100 $folder/counts`) {
		my ($count, $file) = /^ *([\d,]+) +(?:\([ \d.]+%\))? +(\S+?):\S/ or next;
		$file =~ s{^\Q@{[getcwd()]}\E/}{};
		$each{ layer($file =~ s{^\./(?=owner|common|clients)}{}r) } += $count =~ s/,//gr / $operations;
	}
	table('instructions for each operation', %each);
}

sub layer ($file) {
	for (@LAYERS) {
		return $_->[1] if $file =~ $_->[0];
	}
	return $file =~ m{^tests/} ? 'the load' : 'C library and others';
}

sub table ($unit, %values) {
	print "$unit\n";
	printf "%10.4g  %s\n", $values{$_}, $_ for sort { $values{$b} <=> $values{$a} } keys %values;
}

sub run (@command) {
	open my $saved, '>&', \*STDOUT or die "profile.pl: $!\n";
	open STDOUT, '>', '/dev/null' or die "profile.pl: $!\n";
	my $status = system @command;
	open STDOUT, '>&', $saved or die "profile.pl: $!\n";
	die "profile.pl: $command[0] failed\n" if $status == -1;
}

sub output (@command) {
	open my $pipe, '-|', @command or die "profile.pl: cannot run $command[0]: $!\n";
	local $/;
	my $text = <$pipe>;
	close $pipe;
	return $text;
}
