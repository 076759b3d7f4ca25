#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# How sessions end: at once with their process, by goodbye, by silence; and not with their
# connection. What they held goes with them, and watchers hear of it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time sleep);
use ZMQ::FFI::Constants qw(ZMQ_DONTWAIT);

my $client_script = spew('client.pl', <<'CLIENT');
use strict;
use warnings;
use lib $ARGV[0];
use Sole::Wire;
# Holds a lock and an entry of its own, waits for a second lock, and reads its input until that ends.
my $socket  = dealer($ARGV[1]);
ask($socket, item(HELLO, list(\1, \1, $ARGV[2]), flags => NOTICES));
my $session = open_session($socket);
my ($lock, $entry) = ask($socket, item(RUN, op(LOCK, "lock/$ARGV[2]"), session => $session, sequence => 1),
    item(RUN, op(BIND, "entry/$ARGV[2]", 'mine'), session => $session, sequence => 2));
die "no lock" if $lock->{code} != 0 || $entry->{code} != 0;
my $wait = ask($socket, item(RUN, op(LOCK, 'lock/wanted'), session => $session, sequence => 3));
$| = 1;
print "session $session code $wait->{code}\n";
while (defined(my $line = <STDIN>)) {
    if ($line eq "goodbye\n") { print 'goodbye ', ask($socket, item(GOODBYE, '', session => $session))->{code}, "\n" }
    if ($line eq "disconnect\n") { $socket->close; print "disconnected\n" }
}
$socket->close;
CLIENT

my $owner = start_owner('sessions');
my $test  = dealer(endpoint('sessions'));
my $watch = dealer(endpoint('sessions'));
ask($watch, item(HELLO, list(\1, \1, 'watch'), flags => NOTICES));
ask($watch, watch_item(1, ''));

my $mine = open_session($test);
is ask($test, item(RUN, op(LOCK, 'lock/wanted'), session => $mine, sequence => 1))->{code}, 0, 'the test holds a lock';

# All events that have come; waits for one that matches [kind, key].
my @events;
sub hears {
    my ($kind, $key) = @_;
    return wait_until {
        while (my $message = receive_message($watch, ZMQ_DONTWAIT)) {
            push @events, map { [@$_[2, 3]] } map { @{ $_->{lists} } } @{ $message->{items} };
        }
        scalar grep { $_->[0] eq $kind && $_->[1] eq $key } @events;
    };
}

# Session and token of the holder, and how many wait.
sub holder { return @{ ask($test, item(RUN, op(HOLDER, $_[0]), flags => QUERY))->{lists}[0] } }

sub client {
    my ($name) = @_;
    my $client = start({ name => "client-$name", notify => 0, stdin => 'pipe', env => { TMPDIR => folder() } }, $^X, $client_script, "$FindBin::Bin/lib",
        endpoint('sessions'), $name);
    $client->wait_output('out', qr/^session \d+ code 17$/m) or die "no client $name: " . $client->err;
    return $client;
}

sub gone {
    my ($name) = @_;
    my ($waiting) = (holder('lock/wanted'))[2];
    return !defined((holder("lock/$name"))[0]) && !defined get($test, "entry/$name") && $waiting == 0;
}

subtest 'a killed process' => sub {
    my @milliseconds;
    for my $round (1 .. 10) {
        my $client = client("killed$round");
        is get($test, "entry/killed$round"), 'mine', 'it has an entry' if $round == 1;
        is((holder('lock/wanted'))[2], 1, 'and waits in line') if $round == 1;
        my $start = time;
        $client->signal('KILL');
        wait_until { gone("killed$round") } or last;
        push @milliseconds, 1000 * (time - $start);
    }
    is scalar @milliseconds, 10, 'ten times: its locks, its entries and its place in line go with it';
    my $median = (sort { $a <=> $b } @milliseconds)[5];
    cmp_ok $median, '<', 1000 * seconds(0.5), 'at once';
    note sprintf 'median %.1f ms', $median;
    ok hears('end', 'entry/killed10'), 'watchers hear of the entry';
    ok hears('unlock', 'lock/killed10'), 'and of the lock';
    is counters($test)->{sessions_died}, 10, 'it is counted';
};

