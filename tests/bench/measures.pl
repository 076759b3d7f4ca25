# SPDX-License-Identifier: MIT
#
# measures.pl - the forms that are more than one command beside a server: starts, memory,
# redis-benchmark over its pipelines, two nodes of Erlang. Each takes a run and returns its
# figures; bench.pl has what starts and ends processes.
use v5.36;

our ($folder, $disk);
my %filled;     # forms of starts that have what they start from

use constant {
	FILL_GRACE_S  => 600,  # for ten million keys to be there
	TIMES         => 3,    # starts that one run measures, the median of which counts
	STEADY        => 5,    # looks at a server's memory that must agree
	STEADY_S      => 0.1,  # between two of them
	PIPELINED     => 400_000, # commands of one run of redis-benchmark, for a run of a second
};

# Starts.

# How many starts a second, by the median of some; and what the processor had to do for one.
# A start ends when the server says that it is ready, as it would say to systemd. What it
# takes up is made once; the server is then killed, so that it finds the same next time.
sub measure_starts ($run) {
	my $name = $run->{form}{name};
	my (@seconds, @cpu_us);

	my $result = eval {
		$run->{state} = "$disk/$name";
		$filled{$name} //= fill($run);
		for (1 .. TIMES) {
			my $cpu = cpu_of_children();
			my $begun = now();
			my $server = start_ready($run, server_of_starts($run));
			push @seconds, now() - $begun;
			end_hard($server);
			push @cpu_us, (cpu_of_children() - $cpu) * 1e6;
		}
		1;
	};
	die "$name failed: $@" . tail("$folder/errors") if !$result;
	return { rate => 1 / median(@seconds), cpu_us => median(@cpu_us) };
}

