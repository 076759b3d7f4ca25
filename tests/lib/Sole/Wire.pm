# SPDX-License-Identifier: MIT
#
# Sole::Wire - messages of sole-protocol(7) for tests that speak to an owner raw.
#
# Packs what it is told, also when that breaks the protocol, and reads what comes
# back. tests/32-protocol-perl.t does not use it: that one proves the page.
package Sole::Wire;

use strict;
use warnings;

use Exporter qw(import);
use Scalar::Util ();
use Sole::Test;
use ZMQ::FFI;
use ZMQ::FFI::Constants qw(:all);

our @EXPORT = qw(
    HELLO OPEN GOODBYE RUN CANCEL PING STATUS STATS DESCRIBE WATCH UNWATCH RECEIVED OUTCOME BACKUP
    SESSIONS END_SESSION READ_ONLY LATENCIES CLIENTS HOT SLOW TRACE UNTRACE LEAVING EVENTS TRACED
    QUERY RELATIVE NOTICES OTHERWISE OPENED
    GET PUT DELETE ADD CAS COUNT SCAN BIND LOCK UNLOCK HOLDER
    endpoint dealer send_body receive_body receive_bodies
    value list op item message read_message ask get status counters
    open_session watch_item receive_message receive_told
);

use constant {
    HELLO => 1, OPEN => 2, GOODBYE => 3, RUN => 4, CANCEL => 5, PING => 6, STATUS => 7, STATS => 8, DESCRIBE => 9,
    WATCH => 10, UNWATCH => 11, RECEIVED => 12, OUTCOME => 13, BACKUP => 14, SESSIONS => 15, END_SESSION => 16, READ_ONLY => 17,
    LATENCIES => 18, CLIENTS => 19, HOT => 20, SLOW => 21, TRACE => 22, UNTRACE => 23, LEAVING => 32, EVENTS => 33, TRACED => 34,
    QUERY => 1, RELATIVE => 2, NOTICES => 4, OTHERWISE => 8, OPENED => ~0,
    GET => 1, PUT => 2, DELETE => 3, ADD => 4, CAS => 5, COUNT => 6, SCAN => 10, BIND => 15, LOCK => 20, UNLOCK => 22,
    HOLDER => 23,
};

my $context;
my @sockets;
my $tag = 0;

# A test that dies half-way must not wait for ever for its context to end.
END {
    for my $socket (grep { defined } @sockets) {
        local $SIG{__WARN__} = sub { };    # that it is closed
        eval { $socket->set(ZMQ_LINGER, 'int', 0); $socket->close };
    }
}

# ---- sockets ----

# Where the owner of that name listens.
sub endpoint { return 'ipc://' . path("$_[0].sock") }

