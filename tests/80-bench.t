#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# 80-bench.t - the bench measures what it says and leaves nothing behind.
#
# Runs tests/bench/bench.pl as a person would, one short round of whatever is
# installed. It judges that the figures can be true, never that they are good: a
# loaded machine is not a failure.
use v5.36;

use Cwd         qw(abs_path);
use File::Temp  qw(tempdir);
use FindBin     ();
use POSIX       qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use constant {
	DEADLINE_S => 20,    # for anything that is waited for
	RUN        => '200ms',
	MOST       => 110 * 301 / 0.2, # 110 actors that pause 1 ms and are stopped up to 100 ms late
	LEAST      => 100,   # a second; below this nothing ran
};

chdir "$FindBin::Bin/.." or BAIL_OUT("cannot enter the tree: $!");
alarm 240;

my $folder = tempdir('sole-t80-XXXXXX', TMPDIR => 1);
my $bench = 'tests/bench/bench.pl';
$ENV{TMPDIR} = $folder;

# This is one make of its own, whether or not one runs us.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};
my ($built, $build_log) = outcome('make', '-s', '-f', 'tests/bench/bench.mk');
is($built, 0, 'the peers are built, or named where their tools are missing') or diag $build_log;

my %here = (
	floor => -x 'build/bench/floor',
	go => -x 'build/bench/seed-go',
	redis => -x 'build/bench/redis_clients' && on_path('redis-server'),
	map { $_ => all_there($_) } qw(sole-110 sole-11),
);
my @here = sort grep { $here{$_} } keys %here;
my $erlang = -e 'build/bench/gencall.beam' && on_path('erl') && on_path('epmd');

subtest 'each form that is installed gets a row with figures that can be true' => sub {
	my $file = "$folder/results.md";
	my ($status, $out, $err) = bench('--rounds', 1, '--warm-up', 0, '--duration', RUN,
		'--only', join(',', sort keys %here), '--markdown', $file);
	is($status, 0, 'the bench ends well') or diag $err;
	for my $form (@here) {
		my ($median, $least, $most) = $out =~ /^\Q$form\E +(\d+) +(\d+) +(\d+) +[\d.]+  \w/m;
		ok(defined $median, "$form has a row") or next;
		ok($least <= $median && $median <= $most, "$form: least, median and most are in order");
		ok(LEAST < $least && $most <= MOST, "$form: $median operations a second can be true");
		my $where = (stat $file) ? contents($file) : '';
		like($where, qr/^\| \d{4}-\d\d-\d\d \| \Q$form\E \| $median \|/m, "$form has a dated row in the file");
	}
	for my $form (grep { !$here{$_} } sort keys %here) {
		like($err, qr/^bench: \Q$form\E is left out: not here: \S/m, "$form, which is missing, is named");
	}
	for my $ours (grep { /^sole/ } @here) {
		like($out, qr{^\Q$ours\E / $_ +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d$}m, "$ours is compared with $_")
			for grep { !/^sole/ } @here;
	}
	unlink $file;
	nothing_stays();
};

subtest 'durable writes and starts are compared, and their folders go' => sub {
	plan skip_all => 'needs Redis, hiredis and sole' if !$here{redis} || !$here{'sole-11'};
	mkdir "$folder/disk";
	my ($status, $out, $err) = bench('--rounds', 1, '--warm-up', 0, '--duration', RUN, '--keys', 2000,
		'--disk', "$folder/disk", '--only', 'sole-sync-64,redis-sync-64,sole-sync-actors,redis-sync-actors,'
			. 'redis-sync-pipe,sole-journal,sole-snapshot,redis-aof,redis-rdb');
	is($status, 0, 'the bench ends well') or diag $err;
	like($out, qr{^\Q$_\E +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d$}m, "$_ is there")
		for 'sole-sync-64 / redis-sync-64', 'sole-sync-actors / redis-sync-actors',
			'sole-sync-actors / redis-sync-pipe', 'sole-journal / redis-aof', 'sole-snapshot / redis-rdb';
	unlike($out, qr{sole-sync-64 / redis-aof}, 'only forms of one workload are');
	ok(rmdir "$folder/disk", 'the folder on the disk is left empty');
	nothing_stays();
};

