#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Each limit of an owner, reached by a client: refused by name, counted, and somebody else who has
# a session and works beside it notices nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::UNIX;
use Sole::Remote;
use Sole::Test;
use Sole::Wire;
use Test::More;
use ZMQ::FFI::Constants qw(ZMQ_DONTWAIT);

use constant { OK => 0, BUSY => 6, TOO_LARGE => 10, FULL => 16, TOO_OLD => 18, REPLY_FORGOTTEN => 101 };

my %seen;

# limit('max-key' => 16, counter => sub { reaches it; gets a client and the owner's name }).
sub limit {
    my ($option, $value, $counter, $reach) = @_;
    $seen{$option} = 1;
    return beside($option, $option, [ "--$option", $value ], $counter, $reach);
}

# The same for one that has no option: beside(TITLE, NAME, \@options, counter => sub).
sub beside {
    my ($title, $name, $options, $counter, $reach) = @_;
    return subtest $title => sub {
        plan skip_all => 'valgrind has no pidfd_open, which a backup needs'
            if $name eq 'max-backups' && ($ENV{SOLE_WRAPPER} // '') =~ /valgrind/;
        my $owner  = start_owner($name, @$options);
        my $beside = dealer(endpoint($name));
        my $client = dealer(endpoint($name));
        ask($beside, item(HELLO, list(\1, \1, 'beside'), flags => NOTICES));
        ask($client, item(PING, ''));
        my $session = open_session($beside);
        ask($beside, watch_item(1, 'beside'));
        is ask($beside, item(RUN, op(ADD, 'beside', \1), session => $session, sequence => 1))->{code}, OK, 'somebody works';
        my $event = receive_message($beside);
        my $before = counters($client)->{$counter};

        $reach->($client, $name, $owner);
        cmp_ok counters($client)->{$counter}, '>', $before, "it is counted: $counter";

        my ($again) = ask($beside, item(RUN, op(ADD, 'beside', \1), session => $session, sequence => 1));
        is $again->{lists}[0][0], 1, 'the one beside it has the answer that it had';
        is ask($beside, item(RUN, op(ADD, 'beside', \1), session => $session, sequence => 2, window => 0))->{lists}[0][0], 2, 'and goes on';
        $event = receive_told($beside);
        is $event->{items}[0]{lists}[0][4], 2, 'and hears what it watches';
        $_->close for $client, $beside;
        is $owner->stop, 0, 'the owner ends well';
    };
}

sub refused {
    my ($answer, $code, $word, $title) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $answer->{code}, $code, $title;
    like $answer->{lists}[0][1], qr/\Q$word\E/, '... by name';
}

sub put { my ($client, $key, $value) = @_; return ask($client, item(RUN, op(PUT, $key, $value))) }

limit 'max-operations' => 5, limit_operations => sub {
    my ($client) = @_;
    refused ask($client, item(RUN, op(ADD, 'n', \1) x 6)), TOO_LARGE, 'max-operations', 'one more is refused';
    is get($client, 'n'), undef, 'and none of it ran';
    is ask($client, item(RUN, op(ADD, 'n', \1) x 5))->{code}, OK, 'so many are fine';
};

limit 'max-checkpoints' => 10, limit_checkpoints => sub {
    my ($client) = @_;
    put($client, "k$_", 'v') for 10 .. 20;
    refused ask($client, item(RUN, op(ADD, 'n', \1) . op(SCAN, 'k', undef, \0))), TOO_LARGE, 'max-checkpoints', 'more work is refused';
    is get($client, 'n'), undef, 'and leaves no trace';
    is ask($client, item(RUN, op(SCAN, 'k', undef, \10), flags => QUERY))->{code}, OK, 'so much is fine';
};

limit 'max-key' => 16, limit_key => sub {
    my ($client) = @_;
    refused put($client, 'k' x 17, 'v'), TOO_LARGE, 'max-key', 'a longer key is refused';
    is put($client, 'k' x 16, 'v')->{code}, OK, 'one of just that length is fine';
    ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
    refused ask($client, watch_item(1, 'k' x 17)), TOO_LARGE, 'max-key', 'so is a longer prefix';
};

limit 'max-value' => 100, limit_value => sub {
    my ($client) = @_;
    refused put($client, 'k', 'v' x 101), TOO_LARGE, 'max-value', 'a larger value is refused';
    is put($client, 'k', 'v' x 100)->{code}, OK, 'one of just that size is fine';
};

limit 'max-entries' => 5, limit_state => sub {
    my ($client) = @_;
    put($client, "k$_", 'v') for 1 .. 4;
    refused put($client, 'k5', 'v'), FULL, 'max-entries', 'one more is refused';
    is put($client, 'k1', 'another')->{code}, OK, 'what is there can be changed';
    ask($client, item(RUN, op(DELETE, 'k1')));
    is put($client, 'k5', 'v')->{code}, OK, 'and makes room when it goes';
};

limit 'max-state' => 4096, limit_state => sub {
    my ($client) = @_;
    refused put($client, 'k', 'v' x 4096), FULL, 'max-entries', 'more bytes are refused';
    is put($client, 'k', 'v' x 2000)->{code}, OK, 'fewer are fine';
};

limit 'max-sessions' => 2, limit_sessions => sub {
    my ($client) = @_;
    my $session = open_session($client);
    refused ask($client, item(OPEN, list('n' x 16, \0))), BUSY, 'max-sessions', 'one more is refused';
    is ask($client, item(RUN, op(ADD, 'n', \1), session => $session, sequence => 1))->{code}, OK, 'those that are open go on';
    ask($client, item(GOODBYE, '', session => $session));
    is ask($client, item(OPEN, list('n' x 16, \0)))->{code}, OK, 'when one ends another may begin';
};

limit 'max-session-replies' => 4096, replies_trimmed => sub {
    my ($client) = @_;
    put($client, 'k', 'v' x 3000);
    my $session = open_session($client);
    for my $sequence (1 .. 2) {
        is ask($client, item(RUN, op(ADD, 'n', \1) . op(GET, 'k'), session => $session, sequence => $sequence, window => $sequence - 1))->{code},
            OK, 'what was asked ran';
    }
    my $answer = ask($client, item(RUN, op(ADD, 'n', \1) . op(GET, 'k'), session => $session, sequence => 1, window => 0));
    is $answer->{code}, REPLY_FORGOTTEN, 'a reply that is no longer kept is told so';
    is get($client, 'n'), 2, 'and what it was the reply to did not run again';
};

limit 'max-watches' => 2, limit_watches => sub {
    my ($client) = @_;
    ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
    is ask($client, watch_item(1, 'k'))->{code}, OK, 'two are fine';
    refused ask($client, watch_item(2, 'k')), BUSY, 'max-watches', 'one more is refused';
    ask($client, item(UNWATCH, '', sequence => 1));
    is ask($client, watch_item(2, 'k'))->{code}, OK, 'when one ends another may begin';
};

limit 'max-traces' => 1, limit_traces => sub {
    my ($client, $name) = @_;
    my $trace = sub { scalar ask($_[0], item(TRACE, list(undef, undef, \0, \0), sequence => 1)) };
    my $other = dealer(endpoint($name));
    ask($_, item(HELLO, list(\1, \1, 'client'), flags => NOTICES)) for $client, $other;
    is $trace->($client)->{code}, OK, 'one is fine';
    refused $trace->($other), BUSY, 'max-traces', 'one more is refused';
    ask($client, item(UNTRACE, ''));
    is $trace->($other)->{code}, OK, 'when one ends another may begin';
    ask($other, item(UNTRACE, ''));
    $other->close;
};

limit 'max-backups' => 1, limit_backups => sub {
    my ($client, $name) = @_;
    my $part = sub { ask($_[0], item(BACKUP, list(map { \$_ } @_[1, 2]))) };
    put($client, 'k', 'v' x 100);
    ok wait_until { $part->($client, 1, 0)->{code} == OK }, 'one is fine';
    my $other = dealer(endpoint($name));
    refused $part->($other, 1, 0), BUSY, 'max-backups', 'one more waits';
    my $size;
    ok wait_until { ($size = $part->($client, 1, 0)->{lists}[0][1]) >= 0 }, 'it is written';
    my $last = $part->($client, 1, $size);
    is_deeply $last->{lists}, [[1, $size, '']], 'the first is over when its client says that it has all';
    ok wait_until { $part->($other, 1, 0)->{code} == OK }, 'and the next begins';
    ok wait_until { $part->($client, 2, 0)->{code} == BUSY }, 'which ends with its connection';
    $other->close;
    ok wait_until { $part->($client, 2, 0)->{code} == OK }, 'and then another one begins';
};

limit 'max-events' => 4096, watches_behind => sub {
    my ($client) = @_;
    ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
    # Not all in one round: the one beside would be behind before it had its turn.
    for (1 .. 25) { ask($client, map { item(RUN, op(ADD, 'n', \1)) } 1 .. 20) }
    my $history = unpack 'q>', pack 'H*', status($client)->{history};
    my $answer  = ask($client, watch_item(1, 'n', $history, 1, 0));
    refused $answer, TOO_OLD, 'start again', 'what is not kept any more is refused';
    my $start = $answer->{lists}[0][2];
    cmp_ok $start, '>', 300, 'with where to start';
    is ask($client, watch_item(1, 'n', $history, $start, 0))->{code}, OK, 'and there one can';
    is receive_message($client)->{items}[0]{lists}[0][0], $start, 'and hears all from there on';
};

limit 'max-connections' => 3, connections_refused => sub {
    my ($client, $option) = @_;
    my $third = dealer(endpoint($option));
    is ask($third, item(PING, ''))->{code}, OK, 'three are served';
    my $fourth = IO::Socket::UNIX->new(Peer => path("$option.sock")) or die "cannot connect: $!\n";
    my $closed = wait_until {
        IO::Select->new($fourth)->can_read(1) or return 0;
        my $got = sysread $fourth, my $bytes, 4096;
        return !$got;
    };
    ok $closed, 'one more is closed';
    $third->close;
};

# From who is on this host and does not read, nothing more is taken: only on tcp can anything have to be dropped.
$seen{'max-outbox'} = 1;
beside 'max-outbox', 'max-outbox', [ '--max-outbox', 65536, '--listen', 'tcp://127.0.0.1:*', '--in-the-clear', '--access',
    rules('rules', clear => 'query') ], outbox_drops => sub {
    my ($client, $name, $owner) = @_;
    put($client, 'k', 'v' x 30000);
    my ($tcp) = $owner->wait_output('err', qr{also at tcp:}) && $owner->err =~ m{also at (tcp://\S+:\d+),};
    my $deaf = dealer($tcp, receive => 1, send => 0);
    send_body($deaf, message(item(RUN, op(GET, 'k'), flags => QUERY))) for 1 .. 2000;
    ok wait_until { counters($client)->{outbox_drops} > 0 }, 'what a client does not read is dropped in the end';
    ok wait_until { status($client)->{'outbox-bytes'} <= 65536 }, 'no more than that is kept for it';
    $deaf->close;
};

limit 'max-outboxes' => 65536, limit_outboxes => sub {
    my ($client) = @_;
    put($client, 'k', 'v' x 30000);
    ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
    send_body($client, message((item(RUN, op(GET, 'k'), flags => QUERY)) x 4));
    my @answers;
    while (@answers < 4) { push @answers, @{ receive_message($client)->{items} } }
    is $answers[2]{code}, OK, 'the first are answered';
    refused $answers[3], BUSY, 'max-outboxes', 'more than that in one round is refused';
    is ask($client, item(RUN, op(GET, 'k'), flags => QUERY))->{code}, OK, 'and is fine in the next';
};

# One message is all that a round takes, so that each round is full.
for ([ 'round-messages', 1, 1 ], [ 'round-bytes', 4096, 4096 ]) {
    my ($option, $value, $size) = @$_;
    limit $option => $value, round_full => sub {
        my ($client) = @_;
        my $before = counters($client)->{round_full};
        my $body = message(item(RUN, op(PUT, 'k', 'v' x $size)));
        send_body($client, $body) for 1 .. 200;
        is scalar(grep { defined receive_body($client) } 1 .. 200), 200, 'all are answered, in more rounds';
        cmp_ok counters($client)->{round_full} - $before, '>=', 200, 'of one message each';
    };
}

# Those that are the protocol's and have no option.
beside('requests of a session', 'window', [], limit_window => sub {
    my ($client) = @_;
    my $session = open_session($client);
    my @answers = ask($client, map { item(RUN, op(ADD, 'n', \1), session => $session, sequence => $_, window => $_ - 1) } 1 .. 257);
    is scalar(grep { $_->{code} == OK } @answers), 256, 'a session has 256 requests unacknowledged';
    refused $answers[256], BUSY, 'unanswered', 'one more is refused';
    is get($client, 'n'), 256, 'and did not run';
    is ask($client, item(RUN, op(ADD, 'n', \1), session => $session, sequence => 257, window => 10))->{code}, OK, 'it used no sequence';
});

beside('a reply', 'reply', [], limit_reply => sub {
    my ($client) = @_;
    put($client, 'k', 'v' x 200_000);
    refused ask($client, item(RUN, op(GET, 'k') x 6, flags => QUERY)), TOO_LARGE, 'fit into a message', 'a reply larger than a message is refused';
    is ask($client, item(RUN, op(GET, 'k') x 5, flags => QUERY))->{code}, OK, 'one that fits is fine';
});

my %elsewhere = ('memory-mark' => '51-hostile.t', 'max-user-connections' => '72-access.t', 'max-slow' => '74-numbers.t');
my @options   = slurp("$FindBin::Bin/../owner/core/limits.def") =~ /^LIMIT\(\w+, "([\w-]+)"/mg;
cmp_ok scalar @options, '>', 10, 'limits.def is read';
is_deeply [ grep { !$seen{$_} && !$elsewhere{$_} } @options ], [], 'every limit was reached';
like slurp("$FindBin::Bin/$elsewhere{$_}"), qr/--$_\b/, "$_ is in $elsewhere{$_}" for sort keys %elsewhere;
done_testing;