# dealer(ENDPOINT [, option => value ...]): a connected socket that never dies and waits ten seconds
# for a message. Options: type, the high-water marks send and receive, in messages, and setup, which is
# called with the socket before it connects.
sub dealer {
    my ($at, %option) = @_;
    $context //= ZMQ::FFI->new;
    my $socket = $context->socket($option{type} // ZMQ_DEALER);
    $socket->die_on_error(0);
    $socket->set(ZMQ_RCVTIMEO, 'int', 1000 * seconds(10));
    $socket->set(ZMQ_SNDHWM, 'int', $option{send}) if defined $option{send};
    $socket->set(ZMQ_RCVHWM, 'int', $option{receive}) if defined $option{receive};
    $option{setup}->($socket) if $option{setup};
    $socket->connect($at);
    push @sockets, $socket;
    Scalar::Util::weaken($sockets[-1]);
    return $socket;
}

# Sends the delimiter and the body.
sub send_body { $_[0]->send('', ZMQ_SNDMORE); return $_[0]->send($_[1]) }

# The last frame of the next message; undef when none comes.
sub receive_body {
    my ($socket, $flags) = @_;
    my $frame = $socket->recv($flags // 0);
    return if !defined $frame;
    $frame = $socket->recv while $socket->get(ZMQ_RCVMORE, 'int');
    return $frame;
}

# All that is there already, without waiting; replies of two frames only.
sub receive_bodies {
    my ($socket) = @_;
    my @bodies;
    while (defined $socket->recv(ZMQ_DONTWAIT)) {
        push @bodies, $socket->recv(ZMQ_DONTWAIT);
    }
    return @bodies;
}

# ---- writing ----

# undef is none, a reference to a scalar an integer, all else bytes.
sub value {
    my ($value) = @_;
    return pack 'C', 0 if !defined $value;
    return ref $value ? pack('C q<', 1, $$value) : pack('C L</a*', 2, $value);
}

sub list { return pack('C', scalar @_) . join '', map { value($_) } @_ }
sub op { my ($number, @arguments) = @_; return pack('S<', $number) . list(@arguments) }

# item(KIND, PAYLOAD, field => value ...); the size is right unless it is given.
sub item {
    my ($kind, $payload, %field) = @_;
    return pack 'L< C C S< Q< Q< Q< a*', $field{size} // 32 + length $payload, $kind, $field{flags} // 0,
        $field{window} // 0, $field{session} // 0, $field{sequence} // 0, $field{deadline} // 0, $payload;
}

# message(ITEM ...), or message({ field => value }, ITEM ...).
sub message {
    my %field = ref $_[0] ? %{ +shift } : ();
    return pack('a4 C C S< Q< Q< Q<', $field{magic} // 'SOLE', $field{version} // 1, $field{kind} // 1,
        $field{count} // scalar @_, $field{tag} // ++$tag, 0, 0) . join '', @_;
}

# ---- reading ----

sub _lists {
    my ($payload) = @_;
    my ($at, @lists) = (0);
    while ($at < length $payload) {
        my ($count, @values) = unpack "\@$at C", $payload;
        $at++;
        for (1 .. $count) {
            my $type = unpack "\@$at C", $payload;
            push @values, $type == 0 ? undef : $type == 1 ? unpack("\@$at x q<", $payload) : unpack "\@$at x L</a", $payload;
            $at += $type == 0 ? 1 : $type == 1 ? 9 : 5 + length $values[-1];
        }
        push @lists, \@values;
    }
    die "a list goes beyond its item\n" if $at != length $payload;
    return \@lists;
}

# The header's fields, and {items}, each with its fields and {lists}.
sub read_message {
    my ($body) = @_;
    die "a reply of " . length($body) . " bytes\n" if length $body < 32;
    my %message;
    (@message{qw(magic version kind count tag incarnation history)}, my $rest) = unpack 'a4 C C S< Q< Q< Q< a*', $body;
    die "not a reply of this protocol\n" if $message{magic} ne 'SOLE' || $message{version} != 1;
    $message{items} = [];
    while (length $rest) {
        my %item;
        @item{qw(size kind outcome code session sequence revision)} = unpack 'L< C C S< Q< Q< Q<', $rest;
        $item{durable} = $item{kind} == RUN && $item{outcome} & 128 ? 1 : 0;
        $item{outcome} &= 127 if $item{durable};
        die "an item of $item{size} bytes\n" if $item{size} < 32 || $item{size} > length $rest;
        $item{lists} = _lists(substr substr($rest, 0, $item{size}, ''), 32);
        push @{ $message{items} }, \%item;
    }
    die "the count is not that of the items\n" if $message{count} != @{ $message{items} };
    return \%message;
}

# ---- asking ----

# Sends items in one message, waits for its reply and returns the items of it.
sub ask {
    my ($socket, @items) = @_;
    send_body($socket, message(@items));
    my $reply = receive_told($socket) // die "no reply in time\n";
    die "a reply to another message\n" if $reply->{tag} != $tag;
    return wantarray ? @{ $reply->{items} } : $reply->{items}[0];
}

# The next message, read; undef when none comes.
sub receive_message { my $body = receive_body(@_); return defined $body ? read_message($body) : undef }

# The same, but for notices that tell nothing than how far the owner has looked for a watch.
sub receive_told {
    my @from = @_;
    while (my $message = receive_message(@from)) {
        my $item = $message->{items}[0];
        return $message if $message->{kind} != 3 || $item->{kind} != EVENTS || $item->{code} != 0 || grep { @$_ != 2 } @{ $item->{lists} };
    }
    return undef;
}

# Opens a session and returns its id. The nonce is 16 bytes of the process's own.
my $sessions = 0;
sub open_session {
    my ($socket, $silence_ms) = @_;
    my $answer = ask($socket, item(OPEN, list(pack('L< L< Q<', $$, ++$sessions, time), \($silence_ms // 0))));
    die "no session: $answer->{code}\n" if $answer->{code} != 0;
    return $answer->{session};
}

# Events from now on, or from (revision, index) of a history. Its number is the watch's.
sub watch_item {
    my ($number, $prefix, $history, $revision, $index) = @_;
    return item(WATCH, list($prefix, \($history // 0), \($revision // 0), \($index // 0)), sequence => $number);
}

sub get { my ($socket, $key) = @_; return ask($socket, item(RUN, op(GET, $key), flags => QUERY))->{lists}[0][0] }

# STATUS and STATS; where the round was too full for the answer, once more.
sub _told {
    my ($socket, $kind) = @_;
    my $answer;
    Sole::Test::wait_until { ($answer = ask($socket, item($kind, '')))->{code} != 6 };
    return $answer->{lists};
}
sub status { my ($socket) = @_; return { @{ _told($socket, STATUS)->[0] } } }
sub counters { my ($socket) = @_; return { map { $_->[0] => $_->[1] } @{ _told($socket, STATS) } } }

1;
