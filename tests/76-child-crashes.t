#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Children crash under the supervisor, 1500 times (CRASHES=n; `make crash-children` takes 10000), in each way that
# there is: with a status, by a signal, before and after they are ready, with helpers that stay, leave or will not
# go, with pipes full of output, and when they are told to stop; and all the while they are stopped, started and
# restarted by order, and the file is read again. No process and no descriptor is left, memory stays as it is, each
# death is told, and the supervisor gives up when its intensity says so: neither a restart earlier nor later.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::UNIX;
use List::Util qw(max);
use Sole::Crash qw(random_below SEED);
use Sole::Supervised;
use Sole::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $crashes = $ENV{CRASHES} // 1500;
note('SEED=' . SEED);

sub crasher { return Sole::Crash::client_program() =~ s{/client\z}{/child}r }
sub crashing {
    my ($name, $file, $way, @settings) = @_;
    my $text = "child = $name\n    command = " . word(crasher()) . ' ' . path($file) . " $way\n";
    while (my ($key, $value) = splice @settings, 0, 2) { $text .= "    $key = $value\n" }
    return $text;
}
sub starts { my ($file) = @_; my $text = slurp(path($file)); return $text =~ tr/\n// }
sub descriptors { my ($s) = @_; my @all = glob '/proc/' . $s->pid . '/fd/*'; return scalar @all }
sub resident { my ($s) = @_; return slurp('/proc/' . $s->pid . '/status') =~ /^RssAnon:\s+(\d+)/m ? $1 : 0 }
sub deaths { my ($s) = @_; my $text = $s->err; my @told = $text =~ /^sole-supervisor: \S+: pid (\d+): (?:killed by|exited with|could not)/mg; return @told }

# In all, and of one child; read again when the supervisor is busy with an order.
sub restarts {
    my ($name) = @_;
    my $sum = 0;
    for (ask($name, 'status')) { my @c = split ' ', $_, 7; $sum += $c[4] if $c[0] =~ /^\+/ && ($c[4] // '') =~ /^\d+$/ }
    return $sum;
}

# Pids of processes that have ended and nobody has taken notice of.
sub zombies { my ($pid) = @_; return grep { (slurp("/proc/$_/stat") =~ /\) ([A-Z])/ ? $1 : '') eq 'Z' } descendants($pid) }

# ---- thousands, under each strategy ----

# What every life has: many that crash at once, some that say that they are ready first, some that miss a limit.
my %limits = ('stop-timeout' => '100ms', 'start-timeout' => '10s');
sub crowd {
    my ($life, $instances) = @_;
    return "intensity = 1000\nperiod = 1ms\nbackoff = 0\n", crashing("well", "$life.others", 'for-ever', ready => 'notify', 'stop-timeout' => '100ms'),
        crashing('plain', "$life.marks", '', instances => $instances, %limits),
        crashing('told', "$life.marks", '', instances => 3, ready => 'notify', %limits),
        crashing('late', "$life.others", 'never-ready', ready => 'notify', 'start-timeout' => '200ms', 'stop-timeout' => '100ms'),
        crashing('stubborn', "$life.others", 'never-ready-stubborn', ready => 'notify', 'start-timeout' => '200ms', 'stop-timeout' => '100ms'),
        crashing('silent', "$life.others", 'silent', ready => 'notify', watchdog => '200ms', %limits),
        crashing('frozen', "$life.others", 'stopped', ready => 'notify', 'start-timeout' => '200ms', 'stop-timeout' => '100ms'),
        crashing('trigger', "$life.others", 'trigger', ready => 'notify', watchdog => '60s', %limits);
}

# An order of the kind that people give, while everything crashes. It is answered when it is done, which may be never where
# a child's turn to start does not come, as those before it crash: whoever has given it hangs up after a while.
my @orders = ('restart plain', 'restart plain.2', 'stop told', 'start told', 'restart told.1', 'restart late', 'restart silent', 'stop well', 'start well');
sub order {
    my ($life) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => path("$life.supervisor")) or return "cannot connect: $!";
    $socket->print($orders[random_below(scalar @orders)] . "\n");
    $socket->flush;
    my $end = time + 0.3;
    my $answer = '';
    while (IO::Select->new($socket)->can_read(max(0, $end - time)) && sysread $socket, $answer, 4096, length $answer) { }
    return $answer =~ s/\s+/ /gr;
}

for my $of (['one_for_one', 1], ['rest_for_one', 0.1], ['one_for_all', 0.1]) {
    my ($life, $part) = @$of;
    my $wanted = int($crashes * $part);
    my $began  = time;
    my $s = supervised($life, "strategy = $life\n", crowd($life, 5));
    # Beneath what it had when nothing ran there is nothing to lose.
    ok(wait_until(sub { starts("$life.marks") > 20 }, 60), "$life: they crash");
    ask($life, "stop $_") for qw(plain told late stubborn silent frozen trigger well);
    is(join(' ', descendants($s->pid)), '', '... and stopped, they leave no process behind');
    my $quiet = descriptors($s);
    ask($life, "start $_") for qw(well trigger frozen silent stubborn late told plain);
    my ($memory, $turn, $peak_zombies, $answered) = (0, 0, 0, 0);
    my $end = time + seconds(600);
    while (time < $end && $s->running) {
        my $seen = restarts($life);
        $memory ||= resident($s) if $seen >= $wanted / 4;
        last if $seen >= $wanted;
        my $answer = order($life);
        $answered++ if $answer =~ /^wait (?:ok |error 70 \S+ ended before it was ready)/;
        diag("an order was answered: $answer") if $answer !~ /^(?:wait (?:ok |error 70 \S+ ended|$)|ok |$)/;
        if (++$turn % 5 == 0) {
            write_file($life, "strategy = $life\n", crowd($life, 4 + random_below(3)));
            $s->signal('HUP');
        }
        my $zombies = () = zombies($s->pid);
        $peak_zombies = $zombies if $zombies > $peak_zombies;
        sleep 0.05;
    }
    cmp_ok(restarts($life), '>=', $wanted, "$life: $wanted restarts, and the supervisor is there");
    # Under the others a turn to start hardly ever comes: whoever crashes takes along what comes behind it.
    cmp_ok($answered, '>', $life eq 'one_for_one' ? 0 : -1, '... and did what it was told in between');
  SKIP: {
        skip 'sanitizers and valgrind keep freed memory', 1 if $ENV{SOLE_WRAPPER} || slurp(program('sole-supervisor')) =~ /__asan_init/;
        cmp_ok(resident($s) - $memory, '<=', 256, '... its memory has not grown') or diag("$memory KiB, then " . resident($s));
    }
    my $took = time - $began;
    note(sprintf '%s: %d restarts and %d starts in %.1f s (%.0f a second), memory %d then %d KiB, at most %d zombies at one look', $life, restarts($life),
        starts("$life.marks") + starts("$life.others"), $took, starts("$life.marks") / $took, $memory, resident($s), $peak_zombies);
    my $restarts = restarts($life);
    # They are stopped one by one here, and all at once, while they crash, at the end.
    ask($life, "stop $_") for qw(plain told late stubborn silent frozen trigger well);
    is(join(' ', descendants($s->pid)), '', '... stopped, they leave no process and no zombie');
    ok(wait_until(sub { descriptors($s) <= $quiet }), '... and no descriptor') or diag(descriptors($s) . " after $quiet");
    ask($life, "start $_") for qw(well trigger frozen silent stubborn late told plain);
    my $before = starts("$life.marks");
    wait_until { starts("$life.marks") > $before + 20 } 30;
    is($s->stop('TERM', 60), 0, '... and stops in good order in the middle of it');
    is(join(' ', descendants($$)), '', '... with no orphan');
    my @told = deaths($s);
    my %of;
    $of{$_}++ for @told;
    cmp_ok(scalar @told, '>=', $restarts, '... each death was told') or diag(scalar(@told) . " of $restarts");
    my %ways;
    $ways{ (split)[2] }++ for split /\n/, slurp(path("$life.marks"));
    note(join ', ', map { "$_ $ways{$_}" } sort keys %ways);
    is(scalar keys %ways, 17, '... in each of seventeen ways') if $wanted >= 300;
    unlink $s->{err_file}, path("$life.marks"), path("$life.others");
}

# ---- intensity, to the letter ----

# So many at once: every one of them counts, whatever ends with it.
for my $of ([1, 5], [37, 3], [$crashes >= 10000 ? 1000 : 200, 8]) {
    my ($intensity, $instances) = @$of;
    my $life = "letter$intensity";
    my $s = supervised($life, "intensity = $intensity\nperiod = 1h\nbackoff = 0\n", crashing('well', "$life.well", 'for-ever', ready => 'notify'),
        crashing('crash', "$life.marks", 'segv', instances => $instances));
    is($s->finish(120), 70, "intensity $intensity, $instances at once: it gives up");
    my @lines = grep { /: pid \d+: killed by SIGSEGV/ } split /\n/, $s->{err};
    my @restarted = grep { /restarting it/ } @lines;
    is(scalar @restarted, $intensity, "... after $intensity restarts, and not one more or less");
    my ($giving_up) = grep { /giving up$/ } @lines;
    ok($giving_up, '... saying so at the next death');
    cmp_ok(starts("$life.marks"), '<=', $instances + $intensity, '... and started none afterwards');
    is(join(' ', descendants($$)), '', '... leaving nobody');
}

# As the time goes on the old ones no longer count. Each kill waits for the death before to be told, so the supervisor's
# clock has them in this order; what lies between is measured from outside, on both sides of it.
{
    my $period = 1;
    my $s = supervised('slides', "intensity = 4\nperiod = ${period}s\nbackoff = 0\nstable = 1ms\n", crashing('one', 'slides.marks', 'for-ever', ready => 'notify'));
    my $kill = sub {
        my $told = () = deaths($s);
        my $pid;
        wait_until { my @c = status_of('slides', 'one'); $pid = $c[0]; ($c[1] // '') eq 'ready' || !$s->running };
        return if !$s->running;
        my $from = time;
        kill KILL => $pid;
        wait_until { my @now = deaths($s); @now > $told };
        return [$from, time];
    };
    my (@killed, $gave_up);
    for my $turn (1 .. 10) {
        # Never five within a period: the fifth waits until the first has left it, and no longer.
        if (@killed >= 4) {
            my $free = $killed[-4][1] + $period + 0.001;
            sleep($free - time) if $free > time;
        }
        push @killed, $kill->();
        last if !$s->running;
    }
    ok($s->running, 'four restarts in every second, for ten restarts: it goes on');
    # Now as fast as it comes back, until there have been five.
    while (@killed < 30 && (my $one = $kill->())) { push @killed, $one }
    my $sooner = grep { $killed[ $_ + 4 ][1] - $killed[$_][0] < $period } 0 .. $#killed - 5;
    is($s->finish, 70, 'one more than four within a second: it gives up');
    cmp_ok($killed[-1][0] - $killed[-5][1], '<=', $period, '... when there have been five within that time');
    is($sooner, 0, '... and at the first time that there have');
    is(scalar(grep { /restarting it/ } split /\n/, $s->{err}), @killed - 1, '... the last of which was the one too many');
}

done_testing;
