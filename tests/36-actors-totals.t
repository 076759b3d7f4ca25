# SPDX-License-Identifier: MIT
#
# What actors count is what the owner counts, to the unit: after their duration, after
# SIGTERM in the middle, with a pause and without.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use Test::More;

# Sums what the processes counted and compares it with the owner's own totals.
sub totals_agree {
    my ($title, $owner, @clients) = @_;
    my %sum = (reads => 0, writes => 0);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $client (@clients) {
        is($client->{status}, 0, "$title: $client->{name} ends with status 0");
        is($client->{err}, '', "$title: ... in silence");
        if ($client->{out} =~ /\A(reads|writes): (\d+)\n/) { $sum{$1} += $2 }
        else { fail("$title: $client->{name} prints its total"); diag($client->{out}) }
    }
    is($owner->stop, 0, "$title: the owner ends with status 0");
    is($owner->{out}, "reads: $sum{reads}, writes: $sum{writes}\n", "$title: totals agree");
    return \%sum;
}

# for a duration
{
    my $time  = qr/[0-9.]+(?:ns|us|ms|s)/;
    my $owner = start_owner('lasting');
    my @clients = (
        start('sole-reader', '-o', 'lasting', '--actors', 100, '--duration', '500ms', '--latency'),
        start('sole-writer', '-o', 'lasting', '--actors', 10, '--duration', '500ms'));
    $_->finish for @clients;
    my $sum = totals_agree('500 ms', $owner, @clients);
    cmp_ok($sum->{$_}, '>=', 10, "500 ms: there were $_") for sort keys %$sum;
    like($clients[0]{out},
        qr/^latency: p50 $time p99 $time p99\.9 $time max $time\n\z/m,
        '--latency prints the quantiles behind the total');
    unlike($clients[1]{out}, qr/latency/, 'without it nobody does');
}

# at once
{
    my $owner = start_owner('at-once');
    my $reader = start('sole-reader', '-e', "ipc://$ENV{SOLE_RUNTIME_DIR}/at-once.sock", '--actors', 2,
        '--pause', 0, '--duration', '200ms');
    $reader->finish;
    my $sum = totals_agree('at once', $owner, $reader);
    cmp_ok($sum->{reads}, '>=', 10, 'what actors ask first goes out before their process waits');
}

# what is written
{
    my $owner = start_owner('written');
    my $writer = start('sole-writer', '-o', 'written', '--keys', 3, '--pause', '2ms');
    ok(wait_until { run('sole', '-o', 'written', 'count')->{out} eq "3\n" },
        'a writer goes through its keys');
    is($writer->stop, 0, 'until it is told to stop');
    my ($writes) = $writer->{out} =~ /\Awrites: (\d+)\n\z/;
    my %found = map { $_ => run('sole', '-o', 'written', 'get', $_)->{out} + 0 } 0 .. 2;
    my @last = sort { $a <=> $b } values %found;
    is_deeply(\@last, [$writes - 3, $writes - 2, $writes - 1], 'its last rounds are what the keys hold');
    is(scalar(grep { $found{$_} % 3 != $_ } 0 .. 2), 0,
        'each round at the key that is its number modulo the keys');
    $owner->stop;
}

# SIGTERM in the middle, many processes, no pause
for my $signal ('TERM', 'INT') {
    my $owner = start_owner("middle-$signal");
    my @clients = map {
        start($_ % 3 ? 'sole-reader' : 'sole-writer', '-o', "middle-$signal", '--actors', 1 + 20 * $_,
            '--pause', $_ % 2 ? '1ms' : 0);
    } 0 .. 5;
    $_->wait_ready for @clients;
    # Well under way: the first writer's and the last readers' traces are there.
    ok(wait_until { run('sole', '-o', "middle-$signal", 'stats')->{out} =~ /^writes +\d{3,} /m },
        'all are at work');
    $_->signal($signal) for @clients;
    $_->finish for @clients;
    totals_agree("SIG$signal", $owner, @clients);
}

# an actor alone, and very many
for my $actors (1, 5000) {
    my $owner = start_owner("actors-$actors");
    my $reader = start('sole-reader', '-o', "actors-$actors", '--actors', $actors, '--pause', 0,
        '--duration', '300ms');
    $reader->finish;
    my $sum = totals_agree("$actors actors without a pause", $owner, $reader);
    cmp_ok($sum->{reads}, '>=', $actors, '... each had its turn');
}

# the pause is kept
{
    my $owner = start_owner('paced');
    my $reader = start('sole-reader', '-o', 'paced', '--actors', 7, '--pause', '50ms', '--duration', '400ms');
    $reader->finish;
    my $sum = totals_agree('a pause of 50 ms', $owner, $reader);
    cmp_ok($sum->{reads}, '<=', 7 * 9, 'nobody asks before its pause is over');
    cmp_ok($sum->{reads}, '>=', 7, 'everybody asks');
}

done_testing;