subtest 'a lock goes to the next in line when its holder is killed' => sub {
    my $client = client('holder');
    my $next   = dealer(endpoint('sessions'));
    ask($next, item(HELLO, list(\1, \1, 'next'), flags => NOTICES));
    my $session = open_session($next);
    my $before = (holder('lock/holder'))[1];
    is ask($next, item(RUN, op(LOCK, 'lock/holder'), session => $session, sequence => 1))->{code}, 17, 'somebody waits';
    $client->signal('KILL');
    my $late = receive_message($next);
    is $late->{kind}, 3, 'it is told without asking';
    is $late->{items}[0]{code}, 0, 'that it holds it';
    cmp_ok $late->{items}[0]{lists}[0][0], '>', $before, 'with a higher token';
    ask($next, item(GOODBYE, '', session => $session));
    $next->close;
};

subtest 'goodbye' => sub {
    my $client = client('polite');
    $client->say("goodbye\n");
    ok $client->wait_output('out', qr/^goodbye 0$/m), 'is answered';
    ok gone('polite'), 'and everything had gone by then';
    is counters($test)->{sessions_goodbye}, 2, 'it is counted';
    $client->close_input;
    $client->finish;
};

subtest 'a lost connection' => sub {
    my $client = client('reconnecting');
    $client->say("disconnect\n");
    $client->wait_output('out', qr/^disconnected$/m);
    wait_until { status($test)->{connections} <= 2 };
    is get($test, 'entry/reconnecting'), 'mine', 'ends no session';
    is((holder('lock/wanted'))[2], 1, 'nor what waits');
    $client->signal('KILL');
    ok wait_until { gone('reconnecting') }, 'the end of its process does';
};

subtest 'silence' => sub {
    my $quiet   = dealer(endpoint('sessions'));
    my $session = open_session($quiet, 1000);
    is ask($quiet, item(RUN, op(BIND, 'entry/quiet', 'mine'), session => $session, sequence => 1))->{code}, 0, 'an entry';
    my $start = time;
    while (time - $start < 1.6) {
        ask($quiet, item(PING, '', session => $session));
        sleep 0.1;
    }
    is get($test, 'entry/quiet'), 'mine', 'stays while its client is heard';
    $start = time;
    ok wait_until { !defined get($test, 'entry/quiet') }, 'and goes when it is silent';
    cmp_ok time - $start, '>', 0.9, 'for as long as it said';
    is ask($quiet, item(RUN, op(ADD, 'n', \1), session => $session, sequence => 2))->{code}, 100, 'what comes later is not run';
    is counters($test)->{sessions_silent}, 1, 'it is counted';
    $quiet->close;
};

subtest 'a process that ended before the owner could look' => sub {
    for my $round (1 .. 20) {
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            $ENV{TMPDIR} = folder();
            exec $^X, '-e', <<'BRIEF', "$FindBin::Bin/lib", endpoint('sessions'), $round;
use lib $ARGV[0]; use Sole::Wire; use POSIX ();
my $socket = dealer($ARGV[1]);
send_body($socket, message(item(OPEN, list(pack('a16', "brief$ARGV[2]"), \0)), item(RUN, op(BIND, "entry/brief", 'x'), session => OPENED, sequence => 1)));
receive_body($socket); POSIX::_exit(0);
BRIEF
        }
        waitpid $pid, 0;
    }
    ok wait_until { status($test)->{sessions} == 1 }, 'leaves no session behind';
    ok !defined get($test, 'entry/brief'), 'and no entry';
};

$_->close for $test, $watch;
is $owner->stop, 0, 'the owner ends well';
done_testing;
