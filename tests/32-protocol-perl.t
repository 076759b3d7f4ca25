#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A client written by hand from sole-protocol(7): ZeroMQ frames, pack and unpack,
# and none of the project's code. What it cannot do, the page does not say.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
use ZMQ::FFI;
use ZMQ::FFI::Constants qw(:all);

# ---- the client ----

use constant {
    HELLO => 1, OPEN => 2, GOODBYE => 3, RUN => 4, CANCEL => 5, PING => 6, STATUS => 7, STATS => 8,
    DESCRIBE => 9, LEAVING => 32,
    REQUEST => 1, REPLY => 2, NOTICE => 3, REPLY_PART => 4,
    QUERY => 1, RELATIVE => 2, NOTICES => 4,
    DONE => 0, REFUSED => 1, UNKNOWN => 2,
    GET => 1, PUT => 2, DELETE => 3, ADD => 4, CAS => 5, COUNT => 6,
    OPENED => ~0, MEBIBYTE => 1 << 20,
};

my $context = ZMQ::FFI->new;
chmod 0644, my $rules = spew('perl.access', "rule\n    who = relayed\n    right = command\n");
my $owner   = start_owner('perl', '--access', $rules);
my $at      = 'ipc://' . path('perl.sock');

sub dealer {
    my ($type, $endpoint, $unread_most) = @_;
    my $socket = $context->socket($type // ZMQ_DEALER);
    $socket->die_on_error(0);
    $socket->set(ZMQ_RCVHWM, 'int', $unread_most) if $unread_most;
    $socket->set(ZMQ_RCVTIMEO, 'int', 1000 * seconds(10));
    $socket->connect($endpoint // $at);
    return $socket;
}

# undef is none, a reference to a scalar an integer, all else bytes.
sub value {
    my ($value) = @_;
    return pack 'C', 0 if !defined $value;
    return ref $value ? pack('C q<', 1, $$value) : pack('C L</a*', 2, $value);
}
sub list { return pack('C', scalar @_) . join '', map { value($_) } @_ }

# One operation: op(PUT, 'key', \12).
sub op { my ($number, @arguments) = @_; return pack('S<', $number) . list(@arguments) }

sub item {
    my ($kind, $payload, %field) = @_;
    return pack 'L< C C S< Q< Q< Q< a*', 32 + length $payload, $kind, $field{flags} // 0, $field{window} // 0,
        $field{session} // 0, $field{sequence} // 0, $field{deadline} // 0, $payload;
}

my $tag = 0;

sub message {
    my (@items) = @_;
    return pack('a4 C C S< Q< Q< Q<', 'SOLE', 1, REQUEST, scalar @items, ++$tag, 0, 0) . join '', @items;
}

sub read_lists {
    my ($payload) = @_;
    my ($at, @lists) = (0);
    while ($at < length $payload) {
        my ($count, @values) = unpack "\@$at C", $payload;
        $at++;
        for (1 .. $count) {
            my $type = unpack "\@$at C", $payload;
            if ($type == 0) {
                push @values, undef;
                $at += 1;
            } elsif ($type == 1) {
                push @values, unpack "\@$at x q<", $payload;
                $at += 9;
            } else {
                push @values, unpack "\@$at x L</a", $payload;
                $at += 5 + length $values[-1];
            }
        }
        push @lists, \@values;
    }
    die "a list goes beyond its item\n" if $at != length $payload;
    return \@lists;
}

sub read_message {
    my ($body) = @_;
    my %message;
    (@message{qw(magic version kind count tag incarnation history)}, my $rest) = unpack 'a4 C C S< Q< Q< Q< a*', $body;
    while (length $rest) {
        my %item;
        @item{qw(size kind outcome code session sequence revision)} = unpack 'L< C C S< Q< Q< Q<', $rest;
        $item{bytes} = substr $rest, 0, $item{size}, '';
        $item{lists} = read_lists(substr $item{bytes}, 32);
        push @{ $message{items} }, \%item;
    }
    die "the count is not that of the items\n" if $message{count} != @{ $message{items} // [] };
    return \%message;
}

# The next message that arrives; undef when none does.
sub receive {
    my ($socket) = @_;
    my @frames = $socket->recv_multipart;
    return if @frames < 2;
    die "no empty delimiter\n" if $frames[-2] ne '';
    return read_message($frames[-1]);
}

sub say_to { my ($socket, @items) = @_; $socket->send_multipart(['', message(@items)]); return $tag }

# Sends items in one message; returns the items of the reply.
sub ask {
    my ($socket, @items) = @_;
    my $sent = say_to($socket, @items);
    my @answers;
    for (;;) {
        my $message = receive($socket) // die "no reply\n";
        die "a reply to something else\n" if $message->{tag} != $sent;
        push @answers, map { +{ %$_, message => $message } } @{ $message->{items} };
        last if $message->{kind} == REPLY;
        die "neither REPLY nor REPLY_PART\n" if $message->{kind} != REPLY_PART;
    }
    return wantarray ? @answers : $answers[0];
}

sub get { my ($socket, $key) = @_; return ask($socket, item(RUN, op(GET, $key), flags => QUERY))->{lists}[0][0] }

my $nonces = 0;
sub nonce { return pack 'a4 L< Q<', 'test', $$, ++$nonces }

# Opens a session; returns its number.
sub open_session {
    my ($socket, $silence_ms) = @_;
    my $answer = ask($socket, item(OPEN, list(nonce(), \($silence_ms // 0))));
    return $answer->{session};
}

sub status { my ($socket) = @_; my %status = @{ ask($socket, item(STATUS, ''))->{lists}[0] }; return \%status }

# outcome and code of an item, for comparing
sub verdict { my ($item) = @_; return "$item->{outcome} $item->{code}" }

# ---- what it is told ----

my $client = dealer();

subtest 'hello agrees on a version and tells who the owner is' => sub {
    my $answer = ask($client, item(HELLO, list(\1, \3, '32-protocol-perl')));
    is verdict($answer), '0 0', 'done';
    my ($version, $name, $behaviour, $behaviour_version, $most, $operations, $window, $durable, $pid)
        = @{ $answer->{lists}[0] };
    is_deeply [$version, $name, $behaviour, $behaviour_version], [1, 'perl', 'table', 2], 'version, name and behaviour';
    is_deeply [$most, $operations, $window, $durable], [MEBIBYTE, 1024, 256, 0], 'the limits';
    is $pid, $owner->pid, 'and the process';
    is verdict(ask($client, item(HELLO, list(\2, \3, 'x')))), '1 2', 'versions that it does not speak are refused';
    is verdict(ask($client, item(HELLO, list(\1)))), '1 4', 'a hello without a highest version is invalid';
    is verdict(ask($client, item(HELLO, ''))), '1 4', 'and so is an empty one';
};

subtest 'a message of another version is answered in version 1, with the versions there are' => sub {
    my $body = message(item(PING, ''));
    substr $body, 4, 1, chr 9;
    $client->send_multipart(['', $body]);
    my $message = receive($client);
    is_deeply [@$message{qw(version kind count tag)}], [1, REPLY, 1, $tag], 'one item, with the tag';
    my $item = $message->{items}[0];
    is verdict($item), '1 2', 'refused: version';
    is_deeply [@{ $item->{lists}[0] }[0, 2, 3]], [-1, 1, 1], 'from 1 to 1';
};

subtest 'incarnation, history and revision stand in each reply' => sub {
    my @answers = map { ask($client, item(PING, '', sequence => 17)) } 1 .. 2;
    my %first   = %{ $answers[0]{message} };
    ok $first{incarnation} > 0 && $first{history} != 0, 'they are numbers';
    is_deeply [@{ $answers[1]{message} }{qw(incarnation history)}], [@first{qw(incarnation history)}], 'the same in each';
    is $answers[0]{sequence}, 17, 'a sequence without a session is repeated';
    my $before = $answers[1]{revision};
    is ask($client, item(RUN, op(PUT, 'r', \1)))->{revision}, $before + 1, 'a command takes a revision';
    is ask($client, item(RUN, op(GET, 'r'), flags => QUERY))->{revision}, $before + 1, 'a query takes none';
};

subtest 'the operations of table' => sub {
    my $run = sub { my ($operation) = @_; my $answer = ask($client, item(RUN, $operation)); return ($answer->{code}, $answer->{lists}[0]) };
    is_deeply [$run->(op(GET, 'n'))], [0, [undef]], 'get of an absent key: none';
    is_deeply [$run->(op(PUT, 'n', \-5))], [0, [0]], 'put of a new key';
    is_deeply [$run->(op(PUT, 'n', "\0\xff"))], [0, [1]], 'put of one that was there';
    is_deeply [$run->(op(GET, 'n'))], [0, ["\0\xff"]], 'get of bytes';
    is_deeply [$run->(op(ADD, 'n', \1))], [14, [0, 'add: the value at this key is bytes, not an integer']], 'add to bytes: wrong-type';
    is_deeply [$run->(op(DELETE, 'n'))], [0, [1]], 'delete';
    is_deeply [$run->(op(DELETE, 'n'))], [0, [0]], 'delete of what is gone';
    is_deeply [$run->(op(ADD, 'n', \9223372036854775807))], [0, [9223372036854775807]], 'add to an absent key';
    my ($code, $list) = $run->(op(ADD, 'n', \1));
    is_deeply [$code, @$list[0, 2]], [13, 0, 9223372036854775807], 'a sum that does not fit: overflow, with the value';
    is_deeply [$run->(op(CAS, 'n', \9223372036854775807, 'x'))], [0, []], 'cas of the value expected';
    ($code, $list) = $run->(op(CAS, 'n', 'y', 'z'));
    is_deeply [$code, @$list[0, 2]], [9, 0, 'x'], 'cas of another: conflict, with the value';
    is_deeply [$run->(op(CAS, 'n', 'x', undef))], [0, []], 'cas to none removes';
    ($code, $list) = $run->(op(CAS, 'n', 'x', 'z'));
    is_deeply [$code, scalar @$list], [9, 2], 'a conflict with an absent key has no detail';
    is_deeply [$run->(op(CAS, 'n', undef, 'new'))], [0, []], 'cas of none makes the key';
    is_deeply [$run->(op(COUNT))], [0, [2]], 'count';
};

subtest 'all operations of a request take effect, or none' => sub {
    my $before = ask($client, item(PING, ''))->{revision};
    my $answer = ask($client, item(RUN, op(PUT, 'a', \1) . op(PUT, 'b', \2) . op(CAS, 'a', \9, \3) . op(PUT, 'c', \4)));
    is verdict($answer), '1 9', 'the third is refused';
    is $answer->{lists}[0][0], 2, 'which is told';
    is_deeply [map { get($client, $_) } qw(a b c)], [undef, undef, undef], 'nothing was done';
    is ask($client, item(PING, ''))->{revision}, $before, 'and no revision taken';
    $answer = ask($client, item(RUN, op(PUT, 'a', \1) . op(ADD, 'a', \2) . op(GET, 'a') . op(PUT, 'b', \2)));
    is_deeply $answer->{lists}, [[0], [3], [3], [0]], 'each operation has its list of results';
    is $answer->{revision}, $before + 1, 'at one revision';
    is verdict(ask($client, item(RUN, op(GET, 'a') . op(PUT, 'a', \7), flags => QUERY))), '1 4',
        'a command in a query is invalid';
    is get($client, 'a'), 3, 'and not run';
};

subtest 'a session opens in the message of its first commands, which run in order' => sub {
    my $open = item(OPEN, list(nonce(), \5000));
    my @commands = map { item(RUN, op(ADD, 'pipe', \1), session => OPENED, sequence => $_, window => $_ - 1) } 1 .. 3;
    my @first = ask($client, $open, @commands);
    is_deeply [map { verdict($_) } @first], [('0 0') x 4], 'all done';
    is $first[0]{lists}[0][0], 5000, 'its silence is told';
    is_deeply [map { $_->{lists}[0][0] } @first[1 .. 3]], [1, 2, 3], 'one after the other';
    is_deeply [map { $_->{session} } @first], [($first[0]{session}) x 4], 'in the same session';
    my @again = ask($client, $open, @commands);
    is_deeply [map { $_->{bytes} } @again[1 .. 3]], [map { $_->{bytes} } @first[1 .. 3]], 'the same message again: the same answers';
    is $again[0]{session}, $first[0]{session}, 'and the same session';
    is get($client, 'pipe'), 3, 'nothing ran twice';
    is verdict(ask($client, item(RUN, op(ADD, 'pipe', \1), session => OPENED, sequence => 1))), '1 4',
        'without an OPEN in the message it is invalid';
    is verdict(ask($client, item(OPEN, list('short', \0)))), '1 4', 'a nonce of another length is invalid';
};

subtest 'commands are pipelined in messages, and a retry runs once' => sub {
    my $session = open_session($client);
    my @bodies = map { message(item(RUN, op(ADD, 'many', \1), session => $session, sequence => $_, window => $_ - 1)) } 1 .. 200;
    $client->send_multipart(['', $_]) for @bodies;
    my @first = map { receive($client)->{items}[0] } @bodies;
    is_deeply [map { $_->{lists}[0][0] } @first], [1 .. 200], 'run in order';
    $client->send_multipart(['', $_]) for @bodies;
    my @again = map { receive($client)->{items}[0] } @bodies;
    is_deeply [map { $_->{bytes} } @again], [map { $_->{bytes} } @first], 'answered the same to the byte, revisions too';
    is get($client, 'many'), 200, 'and run once';
    my $refused = item(RUN, op(CAS, 'many', \0, \1), session => $session, sequence => 201);
    my $answer  = ask($client, $refused);
    is verdict($answer), '1 9', 'a refusal';
    ask($client, item(RUN, op(PUT, 'many', \0)));
    is ask($client, $refused)->{bytes}, $answer->{bytes}, 'is repeated too, though it would succeed by now';
};

subtest 'what was under way when the connection went is sent again, and runs once' => sub {
    my $first   = dealer();
    my $session = open_session($first);
    my @items   = map { item(RUN, op(ADD, 'reconnect', \1), session => $session, sequence => $_, window => $_ - 1) } 1 .. 20;
    say_to($first, $_) for @items[0 .. 9];
    ok wait_until { (get($client, 'reconnect') // 0) == 10 }, 'ten have run, and nobody has read the answers';
    $first->close;
    my $second = dealer();
    say_to($second, $_) for @items;
    my @answers = map { receive($second)->{items}[0] } @items;
    is_deeply [map { verdict($_) } @answers], [('0 0') x 20], 'all done';
    is_deeply [map { $_->{lists}[0][0] } @answers], [1 .. 20], 'each with its own answer';
    is get($second, 'reconnect'), 20, 'each once';
    $second->close;
};

subtest 'a command that came too early is refused, with the sequence to go on from' => sub {
    my $session = open_session($client);
    my $add = sub { item(RUN, op(ADD, 'early', \1), session => $session, sequence => shift, window => 8) };
    my @answers = ask($client, map { $add->($_) } 1, 3, 2, 4);
    is_deeply [map { verdict($_) } @answers], ['0 0', '1 11', '0 0', '1 11'], '3 before 2, and 4 before 3';
    is_deeply [map { $answers[$_]{lists}[0][2] } 1, 3], [2, 3], 'which are missing is told';
    is_deeply [map { verdict($_) } ask($client, map { $add->($_) } 3, 4)], ['0 0', '0 0'], 'sent again in order they run';
    is get($client, 'early'), 4, 'each once';
    is verdict(ask($client, $add->(0))), '1 11', '0 is no sequence of a command';
};

subtest 'the window: replies are kept until they are acknowledged' => sub {
    my $session = open_session($client);
    my $add = sub { my ($sequence, $window) = @_; item(RUN, op(ADD, 'window', \1), session => $session, sequence => $sequence, window => $window) };
    my @answers = ask($client, map { $add->($_, $_ - 1) } 1 .. 256);
    is scalar(grep { verdict($_) eq '0 0' } @answers), 256, '256 are under way';
    is verdict(ask($client, $add->(257, 256))), '1 6', 'one more is busy';
    is ask($client, $add->(1, 0))->{bytes}, $answers[0]{bytes}, 'the first is still known';
    is verdict(ask($client, $add->(257, 100))), '0 0', 'after acknowledging it runs, under the same sequence';
    is verdict(ask($client, $add->(156, 0))), '2 101', 'what was acknowledged is forgotten';
    is ask($client, $add->(200, 43))->{bytes}, $answers[199]{bytes}, 'what was not is repeated';
    is get($client, 'window'), 257, 'each ran once';
};

subtest 'a cancel says what became of the command' => sub {
    my $session = open_session($client);
    my $add    = sub { item(RUN, op(ADD, 'cancel', \1), session => $session, sequence => shift, window => 8) };
    my $cancel = sub { item(CANCEL, '', session => $session, sequence => shift) };
    my @answers = ask($client, $add->(1), $cancel->(1));
    is_deeply [map { verdict($_) } @answers], ['1 8', '0 0'], 'it overtakes what has not run';
    is_deeply $answers[1]{lists}, [[0]], 'withdrawn';
    is verdict(ask($client, $add->(1))), '1 8', 'for good';
    is verdict(ask($client, $add->(2))), '0 0', 'the next one runs';
    @answers = ask($client, $cancel->(2));
    is_deeply [map { [$_->{kind}, $_->{code}, $_->{lists}] } @answers], [[CANCEL, 0, [[1]]], [RUN, 0, [[1]]]],
        'too late: answered, and the answer follows';
    @answers = ask($client, $cancel->(3));
    is_deeply [@{ $answers[0] }{qw(code lists)}], [0, [[0]]], 'one that never came is withdrawn';
    is verdict(ask($client, $add->(3))), '1 8', 'and stays so when it comes';
    is verdict(ask($client, $cancel->(9))), '1 11', 'one whose predecessors have not come is out of order';
    is verdict(ask($client, item(CANCEL, '', session => 12345, sequence => 1))), '2 100', 'of an unknown session: unknown';
    is get($client, 'cancel'), 1, 'only what was not withdrawn ran';
};

subtest 'a cancel of a query' => sub {
    my @answers = ask($client, item(RUN, op(GET, 'a'), flags => QUERY, sequence => 5), item(CANCEL, '', flags => QUERY, sequence => 5));
    is_deeply [map { [$_->{code}, $_->{kind}] } @answers], [[8, RUN], [0, CANCEL]], 'withdraws it';
    is_deeply $answers[1]{lists}, [[0]], 'and says so';
    ask($client, item(RUN, op(GET, 'a'), flags => QUERY, sequence => 6));
    is_deeply ask($client, item(CANCEL, '', flags => QUERY, sequence => 6))->{lists}, [[1]], 'or says that it was answered';

    # Both wait in the socket when the owner comes back, and are taken up together.
    my $other = dealer();
    ask($other, item(PING, ''));
    $owner->signal('STOP');
    say_to($client, item(RUN, op(GET, 'a'), flags => QUERY, sequence => 7));
    say_to($other, item(CANCEL, '', flags => QUERY, sequence => 7));
    $owner->signal('CONT');
    is receive($other)->{items}[0]{code}, 0, 'a cancel that came over another connection is answered';
    is receive($client)->{items}[0]{code}, 0, 'and withdraws nothing here';
    $other->close;
};

subtest 'a request past its deadline does not run' => sub {
    my $session = open_session($client);
    my $now     = int(clock_gettime(CLOCK_MONOTONIC) * 1e9);
    my $add     = sub { my ($sequence, %more) = @_; item(RUN, op(ADD, 'deadline', \1), session => $session, sequence => $sequence, window => 8, %more) };
    is verdict(ask($client, $add->(1, deadline => $now - 1))), '1 7', 'past: expired';
    is verdict(ask($client, $add->(1))), '1 7', 'which is its answer for good';
    is verdict(ask($client, $add->(2, deadline => $now + 60_000_000_000))), '0 0', 'ahead: done';
    is verdict(ask($client, $add->(2, deadline => 1))), '0 0', 'a retry of what has run is answered, however late';
    is verdict(ask($client, $add->(3, deadline => 1_000_000, flags => RELATIVE))), '0 0', 'relative: from arrival';
    is verdict(ask($client, item(RUN, op(GET, 'a'), flags => QUERY, deadline => 1))), '1 7', 'queries have deadlines too';
    is get($client, 'deadline'), 2, 'what expired did not run';
};

subtest 'a session ends by goodbye, or silence; its commands are then unknown' => sub {
    my $session = open_session($client);
    is verdict(ask($client, item(RUN, op(PUT, 'bye', \1), session => $session, sequence => 1))), '0 0', 'open';
    is verdict(ask($client, item(GOODBYE, '', session => $session))), '0 0', 'goodbye';
    is verdict(ask($client, item(RUN, op(PUT, 'bye', \2), session => $session, sequence => 2))), '2 100', 'forgotten';
    is verdict(ask($client, item(RUN, op(GET, 'bye'), flags => QUERY, session => $session))), '2 100', 'for queries as well';
    is verdict(ask($client, item(GOODBYE, '', session => $session))), '2 100', 'and for a second goodbye';
    is verdict(ask($client, item(PING, '', session => $session))), '2 100', 'and for a ping that names it';
    is get($client, 'bye'), 1, 'nothing ran';
    my ($short, $long) = (open_session($client, 1), open_session($client, 60_000));
    my $open = status($client)->{sessions};
    ok wait_until { status($client)->{sessions} < $open }, 'a silent session ends';
    is verdict(ask($client, item(PING, '', session => $long))), '0 0', 'a ping is answered';
    is verdict(ask($client, item(RUN, op(PUT, 'bye', \3), session => $short, sequence => 1))), '2 100', 'the silent one is forgotten';
    is verdict(ask($client, item(RUN, op(PUT, 'bye', \4), session => $long, sequence => 1))), '0 0', 'the other is there';
};

subtest 'a plain REQ socket is served' => sub {
    my $req = dealer(ZMQ_REQ);
    for my $n (1 .. 3) {
        $req->send(message(item(RUN, op(ADD, 'req', \2))));
        is_deeply read_message($req->recv)->{items}[0]{lists}, [[2 * $n]], "request $n";
    }
    $req->send(substr message(item(PING, '')), 0, 40);
    is verdict(read_message($req->recv)->{items}[0]), '1 1', 'a broken one is answered, so it does not hang';
    $req->send_multipart([message(item(RUN, op(ADD, 'req', \2))), 'and more']);
    is verdict(read_message($req->recv)->{items}[0]), '1 1', 'nor does one with frames behind its body';
    $req->send(message(item(RUN, op(GET, 'req'), flags => QUERY)));
    is_deeply read_message($req->recv)->{items}[0]{lists}, [[6]], 'and neither was run';
    $req->close;
};

subtest 'relayed over a broker' => sub {
    my $broker_at = 'ipc://' . path('broker.sock');
    my $front     = $context->socket(ZMQ_ROUTER);
    $front->bind($broker_at);
    $front->set(ZMQ_RCVTIMEO, 'int', 1000 * seconds(10));
    my $back = dealer();
    my @behind = map { dealer(ZMQ_DEALER, $broker_at) } 1 .. 2;
    say_to($behind[$_], item(RUN, op(PUT, "relayed $_", \$_))) for 0, 1;
    $back->send_multipart([$front->recv_multipart]) for 1 .. 2;
    $front->send_multipart([$back->recv_multipart]) for 1 .. 2;
    is_deeply [map { receive($_)->{items}[0]{lists} } @behind], [[[0]], [[0]]], 'each client has its answer';
    is get($client, 'relayed 1'), 1, 'and its effect';
    $_->close for @behind, $front;

    for my $path (['one'], ['one', 'two'], [map { "frame $_" } 1 .. 7]) {
        $back->send_multipart([@$path, '', message(item(PING, ''))]);
        my @frames = $back->recv_multipart;
        is_deeply [@frames[0 .. $#frames - 1]], [@$path, ''], scalar(@$path) . ' more frames of return path come back';
    }
    $back->send_multipart([(map { "frame $_" } 1 .. 8), '', message(item(PING, ''))]);
    $back->send_multipart(['alone', '', message(item(PING, ''))]);
    is +($back->recv_multipart)[0], 'alone', 'a path of more than 8 frames is dropped';
    $back->close;
};

subtest 'large answers come in parts to who takes them' => sub {
    my $value = 'v' x 200_000;
    ask($client, item(RUN, op(PUT, 'large', $value)));
    my @gets = map { item(RUN, op(GET, 'large'), flags => QUERY, sequence => $_) } 1 .. 12;
    my $plain = dealer();
    my @answers = ask($plain, @gets);
    is_deeply [map { verdict($_) } @answers], [('0 0') x 5, ('1 10') x 7], 'one message holds five: the others are too large';
    is_deeply [map { $_->{message}{kind} } @answers], [(REPLY) x 12], 'in one message';
    is verdict(ask($plain, item(HELLO, list(\1, \1, 'parts'), flags => NOTICES))), '0 0', 'a hello with NOTICES';
    @answers = ask($plain, @gets);
    is_deeply [map { $_->{sequence} } grep { $_->{code} == 0 && $_->{lists}[0][0] eq $value } @answers], [1 .. 12],
        'then all are answered, in order';
    is_deeply [map { $_->{message}{kind} } @answers], [(REPLY_PART) x 10, (REPLY) x 2], 'in three messages';
    ask($plain, item(HELLO, list(\1, \1, 'parts')));
    is scalar(grep { verdict($_) eq '0 0' } ask($plain, @gets)), 5, 'until a hello without';
    $plain->close;
};

subtest 'the owner describes its operations and counts what it does' => sub {
    my @described = @{ ask($client, item(DESCRIBE, ''))->{lists} };
    is_deeply [map { $_->[1] } @described], [qw(get put delete add cas count insert replace get-many scan cas-revision
        put-for expire ttl bind check check-revision revision lock try-lock unlock holder check-lock)], 'operations by name';
    my %counter = map { $_->[0] => $_->[1] } @{ ask($client, item(STATS, ''))->{lists} };
    ok $counter{requests_repeated} >= 200 && $counter{requests_expired} >= 2, 'counters';
    is verdict(ask($client, item(LEAVING, ''))), '1 1', 'an item that is only for notices is malformed';
    is status($client)->{revision}, ask($client, item(PING, ''))->{revision}, 'status has the revision';
};

subtest 'a new incarnation has another history and knows no session' => sub {
    my $session = open_session($client);
    my $before  = ask($client, item(PING, ''))->{message};
    $owner->stop('KILL');
    $owner = start_owner('perl', '--drain', '30s');
    # What the old connection had in it is lost with it, so a fresh one asks.
    $client->close;
    $client = dealer();
    my $after = ask($client, item(PING, ''))->{message};
    ok $after->{incarnation} > $before->{incarnation}, 'a higher incarnation';
    isnt $after->{history}, $before->{history}, 'another history';
    is verdict(ask($client, item(RUN, op(PUT, 'x', \1), session => $session, sequence => 1))), '2 100',
        'a command of the old session: unknown, never run';
    is get($client, 'x'), undef, 'as the state shows';
};

subtest 'an owner that leaves tells who takes notices, and refuses what comes late' => sub {
    my $session = open_session($client);
    my $add = item(RUN, op(ADD, 'last', \1), session => $session, sequence => 1);
    ask($client, item(HELLO, list(\1, \1, 'leaving'), flags => NOTICES));
    ask($client, item(RUN, op(PUT, 'large', 'v' x 200_000)));
    my $answered = ask($client, $add);
    # A client that does not read keeps the owner from ending before this test has asked.
    my $holding = dealer(ZMQ_DEALER, $at, 1);
    say_to($holding, item(RUN, op(GET, 'large'), flags => QUERY)) for 1 .. 40;
    ok wait_until { status($client)->{'outbox-bytes'} > 0 }, 'replies wait for somebody who does not read';
    $owner->signal('TERM');
    my $notice = receive($client);
    is_deeply [@$notice{qw(kind tag count)}], [NOTICE, 0, 1], 'a notice arrives';
    is_deeply [@{ $notice->{items}[0] }{qw(kind code session sequence)}], [LEAVING, 12, 0, 0], 'leaving';
    my @answers = ask($client, item(RUN, op(ADD, 'last', \1), session => $session, sequence => 2), item(RUN, op(GET, 'last'), flags => QUERY), $add);
    is_deeply [map { verdict($_) } @answers[0, 1]], ['1 12', '1 12'], 'what comes later is refused, unrun';
    is $answers[2]{bytes}, $answered->{bytes}, 'what had run before is answered as before';
    is verdict(ask($client, item(OPEN, list(nonce(), \0)))), '1 12', 'no session opens';
    $holding->close;
    is $owner->finish(10), 0, 'and the owner ends well';
    # What somebody asks who does not read his answers waits with him, and most of it never runs.
    like $owner->{out}, qr/\Areads: [1-9]\d?, writes: 2\n\z/, 'with the totals of what ran';
};

$client->close;
done_testing;
