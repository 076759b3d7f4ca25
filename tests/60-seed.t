#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The seed's program, in both layouts that ship: the owner's totals are the sum of
# what its clients counted, to the unit, also when it is stopped in the middle; and
# when processes are killed in the middle they are back, the run goes on, and every
# unit of difference is explained by who was killed and by what was told `unknown`.
use strict;
use warnings;
use lib 'tests/lib';
use File::Glob qw(bsd_glob);
use Sole::Test;
use Test::More;
use Time::HiRes qw(time);

my %kind_of   = (reads => 'reader', writes => 'writer');
my %counts_of = reverse %kind_of;

# How many actors a process of that kind has, in that layout.
my %actors = (110 => 1, 11 => 10);
my %processes = (110 => { reader => 100, writer => 10 }, 11 => { reader => 10, writer => 1 });

# ---- running ----

# The command of a layout, told to show what each client counted.
sub command {
    my ($layout, @options) = @_;
    return ('sole-supervisor', '--verbose', @options, "supervisor/seed-$layout.zpl");
}

# Starts it and waits until it is well under way; it goes on until it is stopped.
sub begin {
    my ($layout) = @_;
    my $run = start(command($layout, '--duration', 0));
    $run->{layout} = $layout;
    ok($run->wait_output('err', qr/^sole-supervisor: all \d+ children are ready$/m),
        "$layout processes: all are ready");
    ok(under_way(300), '... and at work');
    return $run;
}

# What the owner counts now; nothing while none answers.
sub counted {
    my $stats = run('sole', '-o', 'seed', '-t', '1s', 'stats')->{out};
    my %count = $stats =~ /^(reads|writes) +(\d+) /mg;
    return \%count;
}

