#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Each outcome of a deadline and of a cancel, seen from both sides: what the client is told, and what
# the owner has counted and holds then. What a client hears must be what happened.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant { OK => 0, EXPIRED => 7, CANCELLED => 8, WAITING => 17, SESSION_FORGOTTEN => 100, REPLY_FORGOTTEN => 101,
    DONE => 0, REFUSED => 1, UNKNOWN => 2 };

my $owner  = start_owner('outcomes', '--drain', '100ms', '--max-session-replies', '4096');
my $client = dealer(endpoint('outcomes'));
my $other  = dealer(endpoint('outcomes'));
ask($_, item(HELLO, list(\1, \1, 'outcomes'), flags => NOTICES)) for $client, $other;
my $holder = open_session($other);

sub in_ms { return int(clock_gettime(CLOCK_MONOTONIC) * 1e9 + $_[0] * 1e6) }

my ($session, $sequence);
# The next command of the session.
sub add { my (%more) = @_; return item(RUN, op(ADD, 'n', \1), session => $session, sequence => ++$sequence, window => 0, %more) }
sub lock_it { my (%more) = @_; return item(RUN, op(LOCK, 'l'), session => $session, sequence => ++$sequence, window => 0, %more) }
sub cancel { my ($which) = @_; return item(CANCEL, '', session => $session, sequence => $which // $sequence) }
sub waiting { return ask($other, item(RUN, op(HOLDER, 'l'), flags => QUERY))->{lists}[0][2] }

# The outcome and the code, or those of the next notice.
sub verdict { my ($item) = @_; return [ @$item{qw(outcome code)} ] }
sub notice { return verdict(receive_message($client)->{items}[0]) }

# outcome(TITLE, what the owner counts, by how much `n` grows, CODE): the code, given nothing, asks in a
# session of its own and checks what the client is told. `n` says how often something ran.
my %seen;
my $number = 0;
my @watched = qw(writes requests_refused requests_expired requests_cancelled requests_repeated requests_unknown
    answers_late waits_withdrawn);
sub outcome {
    my ($title, $counts, $ran, $code) = @_;
    return subtest $title => sub {
        ($session, $sequence) = (open_session($client), 0);
        my $held = ask($other, item(RUN, op(LOCK, 'l'), session => $holder, sequence => ++$number))->{code};
        is $held, OK, 'somebody holds the lock';
        my ($before, $n) = (counters($other), get($other, 'n') // 0);
        $code->();
        my $now = counters($other);
        my %grown = map { $_ => $now->{$_} - $before->{$_} } grep { $now->{$_} != $before->{$_} } @watched;
        is_deeply \%grown, $counts, 'the owner has counted just that';
        is +(get($other, 'n') // 0) - $n, $ran, "and it ran $ran times";
        $seen{$_} = 1 for keys %$counts;
        is waiting(), 0, 'nobody is left waiting';
        ask($client, item(GOODBYE, '', session => $session));
        ask($other, item(RUN, op(UNLOCK, 'l'), session => $holder, sequence => ++$number));
    };
}

# ---- deadlines ----

outcome 'a deadline that is ahead' => { writes => 1 }, 1, sub {
    is_deeply verdict(ask($client, add(deadline => in_ms(60_000)))), [ DONE, OK ], 'done';
};
outcome 'a deadline that has passed' => { requests_expired => 1, requests_refused => 1 }, 0, sub {
    is_deeply verdict(ask($client, add(deadline => in_ms(-1)))), [ REFUSED, EXPIRED ], 'refused: expired';
};
outcome 'a deadline that passes on the way' => { requests_expired => 1, requests_refused => 1 }, 0, sub {
    $owner->signal('STOP');
    my $deadline = in_ms(20);
    send_body($client, message(add(deadline => $deadline)));
    wait_until { in_ms(0) > $deadline };
    $owner->signal('CONT');
    is_deeply notice(), [ REFUSED, EXPIRED ], 'refused: expired';
};
outcome 'what expired and comes again' => { requests_expired => 1, requests_refused => 1, requests_repeated => 1 }, 0, sub {
    ask($client, add(deadline => in_ms(-1)));
    $sequence--;
    is_deeply verdict(ask($client, add())), [ REFUSED, EXPIRED ], 'the same answer, though it has no deadline now';
};
outcome 'what was done and comes again, late' => { writes => 1, requests_repeated => 1 }, 1, sub {
    ask($client, add());
    $sequence--;
    is_deeply verdict(ask($client, add(deadline => in_ms(-1)))), [ DONE, OK ], 'done';
};
outcome 'a deadline that comes while it waits' => { requests_expired => 1, requests_refused => 1, waits_withdrawn => 1 }, 0, sub {
    is_deeply verdict(ask($client, lock_it(deadline => in_ms(50)))), [ 3, WAITING ], 'it waits';
    is_deeply notice(), [ REFUSED, EXPIRED ], 'and is refused: expired';
};

# ---- cancels ----

outcome 'a cancel before it runs' => { requests_cancelled => 1, requests_refused => 1 }, 0, sub {
    my @answers = ask($client, add(), cancel());
    is_deeply [ map { verdict($_) } @answers ], [ [ REFUSED, CANCELLED ], [ DONE, OK ] ], 'refused: cancelled';
    is_deeply $answers[1]{lists}, [ [ 0 ] ], 'withdrawn';
};
outcome 'a cancel of what ran' => { writes => 1, requests_repeated => 1 }, 1, sub {
    ask($client, add());
    my @answers = ask($client, cancel());
    is_deeply $answers[0]{lists}, [ [ 1 ] ], 'answered before';
    is_deeply verdict($answers[1]), [ DONE, OK ], 'the answer follows';
};
outcome 'a cancel of what never came' => { requests_cancelled => 1, requests_refused => 1, requests_repeated => 1 }, 0, sub {
    is_deeply ask($client, cancel(1))->{lists}, [ [ 0 ] ], 'withdrawn';
    is_deeply verdict(ask($client, add())), [ REFUSED, CANCELLED ], 'and refused when it comes';
};
outcome 'a cancel of what waits' => { requests_cancelled => 1, requests_refused => 1, waits_withdrawn => 1 }, 0, sub {
    is_deeply verdict(ask($client, lock_it())), [ 3, WAITING ], 'it waits';
    is waiting(), 1, 'in the line';
    my @answers = ask($client, cancel());
    push @answers, @{ receive_message($client)->{items} } if @answers < 2;    # the notice
    is_deeply [ map { verdict($_) } @answers ], [ [ DONE, OK ], [ REFUSED, CANCELLED ] ], 'refused: cancelled';
    is_deeply $answers[0]{lists}, [ [ 0 ] ], 'withdrawn';
};
outcome 'a cancel of what waited and had its turn' => { writes => 3, answers_late => 1, requests_repeated => 1 }, 0, sub {
    ask($client, lock_it());
    ask($other, item(RUN, op(UNLOCK, 'l'), session => $holder, sequence => ++$number));
    is_deeply notice(), [ DONE, OK ], 'it has its turn';
    my @answers = ask($client, cancel());
    is_deeply $answers[0]{lists}, [ [ 1 ] ], 'too late: answered before';
    is_deeply verdict(ask($client, item(RUN, op(UNLOCK, 'l'), session => $session, sequence => ++$sequence))), [ DONE, OK ], 'the lock is held';
};

# ---- what the owner does not know ----

outcome 'a session that has ended' => { requests_unknown => 1 }, 0, sub {
    ask($client, item(GOODBYE, '', session => $session));
    is_deeply verdict(ask($client, add())), [ UNKNOWN, SESSION_FORGOTTEN ], 'unknown: session forgotten';
};

# ---- what no owner was told of ----

subtest 'an owner that is not there' => sub {
    my $asked = run('sole', '-o', 'absent', '-t', '50ms', 'add', 'n');
    is $asked->{status}, 69, 'nobody was there';
    like $asked->{err}, qr/^sole: refused: unreachable/, 'refused: it did not run';
    my $late = start_owner('absent', '--drain', '100ms');
    is counters(dealer(endpoint('absent')))->{requests}, 0, 'and nothing of it reaches one that comes later';
    is $late->stop, 0, 'the owner ends well';
};

is_deeply [ grep { !$seen{$_} } @watched ], [], 'each counter of outcomes has been reached';
$_->close for $client, $other;
is $owner->stop, 0, 'the owner ends well';
done_testing;
