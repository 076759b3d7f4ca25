#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# bench.pl - runs one program in several forms, alternating, and prints ratios.
#
# A figure of one form alone says more about the machine and its minute than about
# the form. So each round runs every form once, in an order shuffled anew, and a
# ratio is taken within a round; the table shows the median of the rounds' ratios
# and how far they spread. A new bench is a new entry of @FORMS: what it is
# called, what it needs, the command, and how its operations a second are read.
#
# Whatever ends this program, no process and no folder of it stays: every process
# is started by start() and ended by stop(), and sweep() looks for grandchildren.
use v5.36;

use Cwd            qw(abs_path);
use File::Path     qw(remove_tree);
use File::Spec::Functions qw(rel2abs);
use File::Temp     qw(tempdir);
use FindBin        ();
use Getopt::Long   qw(GetOptionsFromArray :config no_ignore_case no_auto_abbrev);
use IO::Socket::UNIX ();
use Socket         qw(SOCK_DGRAM);
use List::Util     qw(first max min shuffle uniq);
use POSIX          qw(:signal_h :sys_wait_h strftime);
use Time::HiRes    qw(clock_gettime sleep CLOCK_MONOTONIC);

use constant {
	EX_OK => 0, EX_USAGE => 64, EX_UNAVAILABLE => 69, EX_SOFTWARE => 70, EX_CANTCREAT => 73,
	RUN_GRACE_S    => 15,   # beyond its duration, before a run counts as hung
	READY_GRACE_S  => 10,   # for a server to accept connections
	STOP_GRACE_S   => 5,    # from SIGTERM to SIGKILL
	SWEEP_GRACE_S  => 2,    # for what a form started to be gone after it
	POLL_S         => 0.005,
	SOCKET_MOST    => 107,  # bytes in the path of a Unix socket
	FILL_GRACE_S   => 120,  # for a million keys to be there
	TIMES          => 3,    # starts that one run measures, the median of which counts
	MOST           => 10_000_000, # operations a second, beyond which a count is not believed
	LATE_MS        => 100,  # how late a stop may come on a busy machine, and count
};

my $BUILT = 'build/bench';

# What a program does, whatever it is written in. Ratios are taken between forms
# of the same workload.
my %WORKLOADS = (
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
);

# name     as --only and the tables call it
# ours     it is a form of sole: ratios are taken from it to each other form
# needs    files of the tree, and programs of the PATH (those without a slash)
# server   a program that runs beside the command, and its socket
# command  the program and its arguments
# rate     operations a second, from what the command printed; dies where it is no result
# version  one word or two for the head of the report
my @FORMS = (
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
		needs => ["$BUILT/seed-go"],
		command => sub ($run) { ("$BUILT/seed-go", seed_options($run, '-')) },
		rate => \&rate_of_totals, version => sub { version_of('go', qr/(go[\d.]+)/, 'version') },
	},
	{
		name => 'redis', workload => 'seed',
		title => 'Redis, 110 processes with hiredis, Unix socket',
		needs => [ "$BUILT/redis_clients", 'redis-server' ],
		server => { command => \&redis_server, socket => \&socket_path },
		command => sub ($run) {
			("$BUILT/redis_clients", '--socket', socket_path($run), seed_options($run, '--'));
		},
		rate => \&rate_of_totals,
		version => \&version_of_redis,
	},
	{
		name => 'floor', workload => 'seed',
		title => 'the floor: 110 processes, bare Unix sockets, epoll',
		needs => ["$BUILT/floor"],
		command => sub ($run) {
			("$BUILT/floor", '--socket', socket_path($run), seed_options($run, '--'));
		},
		rate => \&rate_of_totals, version => sub { () },
	},
	durable_form('sole-sync-64', 'durable-64', 'sole --state, 64 processes with the library',
		sub ($run) { ("$BUILT/sole_clients", '--socket', socket_path($run), seed_options($run, '--')) },
		"$BUILT/sole_clients"),
	durable_form('redis-sync-64', 'durable-64', 'Redis, appendfsync always, 64 processes with hiredis',
		sub ($run) { ("$BUILT/redis_clients", '--socket', socket_path($run), seed_options($run, '--')) },
		"$BUILT/redis_clients"),
	{
		name => 'floor-sync-64', workload => 'durable-64',
		title => 'the floor: 64 processes, bare Unix sockets, one sync for all that had come',
		needs => ["$BUILT/floor"],
		command => \&durable_floor, rate => \&rate_of_writes, version => sub { () },
	},
	durable_form('sole-sync-actors', 'durable-actors', 'sole --state, 64 actors on a socket',
		sub ($run) {
			('bin/sole-writer', '--endpoint', 'ipc://' . socket_path($run), '--actors', 64, '--pause', 0,
				'--keys', 1000, '--duration', "$run->{duration_ms}ms");
		}, 'bin/sole-writer'),
	durable_form('redis-sync-actors', 'durable-actors', 'Redis, appendfsync always, 64 sockets, epoll',
		sub ($run) { redis_actors($run, 64) }, "$BUILT/redis_actors"),
	durable_form('redis-sync-pipe', 'durable-actors', 'Redis, appendfsync always, 64 actors on a socket, pipelined',
		sub ($run) { redis_actors($run, 1) }, "$BUILT/redis_actors"),
	restart_form('sole-journal', 'sole, a journal and no snapshot', 1),
	restart_form('sole-snapshot', 'sole, a snapshot', 1),
	restart_form('redis-aof', 'Redis, an append-only file of commands', 0),
	restart_form('redis-rdb', 'Redis, an append-only file with a preamble in RDB', 0),
);

