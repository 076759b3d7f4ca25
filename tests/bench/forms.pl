# SPDX-License-Identifier: MIT
#
# forms.pl - what bench.pl runs: workloads, forms of them, and what is to be reached.
#
# A new bench is a new entry of @FORMS: what it is called, what it needs, the command,
# and how its operations a second are read. bench.pl requires this file, and has what
# starts and ends processes; measures.pl has the forms that are more than a command.
use v5.36;

our ($folder, $disk, %WORKLOADS, @FORMS, @GOALS);

use constant {
	BUILT       => 'build/bench',
	PIPELINES   => [ 16, 32, 64, 128, 256, 512 ], # of redis-benchmark: its best counts
	OPEN_KEYS   => 100_000,
	CROWDS      => [ 1, 10, 100, 1000 ],          # processes of one request at a time
	PAUSES_MS   => [ 20, 5, 2, 1 ],               # of 100 processes: loads, from low to high
	LOADED      => 100,
	# A thousand processes that have just been made take a tenth of a second to get going; that is not what is measured.
	CROWD_OPTIONS => [qw(--latency --settle 500ms)],
	KEY_BYTES   => 16,                            # of the keys that memory is counted for
};

# What a program does, whatever it is written in. Ratios are taken between forms
# of the same workload: of operations a second, unless it says of what.
%WORKLOADS = (
	seed => {
		title => '100 readers, 10 writers, key i mod 5, 1 ms pause',
		readers => 100, writers => 10, keys => 5, pause_ms => 1,
	},
	'durable-64' => {
		title => '64 processes, each one durable write at a time, 1000 keys, no pause',
		readers => 0, writers => 64, keys => 1000, pause_ms => 0, most => MOST,
	},
	'durable-actors' => {
		title => '64 actors of one process, each one durable write at a time, 1000 keys, no pause',
		readers => 0, writers => 64, keys => 1000, pause_ms => 0, most => MOST,
	},
	restart => {
		title => "starts a second of a server with that many --keys on disk, until it says that it is ready; files cached",
	},
	'open-mix' => {
		title => 'three reads to a write, 100000 keys at random, no pause, many requests under way',
		readers => 3, writers => 1, keys => OPEN_KEYS, pause_ms => 0,
	},
	'open-get' => {
		title => 'reads of 100000 keys at random, no pause, many requests under way',
		readers => 4, writers => 0, keys => OPEN_KEYS, pause_ms => 0,
	},
	'open-put' => {
		title => 'writes to 100000 keys at random, no pause, many requests under way',
		readers => 0, writers => 4, keys => OPEN_KEYS, pause_ms => 0,
	},
	(map {
		("crowd-$_" => {
			title => processes($_) . ', each one read at a time, 5 keys, no pause',
			readers => $_, writers => 0, keys => 5, pause_ms => 0, clients => $_,
			figure => $_ == 1 ? 'p50_us' : 'rate',
		})
	} CROWDS->@*),
	'actors-110' => {
		title => '110 actors of one process that read, each one request at a time, 5 keys, no pause',
		readers => 1, writers => 0, keys => 5, pause_ms => 0,
	},
	(map {
		("load-$_" => {
			title => processes(LOADED) . ", each one read at a time, 5 keys, $_ ms pause",
			readers => LOADED, writers => 0, keys => 5, pause_ms => $_,
		})
	} PAUSES_MS->@*),
	quiet => {
		title => 'three reads to a write, 100000 keys at random, no pause, 4 processes of 256 actors: what watches is quiet',
		readers => 3, writers => 1, keys => OPEN_KEYS, pause_ms => 0,
	},
	first => {
		title => 'a program that asks for one value, from its start to its end',
		keys => 5, figure => 'p50_us',
	},
	memory => {
		title => "resident bytes for each of --memory-keys keys of @{[KEY_BYTES]} bytes with integers: filled less empty",
		figure => 'bytes',
	},
);

