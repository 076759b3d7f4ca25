#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A watcher hears of a hundred thousand changes each once and in order, though its connection is
# cut five times in the middle.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);

use constant { CHANGES => 100_000, AT_ONCE => 1000, CUTS => 5 };

# The relay is started before there is a ZeroMQ context to be inherited.
my $owner = start_owner('watched');
my $relay = start({ notify => 0, stdin => 'pipe' }, $^X, "$FindBin::Bin/lib/Sole/relay.pl", path('relay.sock'), path('watched.sock'));
$relay->wait_output('out', qr/^ready$/m) or die 'no relay: ' . $relay->err;

my $writer = dealer(endpoint('watched'));
my $history = do { my $told = status($writer); unpack 'q>', pack 'H*', $told->{history} };

# The next thousand changes: of many requests, or of one; among others that nobody watches.
my $written = 0;
sub write_some {
    my @operations = map { (op(PUT, 'k/' . $_ % 7, \$_), $_ % 10 ? () : op(PUT, 'other', \$_)) } $written .. $written + AT_ONCE - 1;
    my @requests;
    push @requests, [splice @operations, 0, $written % 2000 ? 1000 : 3] while @operations;
    while (@requests) {
        my @answers = ask($writer, map { item(RUN, join '', @$_) } splice @requests, 0, 900);
        die "a change was refused\n" if grep { $_->{code} != 0 } @answers;
    }
    $written += AT_ONCE;
}

subtest 'by the protocol' => sub {
    my ($expected, $revision, $index, $messages, $connections) = (0, 1, -1, 0, 0);
    my ($watcher, $broken);

    my $begin = sub {
        $watcher->close if $watcher;
        $watcher = dealer(endpoint('watched'), receive => 4);
        ask($watcher, item(HELLO, list(\1, \1, 'watcher'), flags => NOTICES));
        send_body($watcher, message(watch_item(7, 'k/', $history, $revision, $index + 1)));
        my $answer = receive_message($watcher)->{items}[0];
        die "no watch: $answer->{code}\n" if $answer->{kind} != WATCH || $answer->{code} != 0;
        $connections++;
    };
    # What has come, in order; stops after `most` messages.
    my $hear = sub {
        my ($most, $flags) = @_;
        while ($most-- > 0) {
            my $message = receive_message($watcher, $flags) // return;
            my $item = $message->{items}[0];
            die "not events: kind $item->{kind}, code $item->{code}\n"
                if $message->{kind} != 3 || $item->{kind} != EVENTS || $item->{code} != 0 || $item->{sequence} != 7;
            $messages++;
            for my $event (@{ $item->{lists} }) {
                my ($r, $i, $kind, $key, $value) = @$event;
                $broken //= "$value and not $expected" if $value != $expected || $kind ne 'put' || $key ne 'k/' . $expected % 7;
                $broken //= "$r.$i after $revision.$index" if $r < $revision || ($r == $revision && $i <= $index);
                ($revision, $index) = ($r, $i);
                $expected++;
            }
        }
    };
    $begin->();
    my $dontwait = ZMQ::FFI::Constants::ZMQ_DONTWAIT();
    while ($written < CHANGES) {
        write_some();
        # A cut loses what is on the way.
        if ($written % (CHANGES / (CUTS + 1)) < AT_ONCE && $written < CHANGES - AT_ONCE && $connections <= CUTS) { $begin->() }
        else { $hear->($written / AT_ONCE % 3, $dontwait) }
    }
    my $end = time + seconds(60);
    $hear->(1, 0) while $expected < CHANGES && !$broken && time < $end;
    is $connections, CUTS + 1, 'the connection was cut five times';
    is $broken, undef, 'each event is the one expected next';
    is $expected, CHANGES, 'a hundred thousand were heard';
    is receive_body($watcher, $dontwait), undef, 'and nothing more';
    note "$messages messages";
    $watcher->close;
};

subtest 'by the command line' => sub {
    my $start = status($writer);
    my $place = "$start->{history}:" . ($start->{revision} + 1);
    my $watch = start({ name => 'watch', notify => 0 }, 'sole', '-e', 'ipc://' . path('relay.sock'), 'watch', '-v',
        '--from', $place, '--count', CHANGES, 'k/');
    $watch->wait_output('err', qr/watching from/) or die 'no watch: ' . $watch->err;
    $written = 0;
    my $cuts = 0;
    while ($written < CHANGES) {
        write_some();
        next if $written % (CHANGES / (CUTS + 1)) >= AT_ONCE || $cuts == CUTS;
        $relay->say("cut\n");
        $cuts++;
        wait_until { (() = $relay->out =~ /^cut$/mg) == $cuts } or die "the relay does not cut\n";
    }
    is $watch->finish(60), 0, 'it ends when it has heard a hundred thousand';
    is $cuts, CUTS, 'the connection was cut five times';
    cmp_ok scalar(() = $relay->out =~ /^connected$/mg), '>=', CUTS + 1, 'and made anew each time';
    my $number = 0;
    my $wrong;
    for (split /\n/, $watch->out) {
        $wrong //= "line $number is '$_'" if $_ ne join "\t", 'put', 'k/' . $number % 7, $number;
        $number++;
    }
    is $wrong, undef, 'each line is the one expected next';
    is $number, CHANGES, 'and none is missing';
};

my $counters = counters($writer);
cmp_ok $counters->{events_sent}, '>', 2 * +CHANGES, 'what was lost on the way was sent again';
is $counters->{watches_behind}, 0, 'nobody fell behind';
$writer->close;
is $owner->stop, 0, 'the owner ends well';
done_testing;
