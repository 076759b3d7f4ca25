#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# An owner of 1 000 000 keys begins a snapshot: that keeps clients waiting for no longer than a round may take, and
# they go on while a child writes it. Killed in the middle of it, the owner takes the child with it: nothing keeps the next
# owner from starting, no lock, no descriptor and no process, and it is ready as soon as it has read its state.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);

use constant { KEYS => 1_000_000, PAUSE_MS => 60, DELAY_MS => 100, BLOB => 60_000, PUTS => 15, KILLS => 4 };

my $state = path('state');
{
    open my $text, '>', path('text') or die "$!\n";
    print {$text} "sole-text 1\nbehaviour table 2\nhistory 0000000000000001\nrevision @{[ KEYS + 1 ]}\ntime 2026-01-01T00:00:00.000000Z\ntoken 1\nmap \"table\"\n";
    printf {$text} "\"key-%08d\" %d \@%d\n", $_, $_, $_ + 1 for 0 .. KEYS - 1;
    print {$text} "end\n";
    close $text or die "$!\n";
    my $import = run({ limit => 120 }, 'sole-owner', '--import', path('text'), $state);
    is($import->{status}, 0, KEYS . ' keys are imported') or BAIL_OUT($import->{err});
    unlink path('text');
}

my ($started, $ready_s);
sub owner {
    $started = time;
    my $owner = start_owner({ name => 'owner' }, '--state', $state, '--snapshot-after', '1M', '-q', 'large');
    $ready_s = time - $started;
    return $owner;
}
# What a start took, and what of it was reading the state, as the owner tells.
sub start_of { my ($reading) = $_[0]->err =~ / rounds\) in ([\d.]+) s/ or die 'it does not tell'; return { all => $ready_s, reading => $reading } }

sub child_of { my ($pid) = @_; return grep { slurp("/proc/$_/comm") =~ /^sole-snapshot/ } descendants($pid) }

my $socket  = dealer(endpoint('large'));
my $owner   = owner();
my $session = open_session($socket);
my $sequence = 0;

# A snapshot is worth while when the journal has grown as much as the state is large. True when a child writes one.
sub until_snapshot {
    my $puts = op(PUT, 'blob', 'x' x BLOB) x PUTS;
    for (1 .. 1000) {
        return 1 if child_of($owner->pid);
        my $item = ask($socket, item(RUN, $puts, session => $session, sequence => ++$sequence));
        die "a put is answered $item->{code}\n" if $item->{code} != 0;
    }
    return 0;
}

ok(until_snapshot(), 'a child begins to write a snapshot');
my ($answered, $longest) = (0, 0);
while (child_of($owner->pid)) {
    my $asked = time;
    ask($socket, item(RUN, op(ADD, 'meanwhile', \1), session => $session, sequence => ++$sequence));
    $longest = time - $asked if time - $asked > $longest;
    $answered++;
}
cmp_ok($answered, '>', 10, "$answered commands are answered while it writes");
my $counters = counters($socket);
is($counters->{snapshots}, 1, 'the snapshot is written');
my $pause_ms = $counters->{snapshot_pause} / 1e6;
# 20 ms is what it takes at the most where a processor is free; beside other work a fork waits for one.
cmp_ok($pause_ms, '<=', PAUSE_MS * ($ENV{SOLE_TIME_FACTOR} || 1), sprintf 'to begin it has kept clients waiting %.1f ms', $pause_ms);

my (@usual, @after, @left);
for my $time (1 .. KILLS) {
    until_snapshot() or last;
    my ($child) = child_of($owner->pid) or redo;
    ask($socket, item(RUN, op(ADD, 'killed', \1), session => $session, sequence => ++$sequence));
    kill KILL => $owner->pid;
    $owner->finish;
    # The next is not made to wait for anything; who is in its way would be told of in a line, with status 69.
    $owner = owner();
    push @after, start_of($owner);
    push @left, $child if alive($child);
    # How long that takes without: the same state and the same journal, and nobody wrote a snapshot of it.
    kill KILL => $owner->pid;
    $owner->finish;
    $owner = owner();
    push @usual, start_of($owner);
}
is(scalar @after, KILLS, 'killed ' . KILLS . ' times while a child wrote');
is("@left", '', 'the child ends with its owner');
# Reading the state takes what the machine lets it; all else of the start hardly anything.
my ($second) = (sort { $a <=> $b } map { $after[$_]{all} - $usual[$_]{all} } 0 .. $#after)[1];
cmp_ok($second, '<=', seconds(DELAY_MS / 1e3), sprintf 'the next is ready as soon as ever (difference %.0f ms)', $second * 1e3);
my ($other_after, $other_usual) = map { (sort { $a <=> $b } map { $_->{all} - $_->{reading} } @$_)[ KILLS / 2 ] } \@after, \@usual;
cmp_ok($other_after, '<=', $other_usual + seconds(DELAY_MS / 1e3), sprintf 'beside reading its state it takes %.0f ms, and %.0f ms else',
    $other_after * 1e3, $other_usual * 1e3);
is(get($socket, 'killed'), KILLS, 'nothing that was answered is lost');
is(get($socket, 'meanwhile'), $answered, 'nor done twice');
is(join(' ', grep { /\.tmp$/ } glob "$state/*"), '', 'no unfinished snapshot is left');
note(sprintf 'longest answer during a snapshot %.1f ms; starts usually %s s, after a kill in a snapshot %s s', $longest * 1e3,
    map { my $starts = $_; join ' ', map { sprintf '%.3f', $_->{all} } @$starts } \@usual, \@after);
done_testing;