# name     as --only and the tables call it
# ours     it is a form of sole: ratios are taken from it to each other form
# needs    files of the tree, and programs of the PATH (those without a slash)
# slow     it is not in the quick half
# series   of the plots
# server   a program that runs beside the command, and its socket
# fill     a program that puts in, before the command, what that one asks for
# beside   programs that run beside the command
# command  the program and its arguments
# rate     operations a second, from what the command printed; dies where it is no result
# version  one word or two for the head of the report
@FORMS = (
	{
		name => 'sole-110', workload => 'seed', ours => 1,
		title => 'sole, 110 processes of one actor',
		needs => [ sole_programs(), 'supervisor/seed-110.zpl' ],
		command => sub ($run) { supervised($run, 'supervisor/seed-110.zpl') },
		rate => \&rate_of_totals, version => \&version_of_sole,
	},
	{
		name => 'sole-11', workload => 'seed', ours => 1,
		title => 'sole, 11 processes of ten actors',
		needs => [ sole_programs(), 'supervisor/seed-11.zpl' ],
		command => sub ($run) { supervised($run, 'supervisor/seed-11.zpl') },
		rate => \&rate_of_totals, version => \&version_of_sole,
	},
	{
		name => 'go', workload => 'seed',
		title => 'Go, one process of 110 goroutines, channels',
		needs => [built('seed-go')],
		command => sub ($run) { (built('seed-go'), seed_options($run, '-')) },
		rate => \&rate_of_totals, version => \&version_of_go,
	},
	{
		name => 'redis', workload => 'seed',
		title => 'Redis, 110 processes with hiredis, Unix socket',
		needs => [ built('redis_clients'), 'redis-server' ],
		server => { command => \&redis_server, socket => \&socket_path },
		command => sub ($run) {
			(built('redis_clients'), '--socket', socket_path($run), seed_options($run, '--'));
		},
		rate => \&rate_of_totals,
		version => \&version_of_redis,
	},
	{
		name => 'floor', workload => 'seed',
		title => 'the floor: 110 processes, bare Unix sockets, epoll',
		needs => [built('floor')],
		command => sub ($run) {
			(built('floor'), '--socket', socket_path($run), seed_options($run, '--'));
		},
		rate => \&rate_of_totals, version => sub { () },
	},
	durable_form('sole-sync-64', 'durable-64', 'sole --state, 64 processes with the library',
		sub ($run) { (built('sole_clients'), '--socket', socket_path($run), seed_options($run, '--')) },
		built('sole_clients')),
	durable_form('redis-sync-64', 'durable-64', 'Redis, appendfsync always, 64 processes with hiredis',
		sub ($run) { (built('redis_clients'), '--socket', socket_path($run), seed_options($run, '--')) },
		built('redis_clients')),
	{
		name => 'floor-sync-64', workload => 'durable-64',
		title => 'the floor: 64 processes, bare Unix sockets, one sync for all that had come',
		needs => [built('floor')],
		command => \&durable_floor, rate => \&rate_of_writes, version => sub { () },
	},
	durable_form('sole-sync-actors', 'durable-actors', 'sole --state, 64 actors on a socket',
		sub ($run) {
			('bin/sole-writer', '--endpoint', 'ipc://' . socket_path($run), '--actors', 64, '--pause', 0,
				'--keys', 1000, '--duration', "$run->{duration_ms}ms");
		}, 'bin/sole-writer'),
	durable_form('redis-sync-actors', 'durable-actors', 'Redis, appendfsync always, 64 sockets, epoll',
		sub ($run) { redis_actors($run, 64) }, built('redis_actors')),
	durable_form('redis-sync-pipe', 'durable-actors', 'Redis, appendfsync always, 64 actors on a socket, pipelined',
		sub ($run) { redis_actors($run, 1) }, built('redis_actors')),
	restart_form('sole-journal', 'sole, a journal and no snapshot', 1),
	restart_form('sole-snapshot', 'sole, a snapshot', 1),
	restart_form('redis-aof', 'Redis, an append-only file of commands', 0),
	restart_form('redis-rdb', 'Redis, an append-only file with a preamble in RDB', 0),
	open_form('sole-mix', 'open-mix', 'sole, 4 processes of 256 actors'),
	{
		name => 'go-mix', workload => 'open-mix',
		title => 'Go, one process of 100 goroutines, channels',
		needs => [ built('seed-go') ],
		command => sub ($run) {
			(built('seed-go'), qw(-readers 75 -writers 25 -keys), OPEN_KEYS, qw(-pause 0 -random -duration),
				"$run->{duration_ms}ms");
		},
		rate => \&rate_of_any, version => \&version_of_go,
	},
	open_form('sole-get', 'open-get', 'sole, 4 processes of 256 actors'),
	pipeline_form('redis-get', 'open-get', 'get'),
	open_form('sole-put', 'open-put', 'sole, 4 processes of 256 actors'),
	pipeline_form('redis-set', 'open-put', 'set'),
	(map { crowd_forms($_) } CROWDS->@*),
	erlang_form('erl-c1', 'crowd-1', 1),
	open_form('sole-a110', 'actors-110', 'sole, 110 actors on a socket', actors => 110),
	erlang_form('erl-a110', 'actors-110', 110),
	(map { load_forms($_) } PAUSES_MS->@*),
	quiet_form('plain', 0, 'sole with none of these three: a list of slow requests, rules of access, a trace'),
	quiet_form('sole-quiet', 1, 'sole with all three', qw(slow access trace)),
	{ quiet_form('sole-access', 1, 'sole with rules of access alone', 'access')->%*, slow => 1 },
	{ quiet_form('sole-trace', 1, 'sole with a trace alone, whose filter nothing passes', 'trace')->%*, slow => 1 },
	first_form('sole-first', 'sole get, from start to end', 'bin/sole'),
	first_form('redis-first', 'redis-cli get, from start to end', 'redis-cli'),
	memory_form('sole-memory', 'sole'),
	memory_form('redis-memory', 'Redis'),
);

