# SPDX-License-Identifier: MIT
#
# report.pl - what bench.pl prints: figures, ratios, goals met or not, and the plots.
use v5.36;

our (%WORKLOADS, @GOALS);

use constant FIGURES => {
	rate => '', p50_us => ', p50', p99_us => ', p99', bytes => ', bytes',
};

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

# The figures of a form in every round, divided by those of another.
sub quotients ($report, $figure, $over, $under) {
	my ($above, $below) = map { $report->{$figure}{$_} } $over, $under;

	return if !$above || !$below;
	return map { $above->[$_] / $below->[$_] } 0 .. min($#$above, $#$below);
}

# Each of ours to each other form of its workload, by what the workload is about; and what
# a goal is about beside that. Name, and the ratio of every round.
sub ratios ($report) {
	my @forms = $report->{forms}->@*;
	my (@ratios, %known);

	for my $ours (grep { $_->{ours} } @forms) {
		for my $peer (grep { !$_->{ours} && $_->{workload} eq $ours->{workload} } @forms) {
			my $figure = $WORKLOADS{ $ours->{workload} }{figure} // 'rate';
			push @ratios, [ $figure, $ours->{name}, $peer->{name} ];
		}
	}
	push @ratios, map { [ $_->@{qw(figure over under)} ] } @GOALS;
	return map { [ ratio_name(@$_), quotients($report, @$_) ] }
		grep { !$known{"@$_"}++ && quotients($report, @$_) } @ratios;
}

sub ratio_name ($figure, $over, $under) {
	return "$over / $under" . FIGURES->{$figure};
}

sub few ($number) {
	return sprintf $number < 100 ? '%.2f' : '%.0f', $number;
}

# The tables as rows of text, for both ways to print them.
sub rate_rows ($report) {
	return map {
		my @rates = $report->{rate}{ $_->{name} }->@*;
		my @cpu_us = $report->{cpu_us}{ $_->{name} }->@*;
		[
			$_->{name}, (map { few($_) } median(@rates), min(@rates), max(@rates)),
			sprintf('%.1f', median(@cpu_us)), $_->{title},
		];
	} grep { $report->{rate}{ $_->{name} } } $report->{forms}->@*;
}

sub latency_rows ($report) {
	return map {
		my @p50 = $report->{p50_us}{ $_->{name} }->@*;
		my @p99 = $report->{p99_us}{ $_->{name} }->@*;
		[ $_->{name}, map { few($_) } median(@p50), min(@p50), max(@p50), median(@p99), min(@p99), max(@p99) ];
	} grep { $report->{p50_us}{ $_->{name} } } $report->{forms}->@*;
}

sub byte_rows ($report) {
	return map {
		my @bytes = $report->{bytes}{ $_->{name} }->@*;
		[ $_->{name}, map { few($_) } median(@bytes), min(@bytes), max(@bytes) ];
	} grep { $report->{bytes}{ $_->{name} } } $report->{forms}->@*;
}

# What is to be reached, and whether the median of the rounds does.
sub goal_rows ($report) {
	my @rows;

	for my $goal (@GOALS) {
		my @ratios = quotients($report, $goal->@{qw(figure over under)}) or next;
		my $median = median(@ratios);
		my $met = defined $goal->{most} ? $median <= $goal->{most}
			: $median >= ($goal->{least} // $goal->{aim});
		my $wanted = defined $goal->{most} ? "at most $goal->{most}"
			: join ', ', (defined $goal->{least} ? "at least $goal->{least}" : ()),
				(defined $goal->{aim} ? "aim $goal->{aim}" : ());
		push @rows, [
			$goal->{what}, ratio_name($goal->@{qw(figure over under)}), $wanted,
			(map { sprintf '%.2f', $_ } $median, min(@ratios), max(@ratios)), $met ? 'met' : 'not met',
		];
	}
	return @rows;
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
		((grep { $_->{workload} eq 'memory' } $report->{forms}->@*)
			? [ memory => "$option->{'memory-keys'} keys" ] : ()),
		[ load => "$report->{load} before the first run" ],
		[ versions => join(', ', $report->{versions}->@*) || 'those of this tree' ],
		(map {
			[ workload => "$_: $WORKLOADS{$_}{title}" . (/^(restart|memory)$/ ? '' : ", $option->{duration_ms} ms") ]
		} @workloads),
		[ rounds => "$option->{rounds}, after $option->{'warm-up'} to warm up, each in an order of its own "
			. "(--seed $option->{seed})" ],
	);
}

# Every table: what stands above its columns in text, the format of a line there, in Markdown, and its rows.
sub tables ($report) {
	return (
		{
			columns => [ 'ops/s', qw(median least most cpu-us/op what) ], line => "%-17s %10s %10s %10s %10s  %s\n",
			markdown => [ 'form', 'ops/s, median', 'least', 'most', 'cpu-us/op', 'what runs' ],
			rows => [ rate_rows($report) ],
		},
		{
			columns => [ 'latency, us', qw(p50 least most p99 least most) ],
			line => '%-17s' . ' %10s' x 6 . "\n",
			markdown => [ 'form', 'p50, us, median', 'least', 'most', 'p99, us, median', 'least', 'most' ],
			rows => [ latency_rows($report) ],
		},
		{
			columns => [ 'bytes a key', qw(median least most) ], line => "%-17s %10s %10s %10s\n",
			markdown => [ 'form', 'bytes a key, median', 'least', 'most' ], rows => [ byte_rows($report) ],
		},
		{
			columns => [ 'ratio', qw(median least most) ], line => "%-36s %10s %10s %10s\n",
			markdown => [ 'ratio', 'median', 'least', 'most' ], rows => [ ratio_rows($report) ],
		},
		{
			columns => [ 'goal', 'ratio', 'wanted', qw(median least most), '' ],
			line => "%-42s %-33s %-19s %7s %7s %7s  %s\n",
			markdown => [ 'goal', 'ratio', 'wanted', 'median', 'least', 'most', 'met?' ],
			rows => [ goal_rows($report) ],
		},
	);
}

sub text ($report) {
	my $text = strftime("sole bench, %Y-%m-%d %H:%M:%S UTC\n", gmtime $report->{time});

	$text .= sprintf "%-9s %s\n", @$_ for head($report);
	for my $table (grep { $_->{rows}->@* } tables($report)) {
		my @lines = map { sprintf $table->{line}, @$_ } $table->{columns}, $table->{rows}->@*;
		$text .= join '', "\n", map { s/ +$//mr } @lines;
	}
	return $text;
}

# Adds to the file: earlier results stay, each row says its day.
sub add_markdown ($path, $report) {
	my $day = strftime('%Y-%m-%d', gmtime $report->{time});
	my $text = -s $path ? ''
		: "# Results\n\nWritten by `bench.pl --markdown`; README.md says how to read them.\n";

	$text .= strftime("\n## %Y-%m-%d %H:%M UTC\n\n", gmtime $report->{time});
	$text .= "- $_->[0]: $_->[1]\n" for head($report);
	for my $table (grep { $_->{rows}->@* } tables($report)) {
		my @columns = $table->{markdown}->@*;
		$text .= "\n| day | " . join(' | ', @columns) . " |\n|---|"
			. join('|', map { /median|least|most|cpu/ ? '--:' : '---' } @columns) . "|\n";
		$text .= '| ' . join(' | ', $day, @$_) . " |\n" for $table->{rows}->@*;
	}
	open my $file, '>>', $path or fail(EX_CANTCREAT, "cannot write $path: $!");
	print $file $text;
	close $file or fail(EX_CANTCREAT, "cannot write $path: $!");
	return;
}

# The plots.

# Throughput over the number of clients, and latency over load, a line for each peer. What was
# not run is not drawn.
sub plot ($folder, $report) {
	return say STDERR 'bench: no plots: gnuplot is not here (apt install gnuplot-nox)' if !on_path('gnuplot');
	my @forms = grep { $_->{series} && $report->{rate}{ $_->{name} } } $report->{forms}->@*;
	my %value = map {
		my $form = $_;
		$form->{name} => { map { $_ => median($report->{$_}{ $form->{name} }->@*) } qw(rate p50_us p99_us) };
	} @forms;
	my (%over_clients, %over_load);

	for my $form (@forms) {
		my ($value, $clients) = ($value{ $form->{name} }, $WORKLOADS{ $form->{workload} }{clients});
		push $over_clients{ $form->{series} }->@*, [ $clients, $value->{rate} ] if $clients;
		# 100 clients with a pause, from long to none: a load that grows.
		push $over_load{"$form->{series}, $_->[0]"}->@*, [ $value->{rate}, $value->{ $_->[1] } ]
			for $clients && $clients != LOADED() ? () : ([ p50 => 'p50_us' ], [ p99 => 'p99_us' ]);
	}
	draw("$folder/throughput.svg", \%over_clients, 'Throughput over clients', 'processes, one request at a time each',
		'operations a second', 'set logscale xy');
	draw("$folder/latency.svg", \%over_load, 'Latency over load, 100 processes', 'operations a second',
		'microseconds from request to answer', 'set logscale y');
	return;
}

# A form has a colour and a mark of its own in both; of two lines, p50 is the dashed one.
sub style ($name) {
	my @series = ('sole', 'Redis', 'bare sockets', 'libzmq');
	my $number = 1 + (first { $name =~ /^\Q$series[$_]\E/ } 0 .. $#series);

	return "lc $number pt $number lw 2" . ($name =~ /p50$/ ? ' dt 2' : '');
}

sub draw ($path, $series, $title, $x, $y, @more) {
	my @names = grep { $series->{$_}->@* > 1 } sort keys %$series;

	return say STDERR "bench: no $path: no two points of any form were measured" if !@names;
	my $data = join '', map {
		join('', map { "$_->[0] $_->[1]\n" } sort { $a->[0] <=> $b->[0] } $series->{$_}->@*) . "e\n"
	} @names;
	open my $to, '|-', 'gnuplot' or fail(EX_SOFTWARE(), "cannot run gnuplot: $!");
	print $to join "\n", 'set terminal svg size 800,500 font "sans-serif,12" background "white"', "set output '$path'",
		"set title '$title'", "set xlabel '$x'", "set ylabel '$y'", 'set key outside right top', 'set grid', @more,
		'plot ' . join(', ', map { "'-' using 1:2 with linespoints title '$_' " . style($_) } @names), $data;
	close $to or fail(EX_SOFTWARE(), "gnuplot could not draw $path");
	return;
}

1;