# Waits until this owner has done so many reads, and a tenth as many writes.
sub under_way {
    my ($reads) = @_;
    return wait_until {
        my $count = counted();
        ($count->{reads} // 0) >= $reads && ($count->{writes} // 0) >= $reads / 10;
    } 20;
}

# The pids of a child's main process so far, oldest first.
sub pids {
    my ($run, $child) = @_;
    return $run->err =~ /^sole-supervisor: \Q$child\E: pid (\d+): started$/mg;
}

# Kills the child's process and waits until the next one is ready.
sub kill_child {
    my ($run, $child) = @_;
    my $pid = (pids($run, $child))[-1];
    ok(kill(KILL => $pid), "SIGKILL for $child in the middle");
    ok($run->wait_output('err', qr/^sole-supervisor: \Q$child\E: pid (?!$pid:)\d+: ready$/m), '... it is back');
    return $pid;
}

# ---- what it comes to ----

# A duration as the log writes it, in milliseconds.
sub milliseconds {
    my ($text) = @_;
    my ($number, $unit) = $text =~ /^([0-9.]+)(ns|us|ms|s|min)$/ or die "'$text' is not a duration\n";
    return $number * { ns => 1e-6, us => 1e-3, ms => 1, s => 1000, min => 60000 }->{$unit};
}

# More requests than that nobody can have made in its life: each actor waits for its
# answer and then pauses a millisecond. A hundredth is for the rounding of the log.
sub most_requests {
    my ($actors, $life) = @_;
    return $actors * (1.01 * milliseconds($life) + 2);
}

# What the log says of the clients: their totals, what was told unknown, and the most that
# those who were killed can have asked.
sub account {
    my ($run) = @_;
    my %account = map { $_ => { counted => 0, unknown => 0, lost => 0 } } keys %kind_of;
    while ($run->{err} =~ /^(?:reader|writer)\S*: (reads|writes): (\d+)$/mg) {
        $account{$1}{counted} += $2;
    }
    while ($run->{err} =~ /^(reader|writer)\S*: sole-\1: unknown: (\d+) owner-died$/mg) {
        $account{ $counts_of{$1} }{unknown} += $2;
    }
    while ($run->{err} =~ /^sole-supervisor: (reader|writer)\S*: pid \d+: killed by SIGKILL after ([^;]+);/mg) {
        $account{ $counts_of{$1} }{lost} += most_requests($actors{ $run->{layout} }, $2);
    }
    return \%account;
}

# The owner's totals; undef, and a failure, when it did not print exactly one line of them.
sub totals {
    my ($run) = @_;
    my ($reads, $writes) = $run->{out} =~ /\Areads: (\d+), writes: (\d+)\n\z/;
    ok(defined $writes, 'the owner prints its totals, and nothing else is on standard output')
        or diag($run->{out});
    return { reads => $reads // -1, writes => $writes // -1 };
}

# How many answers may have died with an owner, at the most: the writes that were told
# unknown, and a read of each reader, which was asked again.
sub unanswered {
    my ($run, $account, $kind) = @_;
    return $account->{writes}{unknown} if $kind eq 'writes';
    return $processes{ $run->{layout} }{reader} * $actors{ $run->{layout} };
}

# A run's end in general: status, one line of totals, every other client still heard.
sub ended_well {
    my ($run, $title) = @_;
    is($run->{status}, 0, "$title: status 0");
    my @left = bsd_glob path('seed*');
    is("@left", '', '... no socket, no lock, nothing is left');
    my %heard;
    $heard{$1}++ while $run->{err} =~ /^(reader|writer)\S*: (?:reads|writes): \d+$/mg;
    is_deeply(\%heard, $processes{ $run->{layout} }, '... every client has printed its total');
}

# Nobody was killed but clients: the difference belongs to those.
sub explained {
    my ($run, $title) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ended_well($run, $title);
    my ($total, $account) = (totals($run), account($run));
    for my $kind (sort keys %$total) {
        my ($counted, $lost) = @{ $account->{$kind} }{qw(counted lost)};
        my $difference = $total->{$kind} - $counted;
        if ($lost == 0) {
            is($total->{$kind}, $counted, "... the owner's $kind are what the clients counted, to the unit");
        } else {
            ok($difference >= 0 && $difference <= $lost,
                "... the owner's other $kind belong to the $kind_of{$kind} that was killed")
                or diag("difference $difference, at most $lost");
        }
    }
    unlike($run->{err}, qr/\b(?:refused|unknown):/, '... nothing was refused or unknown');
}

# ---- the shipped files, as they are ----

for my $layout (110, 11) {
    my $run = run({ limit => 40 }, command($layout));
    $run->{layout} = $layout;
    explained($run, "$layout processes, for their second");
}

# ---- SIGTERM in the middle ----

for my $layout (110, 11, 11) {
    my $run = begin($layout);
    $run->stop;
    explained($run, 'SIGTERM in the middle');
    my @order = $run->{err} =~ /^sole-supervisor: (table|reader|writer)\S*: .* stopped as ordered$/mg;
    is(join(' ', @order), join(' ', map { ($_) x ($processes{$layout}{$_} // 1) } qw(writer reader table)),
        '... stopped in reverse order');
}

# ---- an owner that stands still ----

for my $layout (110, 11) {
    my $run   = begin($layout);
    my $owner = (pids($run, 'table'))[-1];
    my $before = counted();
    kill STOP => $owner;
    # It is time itself that must pass here: more than a client waits before it wonders.
    Time::HiRes::sleep(1.3);
    kill CONT => $owner;
    ok(under_way($before->{reads} + 300), '... an owner that was frozen for longer than its clients are patient goes on');
    $run->stop;
    explained($run, 'frozen for a while');
}

# ---- ^C ----

SKIP: {
    skip 'there is no script(1)', 1 if !-x '/usr/bin/script';
    subtest '^C on a terminal' => sub {
        my ($program, $totals) = (program('sole-supervisor'), path('totals'));
        my $run = start({ stdin => 'pipe' }, '/usr/bin/script', '-qefc',
            "exec '$program' --verbose --duration 0 supervisor/seed-11.zpl > '$totals'", '/dev/null');
        $run->{layout} = 11;
        ok($run->wait_output('out', qr/all 12 children are ready/), 'all are ready');
        ok(under_way(300), '... and at work');
        $run->say("\cC");
        $run->finish;
        # What a terminal adds: the live line with its erasure, and the ends of lines.
        ($run->{err} = $run->{out}) =~ s/^.*\r\e\[K|\r$//mg;
        $run->{out} = slurp($totals);
        explained($run, '^C');
    };
}

# ---- a second signal hurries ----

{
    my $run = begin(11);
    # An owner that does not answer: its clients would wait for it as long as they may.
    kill STOP => (pids($run, 'table'))[-1];
    my $start = time;
    $run->signal('TERM');
    ok($run->wait_output('err', qr/^sole-supervisor: told to stop/m), 'clients that wait for an answer keep the supervisor waiting');
    $run->signal('TERM');
    is($run->finish, 0, '... a second SIGTERM ends that, with status 0');
    cmp_ok(time - $start, '<', 5, '... sooner than a child may take otherwise') if !$ENV{SOLE_WRAPPER};
    my ($total, $account) = (totals($run), account($run));
    for my $kind (sort keys %$total) {
        my $difference = $total->{$kind} - $account->{$kind}{counted};
        my $under_way = $processes{11}{ $kind_of{$kind} } * $actors{11};
        ok($difference >= 0 && $difference <= $under_way + $account->{$kind}{lost},
            "... the $kind differ at most by what was under way")
            or diag("difference $difference; under way $under_way, of killed ones $account->{$kind}{lost}");
    }
}

# ---- SIGKILL of clients in the middle ----

for my $layout (110, 11) {
    my $run = begin($layout);
    kill_child($run, 'reader.7');
    kill_child($run, $layout == 110 ? 'writer.3' : 'writer');
    my $before = counted();
    ok(under_way($before->{reads} + 300), '... and the run goes on');
    $run->stop;
    explained($run, 'clients killed');
    like($run->{err}, qr/^sole-supervisor: reader\.7: pid \d+: killed by SIGKILL after \S+; 19 restarts left; restarting it/m,
        '... each death has its obituary');
}

# ---- SIGKILL of the owner in the middle ----

for my $layout (110, 11) {
    my $run  = begin($layout);
    my $last = counted();
    kill_child($run, 'table');
    ok(under_way(300), '... and the run goes on');
    $run->stop;
    ended_well($run, 'the owner killed');
    my ($life) = $run->{err} =~ /^sole-supervisor: table: pid \d+: killed by SIGKILL after ([^;]+);/m;
    my ($total, $account) = (totals($run), account($run));
    for my $kind (sort keys %$total) {
        # What the clients counted and the second owner did not is the first one's: at most what can be
        # done in its life, at least what it had counted itself a moment before, less the answers that
        # died with it. Those requests are unknown, or, for reads, asked again.
        my $first = $account->{$kind}{counted} - $total->{$kind};
        my $least = $last->{$kind} - unanswered($run, $account, $kind);
        my $most  = most_requests($processes{$layout}{ $kind_of{$kind} } * $actors{$layout}, $life);
        ok($first >= $least && $first <= $most,
            "... the two owners' $kind are what the clients counted")
            or diag("first $first, at least $least, at most $most");
    }
    is($account->{reads}{unknown}, 0, '... reads were asked again, none is unknown');
    my $writers = $processes{$layout}{writer} * $actors{$layout};
    cmp_ok($account->{writes}{unknown}, '<=', $writers, '... unknown are at most the writes under way');
    unlike($run->{err}, qr/refused:/, '... nothing was refused');
    unlike($run->{err}, qr/unknown: (?!\d+ owner-died$)/m, '... and nobody was told another reason');
}

# ---- the same to the unit: the first owner is asked when nobody asks it any more ----

{
    my $run     = begin(11);
    my @clients = map { (pids($run, $_))[-1] } 'writer', map { "reader.$_" } 1 .. 10;
    kill STOP => @clients;
    my $first = {};
    ok(wait_until {
            my $before = $first;
            $first = counted();
            $first->{reads} && join(' ', %$first{qw(reads writes)}) eq join(' ', map { $_ // '' } %$before{qw(reads writes)});
        }, 'with its clients frozen the owner does nothing');
    kill_child($run, 'table');
    kill CONT => @clients;
    ok(under_way(300), '... and the run goes on when they go on');
    $run->stop;
    ended_well($run, 'the owner killed');
    my ($total, $account) = (totals($run), account($run));
    for my $kind (sort keys %$total) {
        my $difference = $first->{$kind} + $total->{$kind} - $account->{$kind}{counted};
        my $unanswered = unanswered($run, $account, $kind);
        ok($difference >= 0 && $difference <= $unanswered,
            "... of both owners' $kind the clients have counted all but those whose answer died")
            or diag("difference $difference, at most $unanswered");
    }
    is($account->{reads}{unknown}, 0, '... and no read is unknown');
}

is(join(' ', descendants()), '', 'no process is left');

done_testing;