# What is to be reached: a figure of one form, divided by that of another in the same round.
@GOALS = (
	goal('seed, actors in 11 processes', 'sole-11', 'go', least => 1.0, aim => 1.2),
	goal('seed, 110 processes', 'sole-110', 'redis', least => 1.0),
	goal('seed, 110 processes', 'sole-110', 'floor', aim => 0.8),
	goal('no pause, 4 processes', 'sole-mix', 'go-mix', least => 3, aim => 5),
	goal('no pause, 4 processes, get', 'sole-get', 'redis-get', least => 3, aim => 5),
	goal('no pause, 4 processes, put', 'sole-put', 'redis-set', least => 3, aim => 5),
	goal('one client, one request at a time, p50', 'sole-c1', 'zmq-c1', figure => 'p50_us', most => 1.1),
	goal('durable put, 64 clients', 'sole-sync-64', 'redis-sync-64', least => 2),
	goal('throughput, 1000 processes beside 100', 'sole-c1000', 'sole-c100', least => 0.7),
	goal('p99, 10 processes beside one', 'sole-c10', 'sole-c1', figure => 'p99_us', most => 10),
	goal('p99, 100 processes beside 10', 'sole-c100', 'sole-c10', figure => 'p99_us', most => 10),
	goal('p99, 1000 processes beside 100', 'sole-c1000', 'sole-c100', figure => 'p99_us', most => 10),
	goal('memory a key', 'sole-memory', 'redis-memory', figure => 'bytes', most => 0.7),
	goal('starts a second, a million keys', 'sole-snapshot', 'redis-rdb', least => 1.0),
	goal('tracing, slow log and access, on but quiet', 'sole-quiet', 'plain', least => 0.97),
	goal('start to first answer, p50', 'sole-first', 'redis-first', figure => 'p50_us', most => 1.5),
);

sub goal ($what, $over, $under, %bounds) {
	return { what => $what, over => $over, under => $under, figure => 'rate', %bounds };
}

sub built ($program) {
	return BUILT . "/$program";
}


# A form of durable writes: the server's folder is on the disk where --disk says.
sub durable_form ($name, $workload, $title, $command, @needs) {
	my $ours = $name =~ /^sole/;

	return {
		name => $name, workload => $workload, ours => $ours, title => $title,
		needs => [ @needs, $ours ? 'bin/sole-owner' : 'redis-server' ],
		server => {
			command => $ours ? \&durable_owner : \&durable_redis, socket => \&socket_path,
		},
		command => $command, rate => \&rate_of_writes,
		version => $ours ? \&version_of_sole : \&version_of_redis,
	};
}

# A form of starts: no command is run beside the server.
sub restart_form ($name, $title, $ours) {
	return {
		name => $name, workload => 'restart', ours => $ours, title => $title,
		needs => $ours ? [ 'bin/sole-owner', built('sole_fill') ] : [ built('redis_actors'), 'redis-server' ],
		measure => \&measure_starts, version => $ours ? \&version_of_sole : \&version_of_redis,
	};
}

