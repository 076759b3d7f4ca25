#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# bench.pl - runs programs in several forms, alternating, and prints ratios.
#
# A figure of one form alone says more about the machine and its minute than about
# the form. So each round runs every form once, in an order shuffled anew, and a
# ratio is taken within a round; the table shows the median of the rounds' ratios
# and how far they spread. forms.pl says what is run, and what is to be reached;
# measures.pl has the forms that are more than a command, report.pl what is printed.
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
use IO::Socket::INET ();
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
	MOST           => 20_000_000, # operations a second, beyond which a count is not believed
	LATE_MS        => 100,  # how late a stop may come on a busy machine, and count
};

# Given to the files that are required below.
our $disk;      # a folder on a disk, for what is to be durable
our $folder;    # where sockets and errors of the runs are; the mark of our processes
our (%WORKLOADS, @FORMS, @GOALS);

require "$FindBin::RealBin/$_.pl" for qw(forms measures report);

my $USAGE = <<"END";
bench.pl --rounds 3 --only floor,go

Usage: tests/bench/bench.pl [option ...]

Runs programs in several forms, alternating, and prints ratios with spread.

  --quick           the forms of the quick half, three rounds, fewer keys in memory
  --rounds N        rounds that count [5]
  --warm-up N       rounds before them that do not [1]
  --duration TIME   of each run: 500ms, 1s [1s]
  --only FORM,...   these forms alone
  --seed N          of the shuffling, to repeat an order
  --disk DIR        where what is durable is kept: a folder on a disk [build/bench]
  --keys N          of the state that a server takes up when it starts [1000000]
  --memory-keys N   of the servers whose memory is measured [10000000; quick: 1000000]
  --plot DIR        also draw throughput.svg and latency.svg there, with gnuplot
  --markdown FILE   also add the tables to FILE, under the date
  --list            print the forms and what each still needs
  --help            print this

Exit status: 0 done, 64 usage, 69 nothing to run, 70 a form failed, 73 FILE cannot be written.
END

my %group;      # leaders of process groups that run now: pid => name of the form

main(@ARGV);

sub main (@arguments) {
	my $option = options(@arguments);

	chdir "$FindBin::RealBin/../.." or fail(EX_UNAVAILABLE, "cannot enter the tree: $!");
	return list() if $option->{list};
	my @forms = available($option);
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
	plot($option->{plot}, $report) if defined $option->{plot};
	exit EX_OK;
}

# The command line.

sub options (@arguments) {
	my %option = ('warm-up' => 1, duration => '1s', disk => BUILT(), keys => 1_000_000, seed => int rand 1_000_000);
	local $SIG{__WARN__} = sub ($text) { fail(EX_USAGE, lcfirst($text =~ s/\n\z//r) . '; see --help') };

	GetOptionsFromArray(\@arguments, \%option, 'rounds=i', 'warm-up=i', 'duration=s', 'only=s', 'seed=i',
		'disk=s', 'keys=i', 'memory-keys=i', 'plot=s', 'markdown=s', 'quick', 'list', 'help');
	if ($option{help}) {
		print $USAGE;
		exit EX_OK;
	}
	fail(EX_USAGE, "'$arguments[0]' is not an option; see --help") if @arguments;
	$option{rounds} //= $option{quick} ? 3 : 5;
	$option{'memory-keys'} //= $option{quick} ? 1_000_000 : 10_000_000;
	fail(EX_USAGE, '--rounds: give 1 to 1000') if $option{rounds} < 1 || $option{rounds} > 1000;
	fail(EX_USAGE, '--warm-up: give 0 to 1000') if $option{'warm-up'} < 0 || $option{'warm-up'} > 1000;
	for my $name (qw(keys memory-keys)) {
		fail(EX_USAGE, "--$name: give 1 to 100000000") if $option{$name} < 1 || $option{$name} > 100_000_000;
	}
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
	if (defined $option{plot}) {
		$option{plot} = rel2abs($option{plot});
		fail(EX_CANTCREAT, "cannot write into the folder $option{plot}") if !-d $option{plot} || !-w _;
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
		printf "%-17s %s%s%s\n", $form->{name}, $form->{title}, $form->{slow} ? ' (not in the quick half)' : '',
			@missing ? ' (needs ' . join(', ', @missing) . ')' : '';
	}
	return;
}

# Which forms can run; the others are named and left out.
sub available ($option) {
	my ($only, @forms) = $option->{only};

	for my $form (@FORMS) {
		next if $only ? !first { $_ eq $form->{name} } @$only : $option->{quick} && $form->{slow};
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
			# Memory does not warm up.
			next if $round < 1 && $form->{workload} eq 'memory';
			my $figures = run({
				form => $form, workload => $WORKLOADS{ $form->{workload} },
				duration_ms => $option->{duration_ms}, keys => $option->{keys},
				memory_keys => $option->{'memory-keys'},
			});
			next if $round < 1;
			push $report{$_}{ $form->{name} }->@*, $figures->{$_} for grep { defined $figures->{$_} } keys %$figures;
		}
	}
	progress('');
	return \%report;
}

# Runs a form once, alone: its server comes and goes with it. Its figures: operations a second,
# the microseconds of processor that one of them took, everything included, and, where they
# are measured, microseconds from a request to its answer, or bytes.
sub run ($run) {
	my $form = $run->{form};
	return $form->{measure}->($run) if $form->{measure};
	my $errors = "$folder/errors";
	$run->{state} = "$disk/state";
	my $cpu_before = cpu_of_children();
	my ($server, @beside, $output);

	open my $empty, '>', $errors or die "cannot write $errors: $!\n";
	my $rate = eval {
		if ($form->{server}) {
			$server = start($run, undef, $form->{server}{command}->($run));
			wait_for_socket($form->{server}{socket}->($run), $server);
		}
		run_to_end($run, RUN_GRACE_S, $form->{fill}->($run)) if $form->{fill};
		@beside = map { start($run, undef, @$_) } $form->{beside}->($run) if $form->{beside};
		$output = output_of($run, $run->{duration_ms} / 1000 + RUN_GRACE_S, $form->{command}->($run));
		for my $pid (@beside) {
			my $status = wait_for($pid, 0);
			die 'what runs beside it ended with ' . ending($status) . "\n" if defined $status;
		}
		$form->{rate}->($run, $output);
	};
	my $error = $@;
	die $error if $error eq "interrupted\n";
	stop($_) for @beside, defined $server ? $server : ();
	remove_tree($run->{state});
	my @left = defined $rate ? sweep() : ();
	$error = 'it left processes behind: ' . join(', ', @left) . "\n" if @left;
	die "$form->{name} failed: $error" . tail($errors) if $error;
	my $operations = $rate * $run->{duration_ms} / 1000;
	my ($p50, $p99) = latencies($output);
	return {
		rate => $rate, cpu_us => (cpu_of_children() - $cpu_before) * 1e6 / $operations,
		p50_us => $p50, p99_us => $p99,
	};
}

# Seconds of processor of every process that has ended and was waited for, by us
# or by one that we waited for.
sub cpu_of_children () {
	my (undef, undef, $user, $system) = times;
	return $user + $system;
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