my $USAGE = <<"END";
bench.pl --rounds 3 --only floor,go

Usage: tests/bench/bench.pl [option ...]

Runs the seed's program in several forms, alternating, and prints ratios with spread.

  --rounds N        rounds that count [5]
  --warm-up N       rounds before them that do not [1]
  --duration TIME   of each run: 500ms, 1s [1s]
  --only FORM,...   these forms alone
  --seed N          of the shuffling, to repeat an order
  --disk DIR        where what is durable is kept: a folder on a disk [build/bench]
  --keys N          of the state that a server takes up when it starts [1000000]
  --markdown FILE   also add the tables to FILE, under the date
  --list            print the forms and what each still needs
  --help            print this

Exit status: 0 done, 64 usage, 69 nothing to run, 70 a form failed, 73 FILE cannot be written.
END

my %group;      # leaders of process groups that run now: pid => name of the form
my $disk;       # a folder on a disk, for what is to be durable
my %filled;     # forms of starts that have what they start from
my $folder;     # where sockets and errors of the runs are; the mark of our processes

main(@ARGV);

sub main (@arguments) {
	my $option = options(@arguments);

	chdir "$FindBin::RealBin/../.." or fail(EX_UNAVAILABLE, "cannot enter the tree: $!");
	return list() if $option->{list};
	my @forms = available($option->{only});
	fail(EX_UNAVAILABLE, 'nothing to run: build with `make all bench-build` first') if !@forms;

	# A signal ends what runs, takes the folder away, and then ends us as it would have.
	my $signal;
	my $report = eval {
		local @SIG{qw(INT TERM HUP)} = map {
			my $name = $_;
			sub { $signal = $name; die "interrupted\n" }
		} qw(INT TERM HUP);
		$folder = tempdir('sole-bench-XXXXXX', TMPDIR => 1);
		$disk = tempdir('sole-bench-XXXXXX', DIR => $option->{disk});
		measure($option, @forms);
	};
	my $error = $@;
	clean_up();
	if ($signal) {
		$SIG{$signal} = 'DEFAULT';
		kill $signal, $$;
	}
	fail(EX_SOFTWARE, $error =~ s/\n\z//r) if !$report;
	print text($report);
	add_markdown($option->{markdown}, $report) if defined $option->{markdown};
	exit EX_OK;
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
		needs => $ours ? [ 'bin/sole-owner', "$BUILT/sole_fill" ] : [ "$BUILT/redis_actors", 'redis-server' ],
		measure => \&measure_starts, version => $ours ? \&version_of_sole : \&version_of_redis,
	};
}

# The command line.