# Many requests under way: what sole sends for them travels together.
sub open_form ($name, $workload, $title, %more) {
	return {
		name => $name, workload => $workload, ours => 1, title => $title,
		needs => [ 'bin/sole-owner', built('sole_clients'), built('sole_fill') ],
		server => { command => \&plain_owner, socket => \&socket_path },
		fill => \&fill_sole,
		command => sub ($run) { sole_clients($run, '--actors', $more{actors} // 256) },
		rate => \&rate_of_any, version => \&version_of_sole,
	};
}

sub pipeline_form ($name, $workload, $command) {
	return {
		name => $name, workload => $workload,
		title => "redis-benchmark, 50 clients, Unix socket, $command, its best pipeline of @{[join ', ', PIPELINES->@*]}",
		needs => [ 'redis-server', 'redis-benchmark' ], redis_command => $command,
		measure => \&measure_pipelines, version => \&version_of_redis,
	};
}

sub processes ($count) {
	return $count == 1 ? 'one process' : "$count processes";
}

# One request at a time, from so many processes.
sub crowd_forms ($count) {
	my $processes = processes($count);
	my @more = (workload => "crowd-$count", rate => \&rate_of_any);

	return (
		sole_crowd("sole-c$count", "sole, $processes with the library", @more),
		redis_crowd("redis-c$count", "Redis, $processes with hiredis", @more),
		bare_crowd("floor-c$count", 'floor', "the floor: $processes, bare Unix sockets, epoll", @more),
		{
			bare_crowd("zmq-c$count", 'zmq_clients',
				"libzmq alone: $processes, DEALER to ROUTER and back, frames as sole's", @more)->%*,
			slow => $count > 1,
		},
	);
}

sub load_forms ($pause_ms) {
	my @more = (workload => "load-$pause_ms", rate => \&rate_of_any, slow => 1);

	return (
		sole_crowd("sole-p$pause_ms", "sole, @{[LOADED]} processes", @more),
		redis_crowd("redis-p$pause_ms", "Redis, @{[LOADED]} processes", @more),
		bare_crowd("floor-p$pause_ms", 'floor', "the floor, @{[LOADED]} processes", @more),
	);
}

sub sole_crowd ($name, $title, @more) {
	return {
		name => $name, ours => 1, series => 'sole', title => $title,
		needs => [ 'bin/sole-owner', built('sole_clients'), built('sole_fill') ],
		server => { command => \&plain_owner, socket => \&socket_path },
		fill => \&fill_sole, command => sub ($run) { sole_clients($run, CROWD_OPTIONS->@*) },
		version => \&version_of_sole, @more,
	};
}

sub redis_crowd ($name, $title, @more) {
	return {
		name => $name, series => 'Redis', title => $title, needs => [ built('redis_clients'), 'redis-server' ],
		server => { command => \&redis_server, socket => \&socket_path },
		fill => \&fill_redis,
		command => sub ($run) {
			(built('redis_clients'), '--socket', socket_path($run), CROWD_OPTIONS->@*, seed_options($run, '--'));
		},
		version => \&version_of_redis, @more,
	};
}

# Those that bring their server.
sub bare_crowd ($name, $program, $title, @more) {
	return {
		name => $name, series => $program eq 'floor' ? 'bare sockets' : 'libzmq', title => $title,
		needs => [ built($program) ],
		command => sub ($run) {
			(built($program), '--socket', socket_path($run), CROWD_OPTIONS->@*, seed_options($run, '--'));
		},
		version => sub { () }, @more,
	};
}

sub erlang_form ($name, $workload, $callers) {
	return {
		name => $name, workload => $workload, callers => $callers,
		title => sprintf('Erlang, gen_server:call between two nodes, %s', $callers == 1 ? 'one caller' : "$callers callers"),
		needs => [ built('gencall.beam'), 'erl', 'epmd' ],
		measure => \&measure_erlang, version => \&version_of_erlang,
	};
}

# What can be on: a list of slow requests, rules of access, a trace.
sub quiet_form ($name, $ours, $title, @on) {
	my %on = map { $_ => 1 } @on;

	return {
		open_form($name, 'quiet', $title)->%*, ours => $ours,
		server => {
			command => sub ($run) {
				plain_owner($run, $on{slow} ? () : ('--max-slow', 0), $on{access} ? ('--access', rules()) : ());
			},
			socket => \&socket_path,
		},
		beside => $on{trace} ? sub ($run) {
			[ 'bin/sole', 'trace', '--endpoint', 'ipc://' . socket_path($run), '--key', 'nobody/' ];
		} : undef,
		needs => [ 'bin/sole-owner', 'bin/sole', built('sole_clients'), built('sole_fill') ],
	};
}

sub first_form ($name, $title, $program) {
	my $ours = $program eq 'bin/sole';

	return {
		name => $name, workload => 'first', ours => $ours, title => $title,
		needs => [ built('first_answer'), $program,
			$ours ? ('bin/sole-owner', built('sole_fill')) : ('redis-server', built('redis_actors')) ],
		server => { command => $ours ? \&plain_owner : \&redis_server, socket => \&socket_path },
		fill => $ours ? \&fill_sole : \&fill_redis,
		command => sub ($run) {
			(built('first_answer'), '--duration', "$run->{duration_ms}ms", '--', $program,
				$ours ? ('get', '--endpoint', 'ipc://' . socket_path($run), 1)
				: ('-s', socket_path($run), 'get', 1));
		},
		rate => \&rate_of_any, version => $ours ? \&version_of_sole : \&version_of_redis,
	};
}

sub memory_form ($name, $title) {
	my $ours = $name =~ /^sole/;

	return {
		name => $name, workload => 'memory', ours => $ours, title => $title,
		needs => $ours ? [ 'bin/sole-owner', built('sole_fill') ] : [ 'redis-server', built('redis_actors') ],
		measure => \&measure_memory, version => $ours ? \&version_of_sole : \&version_of_redis,
	};
}

# Of a program that only writes and does not pause.
sub rate_of_writes ($run, $output) {
	my ($writes) = $output =~ /^(?:reads: 0, )?writes: (\d+)$/m;

	die "it printed no line `writes: N`\n" if !defined $writes;
	my $rate = $writes / ($run->{duration_ms} / 1000);
	die "it counted $writes writes, which is not believed\n" if !$writes || $rate > $run->{workload}{most};
	return $rate;
}

sub rate_of_totals ($run, $output) {
	my $workload = $run->{workload};
	my @lines = $output =~ /^reads: (\d+), writes: (\d+)$/mg;

	die "it printed no line `reads: N, writes: M`\n" if !@lines;
	die "it printed more than one line of totals\n" if @lines > 2;
	my ($reads, $writes) = @lines;
	die "it read $reads times and wrote $writes times: somebody did nothing\n" if !$reads || !$writes;

	# Nobody who pauses can do more than this; one that does runs another program.
	my $each = ($run->{duration_ms} + LATE_MS) / $workload->{pause_ms} + 1;
	my $most = ($workload->{readers} + $workload->{writers}) * $each;
	die "it counted @{[ $reads + $writes ]} operations, and the pause allows $most\n"
		if $reads + $writes > $most;
	return ($reads + $writes) / ($run->{duration_ms} / 1000);
}

# Of a program that does not pause.
sub rate_of_any ($run, $output) {
	my ($reads, $writes) = $output =~ /^reads: (\d+), writes: (\d+)$/m
		or die "it printed no line `reads: N, writes: M`\n";
	my $rate = ($reads + $writes) / ($run->{duration_ms} / 1000);

	die "it counted $reads reads and $writes writes, which is not believed\n" if !$rate || $rate > MOST;
	return $rate;
}

# p50 and p99 in microseconds, where they were printed.
sub latencies ($output) {
	my ($p50, $p99) = $output =~ /^latency: p50 (\S+) p99 (\S+)/m or return;
	my %us = (ns => 0.001, us => 1, ms => 1000, s => 1_000_000);

	return map { /^([\d.]+)(ns|us|ms|s)$/ ? $1 * $us{$2} : die "'$_' is no time\n" } $p50, $p99;
}


# What the forms are made of.

sub sole_programs () {
	return map { "bin/$_" } qw(sole-supervisor sole-owner sole-reader sole-writer);
}

# The file as it stands, so that what is measured is what `make run` runs; another
# duration is put into a copy of it.
sub supervised ($run, $file) {
	return ('bin/sole-supervisor', $file) if $run->{duration_ms} == 1000;
	open my $in, '<', $file or die "cannot read $file: $!\n";
	my $text = do { local $/; <$in> };
	$text =~ s/^(duration\s*=\s*)\S+/$1$run->{duration_ms}ms/m or die "$file has no duration to change\n";
	my $copy = "$folder/" . $file =~ s{.*/}{}r;
	open my $out, '>', $copy or die "cannot write $copy: $!\n";
	print $out $text;
	close $out or die "cannot write $copy: $!\n";
	return ('bin/sole-supervisor', $copy);
}

sub seed_options ($run, $dashes) {
	my $workload = $run->{workload};
	my %value = (
		readers => $workload->{readers}, writers => $workload->{writers}, keys => $workload->{keys},
		pause => "$workload->{pause_ms}ms", duration => "$run->{duration_ms}ms",
	);

	return map { ("$dashes$_", $value{$_}) } sort keys %value;
}

sub socket_path ($run) {
	my $path = "$folder/peer.sock";

	die "the folder $folder makes a socket's path too long: set TMPDIR to a shorter one\n"
		if length $path > SOCKET_MOST;
	return $path;
}

# Nothing of it touches a disk or a port. The kernel ends it should we be killed
# outright; util-linux's setpriv asks for that where it is installed.
sub redis_server ($run) {
	my @tied = on_path('setpriv') ? qw(setpriv --pdeathsig TERM) : ();

	# A thousand clients connect at once, and are let in.
	return (@tied, 'redis-server', '--port', 0, '--unixsocket', socket_path($run), '--unixsocketperm', 700,
		'--tcp-backlog', 4096, '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', $folder,
		'--loglevel', 'warning', '--logfile', "$folder/errors");
}

# Both sync what they answer, and neither has to write a snapshot in the middle.
sub durable_owner ($run) {
	return ('bin/sole-owner', '--quiet', '--endpoint', 'ipc://' . socket_path($run), '--state', $run->{state},
		'--snapshot-after', '1GiB', 'bench');
}

sub durable_redis ($run, $sync = 'always', $preamble = 'no') {
	my @tied = on_path('setpriv') ? qw(setpriv --pdeathsig TERM) : ();

	mkdir $run->{state};
	return (@tied, 'redis-server', '--port', 0, '--unixsocket', socket_path($run), '--unixsocketperm', 700,
		'--save', '', '--appendonly', 'yes', '--appendfsync', $sync, '--aof-use-rdb-preamble', $preamble,
		'--auto-aof-rewrite-percentage', 0, '--daemonize', 'no', '--supervised', 'systemd',
		'--dir', $run->{state}, '--loglevel', 'notice', '--logfile', "$folder/errors");
}

sub durable_floor ($run) {
	return ('env', "FLOOR_JOURNAL=$disk/floor", built('floor'), '--socket', socket_path($run), seed_options($run, '--'));
}

# Nothing of it is written anywhere.
sub plain_owner ($run, @more) {
	return ('bin/sole-owner', '--quiet', '--endpoint', 'ipc://' . socket_path($run), @more, 'bench');
}

sub sole_clients ($run, @more) {
	return (built('sole_clients'), '--socket', socket_path($run), @more, seed_options($run, '--'));
}

# What readers ask for is there.
sub fill_sole ($run) {
	return (built('sole_fill'), '--endpoint', 'ipc://' . socket_path($run), '--count', $run->{workload}{keys});
}

sub fill_redis ($run) {
	my $keys = $run->{workload}{keys};

	return (built('redis_actors'), '--socket', socket_path($run), qw(--actors 1 --connections 1 --keys), $keys,
		'--count', $keys);
}

# Whoever runs the bench may do what its clients ask; others stand in the rules, too.
sub rules () {
	my $file = "$folder/rules";

	open my $to, '>', $file or die "cannot write $file: $!\n";
	print $to "rule\n    who = uid 1\n    right = query\nrule\n    who = uid $>\n    right = admin\n",
		"rule\n    who = anyone\n    right = none\n";
	close $to or die "cannot write $file: $!\n";
	chmod 0600, $file;
	return $file;
}

sub redis_actors ($run, $connections) {
	return (built('redis_actors'), '--socket', socket_path($run), '--actors', 64, '--connections', $connections,
		'--keys', 1000, '--duration', "$run->{duration_ms}ms");
}

sub version_of ($program, $pattern, @arguments) {
	open my $from, '-|', $program, @arguments or return 'unknown';
	my ($version) = join('', <$from>) =~ $pattern;
	close $from;
	return $version // 'unknown';
}

sub version_of_go () {
	return version_of('go', qr/(go[\d.]+)/, 'version');
}

sub version_of_erlang () {
	return 'Erlang/OTP ' . version_of('erl', qr/^(\d+)$/m, '-noinput', '-boot', 'no_dot_erlang', '-eval',
		'io:format("~s~n", [erlang:system_info(otp_release)]), halt().');
}

sub version_of_redis () {
	return 'Redis ' . version_of('redis-server', qr/v=([\d.]+)/, '--version');
}

sub version_of_sole () {
	my $version = 'sole ' . version_of('bin/sole-supervisor', qr/([\d.]+)$/m, '--version');
	my $commit = on_path('git') && -e '.git' && qx(git describe --always --dirty 2>/dev/null);

	chomp $commit if $commit;
	return $commit ? "$version ($commit)" : $version;
}

1;