sub server_of_starts ($run) {
	return $run->{form}{ours} ? durable_owner($run) : durable_redis($run, 'everysec', $run->{preamble} // 'yes');
}

# Puts all keys in, each by a command of its own, and leaves behind what the form starts from.
sub fill ($run) {
	my ($name, $socket) = ($run->{form}{name}, socket_path($run));

	$run->{preamble} = 'no' if $name eq 'redis-aof';
	my $server = start_ready($run, server_of_starts($run));
	my $filler = start($run, undef, $run->{form}{ours}
		? (built('sole_fill'), '--endpoint', "ipc://$socket", '--count', $run->{keys})
		: (built('redis_actors'), '--socket', $socket, '--actors', 1000, '--connections', 1, '--keys', $run->{keys},
			'--count', $run->{keys}));
	my $status = wait_for($filler, FILL_GRACE_S) // die "its keys were not there in time\n";
	die 'what fills it ended with ' . ending($status) . "\n" if $status != 0;
	rewrite($run, $socket) if $name eq 'redis-rdb';
	# One that ends in order writes a snapshot.
	$name eq 'sole-journal' ? end_hard($server) : stop($server);
	return 1;
}

# Asks for the file to be written anew, and waits until it has been.
sub rewrite ($run, $socket) {
	my $until = now() + FILL_GRACE_S;
	my $peer = IO::Socket::UNIX->new(Peer => $socket) or die "cannot reach Redis: $!\n";

	syswrite $peer, "BGREWRITEAOF\r\n";
	while (!glob "$run->{state}/appendonlydir/*.2.base.rdb") {
		die "Redis has not written its file anew\n" if now() > $until;
		sleep POLL_S;
	}
	# The file has its name; the server goes on to name it in its manifest.
	sleep POLL_S until contents("$run->{state}/appendonlydir/appendonly.aof.manifest") =~ /\.2\.base\.rdb/
		or now() > $until;
	return;
}

sub contents ($path) {
	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

# Starts a server that tells when it is ready.
sub start_ready ($run, @command) {
	my ($path, $text) = ("$folder/ready.sock", '');

	unlink $path, socket_path($run);
	my $told = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "cannot make $path: $!\n";
	local $ENV{NOTIFY_SOCKET} = $path;
	my $server = start($run, undef, @command);
	my $until = now() + FILL_GRACE_S;
	until ($text =~ /^READY=1$/m) {
		my $status = wait_for($server, 0);
		die 'its server ended with ' . ending($status) . "\n" if defined $status;
		die "its server was not ready in time\n" if now() > $until;
		vec(my $ready = '', fileno $told, 1) = 1;
		next if select($ready, undef, undef, 0.1) <= 0;
		$told->recv($text, 4096);
	}
	return $server;
}

sub end_hard ($pid) {
	kill 'KILL', -$pid;
	wait_for($pid, STOP_GRACE_S);
	unlink "$folder/peer.sock"; # which it had no time to do
	return;
}

# Memory.

# Resident bytes that a key takes, by what a server has more when it is filled.
sub measure_memory ($run) {
	my $form = $run->{form};
	my $bytes = eval {
		my $server = start($run, undef, $form->{ours} ? plain_owner($run) : redis_server($run));
		wait_for_socket(socket_path($run), $server);
		my $empty = steady_memory($server);
		run_to_end($run, FILL_GRACE_S, $form->{ours}
			? (built('sole_fill'), '--endpoint', 'ipc://' . socket_path($run), '--width', KEY_BYTES,
				'--count', $run->{memory_keys})
			: (built('redis_actors'), '--socket', socket_path($run), qw(--actors 1000 --connections 1 --width),
				KEY_BYTES, '--keys', $run->{memory_keys}, '--count', $run->{memory_keys}));
		my $filled = steady_memory($server);
		end_hard($server);
		($filled - $empty) / $run->{memory_keys};
	};
	die "$form->{name} failed: $@" . tail("$folder/errors") if !defined $bytes;
	die "$form->{name} failed: it took no memory, which is not believed\n" if $bytes <= 0;
	return { bytes => $bytes };
}

# Tables that grow do so while others are served, and a little after.
sub steady_memory ($pid) {
	my ($until, $same, $last) = (now() + READY_GRACE_S, 0, 0);

	while ($same < STEADY && now() < $until) {
		my ($kib) = contents("/proc/$pid/status") =~ /^VmRSS:\s+(\d+) kB$/m or die "its server is gone\n";
		$same = $kib == $last ? $same + 1 : 0;
		$last = $kib;
		sleep STEADY_S;
	}
	return $last * 1024;
}

# A program that must end well, and prints nothing that matters.
sub run_to_end ($run, $seconds, @command) {
	my $status = wait_for(start($run, undef, @command), $seconds) // die "$command[0] was not done in time\n";

	die "$command[0] ended with " . ending($status) . "\n" if $status != 0;
	return;
}

# What a program prints that must end well.
sub output_of ($run, $seconds, @command) {
	pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
	my $pid = start($run, $writer, @command);
	close $writer;
	my $output = read_all($reader, $seconds);
	my $status = wait_for($pid, STOP_GRACE_S) // die "it closed its output and went on\n";
	die 'it ended with ' . ending($status) . "\n" if $status != 0;
	return $output;
}

# redis-benchmark.

# The most that any pipeline gives, on one server with all keys.
sub measure_pipelines ($run) {
	my $command = $run->{form}{redis_command};
	my $count = int(PIPELINED * $run->{duration_ms} / 1000) + 1;
	my $cpu = cpu_of_children();
	my $best = eval {
		my $server = start($run, undef, redis_server($run));
		wait_for_socket(socket_path($run), $server);
		# Five times as many as there are keys: at random, all but one in a hundred and fifty are then there.
		redis_benchmark($run, 'set', 5 * OPEN_KEYS, 256);
		my $most = max map { redis_benchmark($run, $command, $count, $_) } PIPELINES->@*;
		stop($server);
		$most;
	};
	die "$run->{form}{name} failed: $@" . tail("$folder/errors") if !$best;
	return { rate => $best, cpu_us => (cpu_of_children() - $cpu) * 1e6 / (5 * OPEN_KEYS + PIPELINES->@* * $count) };
}

sub redis_benchmark ($run, $command, $count, $pipeline) {
	my $output = output_of($run, RUN_GRACE_S + $run->{duration_ms} / 1000, 'redis-benchmark', '-s', socket_path($run),
		'-c', 50, '-r', OPEN_KEYS, '-n', $count, '-t', $command, '-P', $pipeline, '--csv');

	return $output =~ /^"\U$command\E","([\d.]+)"/m ? $1 : die "redis-benchmark printed no figure\n";
}

# Erlang.

# Two nodes on the loopback interface, and a name server for nobody else: none of them outlives the run.
sub measure_erlang ($run) {
	my $form = $run->{form};
	my $cpu = cpu_of_children();
	my $output = eval {
		my @environment = ('env', 'ERL_EPMD_PORT=' . free_port(), 'ERL_EPMD_ADDRESS=127.0.0.1',
			'ERL_CRASH_DUMP=/dev/null', "HOME=$folder");
		my $names = start($run, undef, @environment, 'epmd');
		my @node = (@environment, 'erl', '-noinput', '-boot', 'no_dot_erlang', '-start_epmd', 'false', '-setcookie',
			'bench', '-kernel', 'inet_dist_use_interface', '{127,0,0,1}', '-pa', BUILT);
		wait_for_port($environment[1], $names);
		my $owner = start($run, undef, @node, '-name', 'owner@127.0.0.1', '-run', 'gencall', 'serve');
		my $printed = output_of($run, RUN_GRACE_S + READY_GRACE_S + $run->{duration_ms} / 1000, @node,
			'-name', 'caller@127.0.0.1', '-run', 'gencall', 'ask', 'owner@127.0.0.1', $form->{callers},
			$run->{workload}{keys}, $run->{duration_ms});
		stop($_) for $owner, $names;
		$printed;
	};
	die "$form->{name} failed: $@" . tail("$folder/errors") if !defined $output;
	my @left = sweep();
	die "$form->{name} failed: it left processes behind: " . join(', ', @left) . "\n" if @left;
	my $rate = rate_of_any($run, $output);
	my ($p50, $p99) = latencies($output);
	return {
		rate => $rate, p50_us => $p50, p99_us => $p99,
		cpu_us => (cpu_of_children() - $cpu) * 1e6 / ($rate * $run->{duration_ms} / 1000),
	};
}

sub free_port () {
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no port is free: $!\n";
	return $socket->sockport;
}

sub wait_for_port ($setting, $server) {
	my ($port) = $setting =~ /(\d+)$/;
	my $until = now() + READY_GRACE_S;

	until (IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")) {
		my $status = wait_for($server, 0);
		die 'epmd ended with ' . ending($status) . "\n" if defined $status;
		die "epmd took no connection in time\n" if now() > $until;
		sleep POLL_S;
	}
	return;
}

1;