sub options (@arguments) {
	my %option = (rounds => 5, 'warm-up' => 1, duration => '1s', disk => $BUILT, keys => 1_000_000, seed => int rand 1_000_000);
	local $SIG{__WARN__} = sub ($text) { fail(EX_USAGE, lcfirst($text =~ s/\n\z//r) . '; see --help') };

	GetOptionsFromArray(\@arguments, \%option, 'rounds=i', 'warm-up=i', 'duration=s', 'only=s', 'seed=i',
		'disk=s', 'keys=i', 'markdown=s', 'list', 'help');
	if ($option{help}) {
		print $USAGE;
		exit EX_OK;
	}
	fail(EX_USAGE, "'$arguments[0]' is not an option; see --help") if @arguments;
	fail(EX_USAGE, '--rounds: give 1 to 1000') if $option{rounds} < 1 || $option{rounds} > 1000;
	fail(EX_USAGE, '--warm-up: give 0 to 1000') if $option{'warm-up'} < 0 || $option{'warm-up'} > 1000;
	fail(EX_USAGE, '--keys: give 1 to 100000000') if $option{keys} < 1 || $option{keys} > 100_000_000;
	$option{duration} =~ /\A(\d+(?:\.\d+)?)(ms|s)\z/
		or fail(EX_USAGE, "--duration: '$option{duration}' is not a time such as 500ms or 1s");
	$option{duration_ms} = int($2 eq 's' ? $1 * 1000 : $1);
	fail(EX_USAGE, '--duration: give 10ms to 60s')
		if $option{duration_ms} < 10 || $option{duration_ms} > 60_000;
	if (defined $option{only}) {
		my @names = uniq split /,/, $option{only};
		for my $name (@names) {
			next if first { $_->{name} eq $name } @FORMS;
			fail(EX_USAGE, "--only: there is no form '$name': give some of "
				. join(', ', map { $_->{name} } @FORMS));
		}
		$option{only} = \@names;
	}
	if (defined $option{markdown}) {
		# Told now rather than after the minutes of a run.
		my $path = $option{markdown} = rel2abs($option{markdown});
		my $new = !-e $path;
		open my $file, '>>', $path or fail(EX_CANTCREAT, "cannot write $path: $!");
		unlink $path if $new;
	}
	return \%option;
}

sub list () {
	for my $form (@FORMS) {
		my @missing = missing($form);
		printf "%-17s %s%s\n", $form->{name}, $form->{title},
			@missing ? ' (needs ' . join(', ', @missing) . ')' : '';
	}
	return;
}

# Which forms can run; the others are named and left out.
sub available ($only) {
	my @forms;

	for my $form (@FORMS) {
		next if $only && !first { $_ eq $form->{name} } @$only;
		my @missing = missing($form);
		if (@missing) {
			say STDERR "bench: $form->{name} is left out: not here: " . join ', ', @missing;
		} else {
			push @forms, $form;
		}
	}
	return @forms;
}

sub missing ($form) {
	return grep { /\// ? !-e : !on_path($_) } $form->{needs}->@*;
}

sub on_path ($program) {
	return first { -x "$_/$program" } split /:/, $ENV{PATH} // '';
}

# The rounds.

sub measure ($option, @forms) {
	my %report = (
		option => $option, forms => \@forms, time => time, load => load(),
		versions => [ uniq map { $_->{version}->() } @forms ],
	);

	srand $option->{seed};
	for my $round (1 - $option->{'warm-up'} .. $option->{rounds}) {
		for my $form (shuffle @forms) {
			progress($round < 1 ? "warming up: $form->{name}"
				: "round $round of $option->{rounds}: $form->{name}");
			my ($rate, $cpu_us) = run({
				form => $form, workload => $WORKLOADS{ $form->{workload} },
				duration_ms => $option->{duration_ms}, keys => $option->{keys},
			});
			next if $round < 1;
			push $report{rates}{ $form->{name} }->@*, $rate;
			push $report{cpu_us}{ $form->{name} }->@*, $cpu_us;
		}
	}
	progress('');
	return \%report;
}

# Runs a form once, alone: its server comes and goes with it. Operations a second,
# and the microseconds of processor that one of them took, everything included.
sub run ($run) {
	my $form = $run->{form};
	return $form->{measure}->($run) if $form->{measure};
	my $errors = "$folder/errors";
	$run->{state} = "$disk/state";
	my $cpu_before = cpu_of_children();
	my ($server, $output);

	open my $empty, '>', $errors or die "cannot write $errors: $!\n";
	my $rate = eval {
		if ($form->{server}) {
			$server = start($run, undef, $form->{server}{command}->($run));
			wait_for_socket($form->{server}{socket}->($run), $server);
		}
		pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
		my $pid = start($run, $writer, $form->{command}->($run));
		close $writer;
		$output = read_all($reader, $run->{duration_ms} / 1000 + RUN_GRACE_S);
		my $status = wait_for($pid, STOP_GRACE_S) // die "it closed its output and went on\n";
		die 'it ended with ' . ending($status) . "\n" if $status != 0;
		$form->{rate}->($run, $output);
	};
	my $error = $@;
	die $error if $error eq "interrupted\n";
	stop($server) if defined $server;
	remove_tree($run->{state});
	my @left = defined $rate ? sweep() : ();
	$error = 'it left processes behind: ' . join(', ', @left) . "\n" if @left;
	die "$form->{name} failed: $error" . tail($errors) if $error;
	my $operations = $rate * $run->{duration_ms} / 1000;
	return ($rate, (cpu_of_children() - $cpu_before) * 1e6 / $operations);
}

# Seconds of processor of every process that has ended and was waited for, by us
# or by one that we waited for.
sub cpu_of_children () {
	my (undef, undef, $user, $system) = times;
	return $user + $system;
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

	return (@tied, 'redis-server', '--port', 0, '--unixsocket', socket_path($run), '--unixsocketperm', 700,
		'--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', $folder,
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
	return ('env', "FLOOR_JOURNAL=$disk/floor", "$BUILT/floor", '--socket', socket_path($run), seed_options($run, '--'));
}

sub redis_actors ($run, $connections) {
	return ("$BUILT/redis_actors", '--socket', socket_path($run), '--actors', 64, '--connections', $connections,
		'--keys', 1000, '--duration', "$run->{duration_ms}ms");
}

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
	return (1 / median(@seconds), median(@cpu_us));
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
		? ("$BUILT/sole_fill", '--endpoint', "ipc://$socket", '--count', $run->{keys})
		: ("$BUILT/redis_actors", '--socket', $socket, '--actors', 1000, '--connections', 1, '--keys', $run->{keys},
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

sub version_of ($program, $pattern, @arguments) {
	open my $from, '-|', $program, @arguments or return 'unknown';
	my ($version) = join('', <$from>) =~ $pattern;
	close $from;
	return $version // 'unknown';
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

# Processes.

# Starts a command in a process group of its own: an interrupt at the terminal
# reaches us alone, and we end it in order. Its output goes to $out or nowhere.
sub start ($run, $out, @command) {
	my $held = POSIX::SigSet->new(SIGINT, SIGTERM, SIGHUP);

	# Held back until the pid is written down, else a signal could lose it; and
	# a child must not run our handlers.
	sigprocmask(SIG_BLOCK, $held);
	my $pid = fork;
	if (defined $pid && $pid == 0) {
		@SIG{qw(INT TERM HUP)} = ('DEFAULT') x 3;
		sigprocmask(SIG_UNBLOCK, $held);
		become($out, @command);
	}
	if (defined $pid) {
		POSIX::setpgid($pid, $pid); # done on both sides, so that neither must wait
		$group{$pid} = $run->{form}{name};
	}
	sigprocmask(SIG_UNBLOCK, $held);
	return $pid // die "cannot fork: $!\n";
}

sub become ($out, @command) {
	POSIX::setpgid(0, 0);
	open STDIN, '<', '/dev/null';
	open STDERR, '>>', "$folder/errors";
	$out ? open STDOUT, '>&', $out : open STDOUT, '>', '/dev/null';
	$ENV{SOLE_RUNTIME_DIR} = $folder;
	$ENV{SOLE_BENCH_FOLDER} = $folder;
	{ no warnings 'exec'; exec { $command[0] } @command; }
	syswrite STDERR, "cannot run $command[0]: $!\n";
	POSIX::_exit(127);
}

# The status of a process that ends within the time, or undef.
sub wait_for ($pid, $seconds) {
	my $until = now() + $seconds;

	while (1) {
		my $ended = waitpid $pid, WNOHANG;
		if ($ended != 0) {
			my $status = $?;
			delete $group{$pid};
			return $ended == $pid ? $status : 0;
		}
		return undef if now() >= $until;
		sleep POLL_S;
	}
}

sub stop ($pid) {
	return if !exists $group{$pid};
	kill 'TERM', -$pid;
	return if defined wait_for($pid, STOP_GRACE_S);
	kill 'KILL', -$pid;
	wait_for($pid, STOP_GRACE_S);
	return;
}

# Whatever a run left behind is ended and named. Processes of ours are known by
# the folder in their environment, which a process group of their own cannot hide.
sub sweep () {
	my $until = now() + SWEEP_GRACE_S;
	my %left = strays();

	while (%left && now() < $until) {
		sleep POLL_S;
		%left = strays();
	}
	kill 'KILL', keys %left;
	return map { "$left{$_} (pid $_)" } sort keys %left;
}

sub strays () {
	my %stray;

	for my $place (glob '/proc/[0-9]*') {
		my ($pid) = $place =~ /(\d+)$/;
		next if $pid == $$;
		open my $file, '<', "$place/environ" or next;
		my $environment = do { local $/; <$file> } // next;
		next if "\0$environment" !~ /\0SOLE_BENCH_FOLDER=\Q$folder\E\0/;
		open my $name, '<', "$place/comm" or next;
		chomp($stray{$pid} = <$name> // next);
	}
	return %stray;
}

sub clean_up () {
	local @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3;

	progress('');
	stop($_) for keys %group;
	return if !defined $folder;
	sweep();
	remove_tree($folder);
	remove_tree($disk) if defined $disk;
	return;
}

sub read_all ($from, $seconds) {
	my ($until, $text) = (now() + $seconds, '');

	while (1) {
		my $left = $until - now();
		die "it was not done after $seconds seconds\n" if $left <= 0;
		vec(my $ready = '', fileno $from, 1) = 1;
		next if select($ready, undef, undef, $left) <= 0;
		my $n = sysread $from, $text, 65536, length $text;
		die "cannot read its output: $!\n" if !defined $n;
		return $text if $n == 0;
		die "it printed without end\n" if length $text > 1 << 20;
	}
}

sub wait_for_socket ($path, $server) {
	my $until = now() + READY_GRACE_S;

	until (IO::Socket::UNIX->new(Peer => $path)) {
		my $status = wait_for($server, 0);
		die 'its server ended with ' . ending($status) . "\n" if defined $status;
		die "its server took no connection within @{[ READY_GRACE_S ]} seconds\n" if now() > $until;
		sleep POLL_S;
	}
	return;
}

sub ending ($status) {
	return $status & 127 ? 'signal ' . ($status & 127) : 'exit status ' . ($status >> 8);
}

sub tail ($file) {
	open my $from, '<', $file or return '';
	my @lines = <$from>;
	@lines = @lines[ -10 .. -1 ] if @lines > 10;
	return join '', map { "  $_" } @lines;
}

sub now () { return clock_gettime(CLOCK_MONOTONIC) }

sub progress ($text) {
	print STDERR "\r\e[K$text" if -t STDERR;
	return;
}

sub fail ($status, $text) {
	say STDERR "bench: $text";
	exit $status;
}

# The report.

sub load () {
	open my $file, '<', '/proc/loadavg' or return 'unknown';
	return join ' ', (split ' ', <$file>)[ 0 .. 2 ];
}

sub machine () {
	my ($system, undef, $release, undef, $hardware) = POSIX::uname();
	my ($cores, $model) = (0, $hardware);

	# What we may run on, as nproc(1) counts it, not what the machine has.
	chomp($cores = qx(nproc) || 'unknown');
	if (open my $file, '<', '/proc/cpuinfo') {
		/^model name\s*:\s*(.+)/ and $model = $1 for <$file>;
	}
	return "$cores cores, $model, $system $release";
}

# What a folder is on: a durable write to memory would be no news.
sub file_system ($path) {
	my @line = split ' ', (qx(df --output=source,fstype "$path" 2>/dev/null) =~ s/\A.*\n//r);
	return @line == 2 ? "$line[0], $line[1]" : 'unknown';
}

sub median (@numbers) {
	my @sorted = sort { $a <=> $b } @numbers;
	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Each of ours to each other form of its workload: name, and the ratio of every round.
sub ratios ($report) {
	my @forms = $report->{forms}->@*;
	my @ratios;

	for my $ours (grep { $_->{ours} } @forms) {
		for my $peer (grep { !$_->{ours} && $_->{workload} eq $ours->{workload} } @forms) {
			my ($over, $under) = map { $report->{rates}{ $_->{name} } } $ours, $peer;
			push @ratios, [ "$ours->{name} / $peer->{name}",
				map { $over->[$_] / $under->[$_] } 0 .. $#$over ];
		}
	}
	return @ratios;
}

# The two tables as rows of text, for both ways to print them.
sub rate_rows ($report) {
	return map {
		my @rates = $report->{rates}{ $_->{name} }->@*;
		my @cpu_us = $report->{cpu_us}{ $_->{name} }->@*;
		[
			$_->{name}, (map { sprintf $_ < 100 ? '%.2f' : '%.0f', $_ } median(@rates), min(@rates), max(@rates)),
			sprintf('%.1f', median(@cpu_us)), $_->{title},
		];
	} $report->{forms}->@*;
}

sub ratio_rows ($report) {
	return map {
		my ($name, @ratios) = @$_;
		[ $name, map { sprintf '%.2f', $_ } median(@ratios), min(@ratios), max(@ratios) ];
	} ratios($report);
}

sub head ($report) {
	my $option = $report->{option};
	my @workloads = uniq map { $_->{workload} } $report->{forms}->@*;

	return (
		[ machine => machine() ],
		((grep { $_->{workload} ne 'seed' } $report->{forms}->@*)
			? [ disk => file_system($option->{disk}) ] : ()),
		((grep { $_->{workload} eq 'restart' } $report->{forms}->@*) ? [ keys => $option->{keys} ] : ()),
		[ load => "$report->{load} before the first run" ],
		[ versions => join(', ', $report->{versions}->@*) || 'those of this tree' ],
		(map { [ workload => "$_: $WORKLOADS{$_}{title}, $option->{duration_ms} ms" ] } @workloads),
		[ rounds => "$option->{rounds}, after $option->{'warm-up'} to warm up, each in an order of its own "
			. "(--seed $option->{seed})" ],
	);
}

sub text ($report) {
	my $text = strftime("sole bench, %Y-%m-%d %H:%M:%S UTC\n", gmtime $report->{time});
	my @ratios = ratio_rows($report);

	$text .= sprintf "%-9s %s\n", @$_ for head($report);
	$text .= sprintf "\n%-17s %10s %10s %10s %10s\n", 'ops/s', qw(median least most cpu-us/op);
	$text .= sprintf "%-17s %10s %10s %10s %10s  %s\n", @$_ for rate_rows($report);
	$text .= sprintf "\n%-36s %10s %10s %10s\n", 'ratio', qw(median least most) if @ratios;
	$text .= sprintf "%-36s %10s %10s %10s\n", @$_ for @ratios;
	return $text;
}

# Adds to the file: earlier results stay, each row says its day.
sub add_markdown ($path, $report) {
	my $day = strftime('%Y-%m-%d', gmtime $report->{time});
	my @ratios = ratio_rows($report);
	my $text = -s $path ? ''
		: "# Results\n\nWritten by `bench.pl --markdown`; README.md says how to read them.\n";

	$text .= strftime("\n## %Y-%m-%d %H:%M UTC\n\n", gmtime $report->{time});
	$text .= "- $_->[0]: $_->[1]\n" for head($report);
	$text .= "\n| day | form | ops/s, median | least | most | cpu-us/op | what runs |\n"
		. "|---|---|--:|--:|--:|--:|---|\n";
	$text .= '| ' . join(' | ', $day, @$_) . " |\n" for rate_rows($report);
	$text .= "\n| day | ratio | median | least | most |\n|---|---|--:|--:|--:|\n" if @ratios;
	$text .= '| ' . join(' | ', $day, @$_) . " |\n" for @ratios;
	open my $file, '>>', $path or fail(EX_CANTCREAT, "cannot write $path: $!");
	print $file $text;
	close $file or fail(EX_CANTCREAT, "cannot write $path: $!");
	return;
}
