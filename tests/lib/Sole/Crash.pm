# SPDX-License-Identifier: MIT
#
# Sole::Crash - clients that write down what they are told, while their durable owner is killed.
#
# The journal that the owner has no more use for is removed by it, and is needed here: segments are linked into a
# folder of their own while they are there. All of the journal, from the first round on, then tells what was
# done; what the owner starts with tells what became of it.
package Sole::Crash;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Sole::History;
use Sole::Test;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(client_program start_clients answered stop_clients archive judged random_below SEED);

use constant SEED => $ENV{SEED} // int(time * 1000) % 1_000_000;

# Histories are kept in memory: a client must not wait for a disk that others sync.
my $histories = tempdir('sole-test-XXXXXX', DIR => -w '/dev/shm' ? '/dev/shm' : folder(), CLEANUP => 1);

sub client_program {
    my $program = program('x') =~ s{/bin/x\z}{/build/plain/tests/crash/client}r;
    $program = program('x') =~ s{/bin/x\z}{/tests/crash/client}r unless -x $program;
    return $program;
}

my $draw = SEED;

# A number below the limit, of a sequence that SEED gives.
sub random_below {
    my ($limit) = @_;
    $draw = ($draw * 1103515245 + 12345) % 2**31;
    return int($draw / 2**31 * $limit);
}

# start_clients(OWNER, writers => 8, readers => 2 [, pause_us, silence_ms]): their processes.
sub start_clients {
    my ($owner, %wanted) = @_;
    my @clients;
    for my $kind ('writer', 'reader') {
        for (1 .. $wanted{"${kind}s"}) {
            my $number = 1 + @clients;
            my $client = start({ name => "$kind-$number", notify => 0 }, client_program(), $owner, $number, SEED, "$histories/$number",
                $kind, $wanted{pause_us} // 2000, $wanted{silence_ms} // 600_000);
            $client->{history} = "$histories/$number";
            push @clients, $client;
        }
    }
    return @clients;
}

# How much they have written down: it grows when they are answered.
sub answered { my $sum = 0; $sum += -s $_->{history} // 0 for @_; return $sum }

# Stopped, with what is under way answered. Returns those that did not end well.
sub stop_clients {
    $_->signal('TERM') for @_;
    return map { "$_->{name}: " . $_->err } grep { ($_->finish(120) // -1) != 0 } @_;
}

# Links the segments that are there now. A name may come again: one that was begun when the owner died.
sub archive {
    my ($from, $to) = @_;
    mkdir $to;
    opendir my $listing, $from or return;
    for my $name (grep { /^journal-[0-9a-f]{16}$/ } readdir $listing) {
        my @there = stat "$from/$name" or next;
        my @here  = stat "$to/$name";
        next if @here && $here[1] == $there[1];
        unlink "$to/$name" if @here;
        link "$from/$name", "$to/$name";
    }
}

# Holds the histories of the clients against the log of the folder. Returns what History::judge does.
sub judged {
    my ($folder, $clients, %options) = @_;
    my $log = run({ limit => 120, stdout => path('log') }, 'sole-owner', '--log', $folder, '--json');
    is($log->{status}, 0, 'all of the journal is read') or diag($log->{err});
    return judge(read_histories(map { $_->{history} } @$clients), read_log(path('log')), %options);
}

1;