subtest 'what is not the seed program is measured, compared and judged as well' => sub {
	plan skip_all => 'needs Redis, hiredis and sole' if !$here{redis} || !$here{'sole-11'};
	my $file = "$folder/results.md";
	my ($status, $out, $err) = bench('--rounds', 1, '--warm-up', 0, '--duration', RUN, '--memory-keys', 20_000,
		'--plot', $folder, '--markdown', $file, '--only', 'sole-mix,go-mix,sole-get,redis-get,sole-c1,zmq-c1,'
			. 'sole-c10,floor-c10,erl-c1,plain,sole-quiet,sole-first,redis-first,sole-memory,redis-memory');
	is($status, 0, 'the bench ends well') or diag $err;
	my $figure = qr/ +\d+(?:\.\d+)?/;
	like($out, qr/^\Q$_\E$figure{4}  \w/m, "$_: operations a second")
		for qw(sole-mix sole-get redis-get sole-c1 zmq-c1 sole-c10 plain sole-quiet sole-first redis-first),
			$here{go} ? 'go-mix' : (), $erlang ? 'erl-c1' : ();
	my ($times) = $out =~ /^latency, us (.*?)\n\n/ms;
	for my $form (qw(sole-c1 zmq-c1 sole-c10 floor-c10 sole-first redis-first), $erlang ? 'erl-c1' : ()) {
		my ($p50, $p99) = $times =~ /^\Q$form\E +([\d.]+) +[\d.]+ +[\d.]+ +([\d.]+) /m;
		ok(defined $p99 && 0 < $p50 && $p50 <= $p99, "$form: its times can be true");
	}
	my ($bytes) = $out =~ /^sole-memory +([\d.]+) +[\d.]+ +[\d.]+$/m;
	cmp_ok($bytes // 0, '>', 16, 'a key takes more memory than its own bytes');
	like($out, qr{^\Q$_\E$figure{3}$}m, "$_ is there")
		for 'sole-get / redis-get', 'sole-c1 / zmq-c1, p50', 'sole-c10 / floor-c10', 'sole-quiet / plain',
			'sole-memory / redis-memory, bytes', $erlang ? 'sole-c1 / erl-c1, p50' : ();
	my ($ratio, $verdict)
		= $out =~ m{^memory a key +sole-memory / redis-memory, bytes +at most 0\.7 +([\d.]+) .*? (met|not met)$}m;
	is($verdict, defined $ratio && $ratio <= 0.7 ? 'met' : 'not met', 'a goal is met where its ratio says so')
		if defined $ratio && $ratio != 0.7;
	ok(defined $ratio, 'goals are judged');
	like(contents($file), qr/^\| \d{4}-\d\d-\d\d \| memory a key \| .* \| (not )?met \|$/m, 'in the file, too');
	unlink $file;
	if (on_path('gnuplot')) {
		like(contents("$folder/throughput.svg"), qr{<svg.*sole.*</svg>}s, 'throughput is drawn');
		ok(!-e "$folder/latency.svg", 'of one load nothing is');
		unlink "$folder/throughput.svg";
	}
	nothing_stays();
};

subtest 'libzmq is measured with frames of the sizes that sole sends' => sub {
	plan skip_all => 'needs strace' if !on_path('strace') || !$here{'sole-11'};
	my $owner = start('/dev/null', '/dev/null', 'bin/sole-owner', '-q', '-e', "ipc://$folder/o.sock", 'frames');
	until_true(sub { -S "$folder/o.sock" });
	my ($status, undef, $err) = outcome('strace', '-f', '-e', 'trace=sendto,recvfrom', 'build/bench/sole_clients',
		'--socket', "$folder/o.sock", qw(--readers 1 --writers 1 --pause 0 --duration 100ms));
	kill 'TERM', $owner;
	wait_for($owner);
	is($status, 0, 'clients run, looked at');
	# ZMTP puts two bytes before each of the two frames; the first is empty.
	my %bytes = (sendto => {}, recvfrom => {});
	$bytes{$1}{ $2 - 4 }++ while $err =~ /\b(sendto|recvfrom)\(.* = (\d+)$/mg;
	my ($request, $answer) = contents('tests/bench/zmq_clients.c')
		=~ /REQUEST_BYTES = (\d+), ANSWER_BYTES = (\d+)/;
	ok($bytes{sendto}{$request}, 'a request') or diag join ' ', %{ $bytes{sendto} };
	ok($bytes{recvfrom}{$answer}, 'an answer') or diag join ' ', %{ $bytes{recvfrom} };
	nothing_stays();
};

subtest 'the quick half has what goals are about' => sub {
	my ($status, $out) = bench('--quick', '--list');
	is($status, 0, 'the list is printed');
	like($out, qr/^sole-c1000 (?!.*not in the quick half)/m, 'goals are in it');
	like($out, qr/^zmq-c1000 .*\(not in the quick half\)/m, 'what only the plots need is not');
	nothing_stays();
};

subtest 'results are added to those of earlier days' => sub {
	my $file = "$folder/results.md";
	for (1 .. 2) {
		my ($status, undef, $err)
			= bench(qw(--rounds 1 --warm-up 0 --duration 20ms --only floor --markdown), $file);
		is($status, 0, 'the bench ends well') or diag $err;
	}
	my $text = contents($file);
	is(() = $text =~ /^# Results$/mg, 1, 'one head');
	is(() = $text =~ /^\| [\d-]+ \| floor \|/mg, 2, 'a row of each run');
	unlink $file;
	nothing_stays();
};

# How many processes there are of each, at the least, when it is under way.
my %many = (floor => 101, redis => 101, 'sole-11' => 11, 'erl-c1' => 4);
for my $form (grep { $here{$_} || $_ eq 'erl-c1' && $erlang } sort keys %many) {
	subtest "an interrupt in the middle of $form ends all of it" => sub {
		my $pid = start('/dev/null', '/dev/null', $bench, '--only', $form, '--duration', '30s');
		ok(until_true(sub { strays() >= $many{$form} }), 'the clients run');
		kill 'INT', $pid;
		my $status = wait_for($pid);
		is($status, POSIX::SIGINT(), 'it dies of the signal, as make and shells expect');
		kill 'KILL', $pid if !defined $status;
		nothing_stays();
	};
}

subtest 'a form that fails is told with its reason, and nothing of it stays' => sub {
	plan skip_all => 'needs Redis and hiredis' if !$here{redis};
	mkdir "$folder/bin";
	program("$folder/bin/redis-server", "#!/bin/sh\necho no luck today >&2\nexit 3\n");
	local $ENV{PATH} = "$folder/bin:$ENV{PATH}";
	my ($status, $out, $err) = bench(qw(--rounds 1 --only redis));
	is($status, 70, 'the status says that a form failed');
	is($out, '', 'no table is printed');
	like($err, qr/^bench: redis failed: its server ended with exit status 3\n  no luck today\n\z/m,
		'the reason is told');
	unlink "$folder/bin/redis-server";
	rmdir "$folder/bin";
	nothing_stays();
};

subtest 'clients that find no server say so once' => sub {
	plan skip_all => 'needs hiredis' if !-x 'build/bench/redis_clients';
	my ($status, $out, $err) = outcome('build/bench/redis_clients', '--socket', "$folder/nobody.sock");
	is($status, 69, 'the status says that the service is not there');
	is($out, '', 'no totals are printed');
	like($err, qr/\Aredis_clients: cannot connect .*\nredis_clients: 110 of 110 clients failed\n\z/,
		'two lines for 110 clients');
};

subtest 'many actors are for peers that have them' => sub {
	my ($status, $out, $err) = outcome('build/bench/floor', '--socket', "$folder/f.sock", qw(--actors 2 --pause 0));
	is($status, 64, 'the status says so');
	is($err, "floor: this peer has one request at a time: leave --actors at 1\n", 'and a line');
	nothing_stays();
};

subtest 'a bad option is one line and a status' => sub {
	my %bad = (
		'--only nobody' => 64, '--rounds 0' => 64, '--rounds many' => 64, '--duration 1' => 64,
		'--memory-keys 0' => 64, "--plot $folder/none" => 73,
		'--duration 1h' => 64, '--bogus' => 64, 'operand' => 64, "--markdown $folder/none/r.md" => 73,
	);
	for my $options (sort keys %bad) {
		my ($status, $out, $err) = bench(split / /, $options);
		is($status, $bad{$options}, "$options: status $bad{$options}");
		like($err, qr/\Abench: [^\n]+\n\z/, "$options: one line");
	}
	nothing_stays();
};

done_testing();

END {
	my $status = $?;
	if ($folder && Test::More->builder->is_passing) {
		rmdir $folder or diag "cannot remove $folder: $!";
	} elsif ($folder) {
		diag "see $folder";
	}
	$? = $status;
}

# What a form of sole is made of, told from outside the bench.
sub all_there ($form) {
	my ($layout) = $form =~ /(\d+)$/;
	return !grep { !-e } "supervisor/seed-$layout.zpl",
		map { "bin/$_" } qw(sole-supervisor sole-owner sole-reader sole-writer);
}

sub on_path ($program) {
	return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub bench (@arguments) {
	return outcome($bench, @arguments);
}

# Exit status (or signal), standard output and standard error of a command.
sub outcome (@command) {
	my $pid = start("$folder/out", "$folder/err", @command);
	my $status = wait_for($pid);
	if (!defined $status) {
		kill 'TERM', $pid;
		wait_for($pid) // kill 'KILL', $pid;
	}
	my @text = map { contents("$folder/$_") } qw(out err);
	unlink map { "$folder/$_" } qw(out err);
	return (defined $status && !($status & 127) ? $status >> 8 : $status, @text);
}

sub start ($out, $err, @command) {
	my $pid = fork // BAIL_OUT("cannot fork: $!");
	return $pid if $pid;
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', $out;
	open STDERR, '>', $err;
	{ no warnings 'exec'; exec { $command[0] } @command; }
	POSIX::_exit(127);
}

sub until_true ($condition) {
	my $until = time + DEADLINE_S;
	while (time < $until) {
		return 1 if $condition->();
		sleep 0.01;
	}
	return 0;
}

sub wait_for ($pid) {
	my $status;
	until_true(sub { waitpid($pid, WNOHANG) == $pid && defined($status = $?) });
	return $status;
}

sub contents ($file) {
	open my $from, '<', $file or return '';
	local $/;
	return <$from> // ''; # nothing as well where a process ended meanwhile
}

sub program ($file, $text) {
	open my $to, '>', $file or BAIL_OUT("cannot write $file: $!");
	print $to $text;
	close $to;
	chmod 0755, $file;
	return;
}

# Processes that a bench of this test started: the folder is in their environment.
sub strays () {
	my $mark = qr/\0SOLE_BENCH_FOLDER=\Q$folder\E\//;
	return grep { my $environment = contents("$_/environ"); "\0$environment" =~ $mark } glob '/proc/[0-9]*';
}

sub nothing_stays () {
	ok(until_true(sub { !strays() }), 'no process stays')
		or diag map { contents("$_/comm") } strays();
	opendir my ($place), $folder;
	is_deeply([ grep { !/^\.\.?$/ } readdir $place ], [], 'no file stays');
	return;
}
