#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Bad input: a hundred thousand broken messages through raw sockets. Each with a
# readable header is answered, in order and over the way it came; all others are
# counted, to the unit; and a client beside them, in a process of its own, has
# every answer right and in time.
#
#   SEED=n       replays a run; each run prints its seed
#   MESSAGES=n   how many, instead of 100000
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time sleep);
use ZMQ::FFI::Constants qw(:all);

use constant {
    SOCKETS     => 4,
    UNDER_WAY   => 200,      # answers that a socket waits for at the most
    LATE        => 2,        # seconds, for the client beside
    ITEMS_MOST  => 1024,
    PATH_MOST   => 7,        # frames that a peer may put before the delimiter
    MESSAGE_MOST => 1 << 20,
};

my $messages = $ENV{MESSAGES} // 100_000;
my $seed     = $ENV{SEED} // (time * 1000 ^ $$) % 1_000_000_000;
srand $seed;
diag("SEED=$seed");

# ---- the client beside ----

# In a child, until the pipe is closed: counts up in a session and reads back. Writes one line:
# how many answers, the longest wait, and what was wrong first.
sub well_behaved {
    my ($stop, $tell) = @_;
    my ($answers, $longest, $wrong) = (0, 0, '');
    my $check = sub {
        my ($got, $expected) = @_;
        $wrong ||= "$got instead of $expected" if ($got // 'none') ne $expected;
        $answers++;
    };
    eval {
        my $client  = dealer(endpoint('garbage'));
        my $session = ask($client, item(OPEN, list(pack('a16', "well $$"), \0)))->{session};
        my $select  = IO::Select->new($stop);
        for (my $n = 1; !$wrong && !$select->can_read(0.001); $n++) {
            my $start = time;
            my ($add, $get) = ask($client,
                item(RUN, op(ADD, 'well', \1), session => $session, sequence => $n),
                item(RUN, op(GET, 'well'), flags => QUERY));
            $longest = time - $start if time - $start > $longest;
            $check->($add->{lists}[0][0], $n);
            $check->($get->{lists}[0][0], $n);
        }
        1;
    } or $wrong ||= $@;
    syswrite $tell, sprintf "%d %.3f %s\n", $answers, $longest, $wrong =~ s/\n//gr;
}

# ---- what an owner makes of a message, by sole-protocol(7) ----

# 'dropped', 'broken' (answered: malformed or version), or 'sound'; and the index of the body.
sub judge {
    my (@frames) = @_;
    my $delimiter = 0;
    $delimiter++ while $delimiter <= PATH_MOST && $delimiter < @frames && length $frames[$delimiter];
    my $at = $delimiter + 1;
    return ('dropped') if $delimiter > PATH_MOST || $at >= @frames || length $frames[$at] < 32;
    my ($magic, $version, $kind, $count, $rest) = unpack 'a4 C C S< x24 a*', $frames[$at];
    return ('dropped') if $magic ne 'SOLE';
    return ('broken', $at) if $version != 1 || $kind != 1 || $count < 1 || $count > ITEMS_MOST || $at != $#frames;
    for (1 .. $count) {
        return ('broken', $at) if length $rest < 32;
        my $size = unpack 'L<', $rest;
        return ('broken', $at) if $size < 32 || $size > length $rest;
        substr $rest, 0, $size, '';
    }
    return (length $rest ? 'broken' : 'sound', $at);
}

# ---- making messages ----

sub one_of { return $_[rand @_] }
sub random_bytes { return join '', map { chr int rand 256 } 1 .. $_[0] }
sub below { return int rand $_[0] }
sub random_u64 { return below(1 << 32) << 32 | below(1 << 32) }

sub key { return 'junk ' . below(50) }
sub argument { return one_of(undef, \below(1000), random_bytes(below(20))) }

# A sound item. State, sessions and sequences are nobody's but this test's.
sub sound_item {
    my $kind = one_of(HELLO, OPEN, GOODBYE, (RUN) x 8, CANCEL, PING, STATUS, DESCRIBE);
    my %field = (sequence => below(100), deadline => one_of(0, 0, 0, 1, random_u64()), window => below(300));
    return item(HELLO, list(\1, \1, 'garbage'), %field) if $kind == HELLO;
    return item(OPEN, list(random_bytes(16), \below(5000)), %field) if $kind == OPEN;
    return item($kind, '', %field, session => random_u64()) if $kind == GOODBYE;
    return item($kind, '', %field, flags => one_of(0, QUERY)) if $kind != RUN;
    return item(RUN, join('', map { op(GET, key()) } 1 .. 1 + below(3)), %field, flags => QUERY) if below(3) == 0;
    return item(RUN, join('', map { sound_operation() } 1 .. 1 + below(3)), %field);
}

sub sound_operation {
    return one_of(
        op(GET, key()), op(PUT, key(), \below(100)), op(PUT, key(), random_bytes(below(40))), op(DELETE, key()),
        op(ADD, key(), \below(100)), op(CAS, key(), argument(), argument()), op(COUNT));
}

sub sound { return map { sound_item() } 1 .. 1 + below(4) }

sub flipped {
    my ($bytes) = @_;
    for (0 .. below(8)) {
        my $at = below(8 * length $bytes);
        vec($bytes, $at, 1) ^= 1;
    }
    return $bytes;
}

# Each returns the frames to send, and the code that the first item's answer must have, when it
# is certain.
my @broken = (
    ['wrong magic'   => sub { ['', message({ magic => random_bytes(4) }, sound())] }],
    ['wrong version' => sub { (['', message({ version => one_of(0, 2 .. 255) }, sound())], 2) }],
    ['wrong kind'    => sub { (['', message({ kind => one_of(0, 2 .. 255) }, sound())], 1) }],
    ['short'         => sub { my $body = message(sound()); ['', substr $body, 0, below(length $body)] }],
    ['long'          => sub { (['', message(sound()) . random_bytes(1 + below(100))], 1) }],
    ['sizes'         => sub {
        my $size = one_of(0 .. 31, 0x7fffffff, 0x80000000, 0xffffffe0, 0xffffffff, 1 << 20, random_u64() & 0xffffffff);
        ['', message(sound(), item(PING, '', size => $size), sound())];
    }],
    ['counts' => sub { my @items = sound(); (['', message({ count => one_of(0, @items + 1, 1024, 1025, 65535) }, @items)], 1) }],
    ['unknown kinds of items' => sub { (['', message(item(one_of(0, 24 .. 255), random_bytes(below(40)), session => 0))], 1) }],
    ['unknown operations' => sub { (['', message(item(RUN, op(one_of(0, 25 .. 65535), argument())))], 3) }],
    ['wrong arguments' => sub {
        my $operation = one_of(op(GET, \1), op(GET, undef), op(PUT, 'k', undef), op(PUT, \1, \1), op(ADD, 'k', 'x'),
            op(ADD, 'k', undef), op(CAS, undef, \1, \1), op(GET), op(GET, 'a', 'b'), op(COUNT, \1), op(PUT, 'k'));
        (['', message(item(RUN, $operation))], 4);
    }],
    ['lists of 255 values' => sub { (['', message(item(RUN, op(one_of(1 .. 6), map { argument() } 1 .. 255)))], 4) }],
    ['lists that end early' => sub { (['', message(item(RUN, pack 'S< C a*', one_of(1 .. 6), 1 + below(255), pack 'C', 1))], 1) }],
    ['values of unknown types' => sub { (['', message(item(RUN, pack 'S< C C a*', 1, 1, 3 + below(253), random_bytes(8)))], 1) }],
    ['bytes beyond the end' => sub {
        my $told = one_of(9, 100, 0x7fffffff, 0xffffffff);
        (['', message(item(RUN, pack 'S< C C L< a8', 1, 1, 2, $told, 'x' x 8))], 1);
    }],
    ['keys too long'     => sub { (['', message(item(RUN, op(PUT, 'k' x (1025 + below(100)), \1)))], 10) }],
    ['no operation'      => sub { (['', message(item(RUN, ''))], 4) }],
    # With a sequence that no cancel here names.
    ['commands as query' => sub { (['', message(item(RUN, op(PUT, key(), \1), flags => QUERY, sequence => 1000))], 4) }],
    ['payloads at random' => sub { ['', message(map { item(one_of(1 .. 9), random_bytes(below(60)), flags => below(256) & ~NOTICES) } 0 .. below(3))] }],
    ['no delimiter'      => sub { my $body = message(sound()); one_of([$body], ['x', $body], ['a', 'b', $body], [random_bytes(10)]) }],
    ['empty frames'      => sub { one_of([''], ['', ''], ['', '', ''], ['x', '', ''], ['', '', message(sound())], [('') x 20]) }],
    ['long return paths' => sub { [(map { random_bytes(1 + below(300)) } 1 .. below(20)), '', message(sound())] }],
    ['frames behind the body' => sub { (['', message(sound()), map { random_bytes(below(50)) } 0 .. below(5)], 1) }],
    ['flipped bits'      => sub { ['', flipped(message(sound()))] }],
    ['flipped bits'      => sub { ['', flipped(message(sound()))] }],
    ['random bytes'      => sub { ['', random_bytes(below(200))] }],
    ['random bytes behind a header' => sub { ['', message({ count => 1 + below(3) }, random_bytes(below(200)))] }],
    ['random frames'     => sub { [map { random_bytes(below(4)) } 0 .. below(12)] }],
);

# These are large, and so are few.
my @large = (
    ['as many items as there may be' => sub { ['', message((item(PING, '')) x ITEMS_MOST)] }],
    ['one item too many' => sub { (['', message((item(PING, '')) x (ITEMS_MOST + 1))], 1) }],
    ['more operations than there may be' => sub { (['', message(item(RUN, op(COUNT) x 1025))], 10) }],
    ['a body of the largest size' => sub { (['', message(item(RUN, "\0" x (MESSAGE_MOST - 64)))], 3) }],
    ['a value too long' => sub { (['', message(item(RUN, op(PUT, key(), 'v' x 262_145)))], 10) }],
);

# ---- sending and checking ----

my (%sent, %expected, @wrong);
my ($answered, $malformed) = (0, 0);

sub wrong { my ($what) = @_; push @wrong, $what; return }

sub check {
    my ($socket, @frames) = @_;
    my $next = shift @{ $socket->{expected} } // return wrong('an answer to nothing');
    my ($name, $tag, $code, $path, $kind) = @$next;
    my $reply = eval { read_message($frames[-1]) } // return wrong("$name: an answer that cannot be read: $@");
    $answered++;
    return wrong("$name: the answer has another tag") if $reply->{tag} != $tag;
    return wrong("$name: the answer came another way") if join('|', @frames[0 .. $#frames - 1]) ne $path;
    return wrong("$name: an answer without an item") if !@{ $reply->{items} };
    my $item = $reply->{items}[0];
    return wrong("$name: code $item->{code} instead of $code") if defined $code && $item->{code} != $code;
    return wrong("$name: broken, and not refused") if $kind eq 'broken' && $item->{outcome} != 1;
    return;
}

# Takes in answers: all that are there, and so many that at most `most` are awaited.
sub drain {
    my ($socket, $most) = @_;
    my $zmq = $socket->{zmq};
    for (;;) {
        my $must = @{ $socket->{expected} } > $most;
        my $frame = $zmq->recv($must ? 0 : ZMQ_DONTWAIT);
        if (!defined $frame) {
            die "no answer to '$socket->{expected}[0][0]'\n" if $must;
            return;
        }
        my @frames = ($frame);
        push @frames, $zmq->recv while $zmq->get(ZMQ_RCVMORE, 'int');
        check($socket, @frames);
    }
}

sub send_frames {
    my ($socket, $name, $frames, $code) = @_;
    my ($kind, $at) = judge(@$frames);
    $sent{$name}++;
    $malformed++ if $kind ne 'sound';
    if ($kind ne 'dropped') {
        my $tag = unpack 'x8 Q<', $frames->[$at];
        push @{ $socket->{expected} }, [$name, $tag, $code, join('|', @$frames[0 .. $at - 1]), $kind];
        $expected{$kind}++;
    }
    my $zmq  = $socket->{zmq};
    my $last = $#$frames;
    $zmq->send($frames->[$_], $_ < $last ? ZMQ_SNDMORE : 0) for 0 .. $last;
}

# ---- the test ----

my $owner = start_owner('garbage');

# Forked before this process has a ZeroMQ context.
pipe my $stop_read, my $stop_write or die "pipe: $!\n";
pipe my $told, my $tell or die "pipe: $!\n";
my $beside = fork // die "fork: $!\n";
if ($beside == 0) {
    close $stop_write;
    well_behaved($stop_read, $tell);
    POSIX::_exit(0);
}
close $_ for $stop_read, $tell;

my $client = dealer(endpoint('garbage'));
ok wait_until { (get($client, 'well') // 0) > 0 }, 'a client works beside';
my $before  = counters($client);
my @sockets = map { { zmq => dealer(endpoint('garbage'), send => 0, receive => 0), expected => [] } } 1 .. SOCKETS;

my $start = time;
eval {
    for my $n (1 .. $messages) {
        my $socket = $sockets[$n % SOCKETS];
        my ($name, $make) = @{ $n % 2000 ? $broken[rand @broken] : $large[($n / 2000) % @large] };
        send_frames($socket, $name, $make->());
        drain($socket, UNDER_WAY) if $n % 32 < SOCKETS || @{ $socket->{expected} } > UNDER_WAY;
    }
    drain($_, 0) for @sockets;
    1;
} or wrong("message with a readable header: $@");
note(sprintf '%d messages in %.1f s', $messages, time - $start);

is_deeply [@wrong > 5 ? @wrong[0 .. 4] : @wrong], [], 'each message with a readable header is answered, rightly and in order';
is $answered, $expected{broken} + $expected{sound}, 'as many answers as such messages';
my $after = counters($client);
is $after->{messages_malformed} - $before->{messages_malformed}, $malformed, 'all that are not sound are counted';
is $after->{outbox_drops}, 0, 'no answer was dropped';
ok((grep { $sent{ $_->[0] } } @broken) == @broken, 'of every sort there were some');
note(sprintf '%-40s %d', $_, $sent{$_}) for sort keys %sent;
note("answered: sound $expected{sound}, broken $expected{broken}; dropped " . ($messages - $answered));

subtest 'a body that is too large ends its connection, and nothing else' => sub {
    for my $size (MESSAGE_MOST + 1, 3 * MESSAGE_MOST) {
        my $rude = dealer(endpoint('garbage'));
        ok defined ask($rude, item(PING, '')), 'connected';
        my $connections = counters($client)->{connections_opened};
        send_body($rude, message(item(RUN, 'x' x ($size - 64))));
        ok wait_until { counters($client)->{connections_opened} > $connections }, "after $size bytes it has to connect anew";
        my @again = ask($rude, item(PING, ''));
        is $again[0]{code}, 0, 'and is served again';
        $rude->close;
    }
};

close $stop_write;
my $line = readline $told // '';
waitpid $beside, 0;
my ($answers, $longest, $problem) = $line =~ /^(\d+) (\S+) (.*)$/;
is $problem, '', 'the client beside had every answer right';
cmp_ok $answers // 0, '>=', 20, 'while it asked all the time';
cmp_ok $longest // 1e9, '<', seconds(LATE), 'and none came late';
note("the client beside: $answers answers, the longest wait $longest s");

is get($client, 'well'), $answers / 2, 'its commands ran once each';
ok $owner->running, 'the owner is up';
is $owner->stop, 0, 'and ends well';
my $refusals = $owner->{err} =~ s/^sole-owner: access: refused .*\n//mg;
cmp_ok $refusals, '<', 40, 'it told in few lines whom it refused';
is $owner->{err} =~ tr/\n//, 2, '... and had nothing else to say but that it began and that it leaves';
done_testing;
