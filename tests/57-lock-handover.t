#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# How soon a lock changes hands when its holder is killed with SIGKILL, who had no chance to say
# so: a hundred times, from the kill to the first line of the next one's command, with whatever it
# takes to start that. The median, and each token higher than the one before.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl qw(O_RDWR);
use IO::Select;
use POSIX qw(mkfifo);
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);

use constant { HOLDER => 23, TRIES => 100, MEDIAN_MS => 50 };

start_owner('locks');
my $socket = dealer(endpoint('locks'));
my $fifo   = path('holders');
mkfifo($fifo, 0600) or die "mkfifo: $!\n";
sysopen my $holders, $fifo, O_RDWR or die "cannot open $fifo: $!\n";
my $select = IO::Select->new($holders);

# One who waits for the lock, and then says "PID-OF-ITS-COMMAND TOKEN" and stays.
sub contender {
    return start({ name => 'contender', notify => 0, stdout => $fifo }, 'sole', '-o', 'locks', 'lock', 'l', '--', 'sh', '-c',
        'echo "$$ $SOLE_TOKEN"; exec sleep 1000');
}

# The next line of a holder: when it came, pid and token.
sub next_holder {
    $select->can_read(seconds(20)) or die "nobody got the lock in time\n";
    my $at = time;
    sysread $holders, my $line, 256;
    my ($pid, $token) = $line =~ /\A(\d+) (\d+)\n\z/ or die "not one holder: $line";
    return ($at, $pid, $token);
}

sub waiting { return ask($socket, item(RUN, op(HOLDER, 'l'), flags => QUERY))->{lists}[0][2] }

my $holder = contender();
my (undef, $command, $token) = next_holder();
my (@took_ms, $grew, $ended);
for (1 .. TRIES) {
    my $next = contender();
    wait_until { waiting() == 1 } or die "nobody came to wait\n";
    my $killed = time;
    $holder->signal('KILL');
    my ($at, $next_command, $next_token) = next_holder();
    push @took_ms, 1000 * ($at - $killed);
    $grew++ if $next_token > $token;
    $holder->finish;
    $ended++ if wait_until { !alive($command) };
    ($holder, $command, $token) = ($next, $next_command, $next_token);
}
@took_ms = sort { $a <=> $b } @took_ms;
my $median = $took_ms[TRIES / 2];
note(sprintf 'from SIGKILL to the next holder: median %.1f ms, p90 %.1f ms, longest %.1f ms', $median, @took_ms[TRIES * 0.9, -1]);
cmp_ok($median, '<', seconds(MEDIAN_MS), "the next in line holds the lock within @{[MEDIAN_MS]} ms (median of @{[TRIES]})");
is($grew, TRIES, 'each has a higher fencing token than the one before');
is($ended, TRIES, 'and the command of each that was killed is killed with it');
is(waiting(), 0, 'nobody is left in line');

done_testing;
