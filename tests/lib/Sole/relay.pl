#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# relay.pl LISTEN TARGET - carries bytes between Unix sockets, so that a test can cut a connection
# that it does not hold itself. A line "cut" on standard input closes all; each connection that
# begins is told by a line on standard output, and so is each cut.
use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM SOMAXCONN);

my ($listen, $target) = @ARGV;
my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $listen, Listen => SOMAXCONN) or die "cannot listen: $!\n";
my ($read, %other, %waiting) = (IO::Select->new($server, \*STDIN));
$| = 1;
$SIG{PIPE} = 'IGNORE';
print "ready\n";

sub forget {
    my @both = grep { defined } $_[0], $other{ $_[0] };
    for my $end (@both) {
        $read->remove($end);
        delete $other{$end};
        delete $waiting{$end};
        close $end;
    }
}

while (1) {
    my $write = IO::Select->new(map { $_->[0] } values %waiting);
    my ($readable, $writable) = IO::Select->select($read, $write, undef);
    for my $end (@{ $writable // [] }) {
        my $wait = $waiting{$end} or next;
        my $wrote = syswrite $end, $wait->[1];
        if (!defined $wrote) { forget($end) if !$!{EAGAIN}; next }
        substr $wait->[1], 0, $wrote, '';
        next if length $wait->[1];
        delete $waiting{$end};
        $read->add($other{$end}) if $other{$end};    # its source is read on
    }
    for my $end (@{ $readable // [] }) {
        if ($end == $server) {
            my $client = $server->accept or next;
            my $owner  = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $target) or do { close $client; next };
            $_->blocking(0) for $client, $owner;
            @other{ $client, $owner } = ($owner, $client);
            $read->add($client, $owner);
            print "connected\n";
        } elsif ($end == \*STDIN) {
            my $line = <STDIN> // exit 0;
            my @all = ((grep { $_ != $server && $_ != \*STDIN } $read->handles), map { $_->[0] } values %waiting);
            forget($_) for grep { defined fileno $_ } @all;
            print "cut\n";
        } elsif ($other{$end}) {
            my $to = $other{$end};
            my $got = sysread $end, my $bytes, 65536;
            if (!$got) { forget($end) if defined $got || !$!{EAGAIN}; next }
            my $wrote = syswrite($to, $bytes) // ($!{EAGAIN} ? 0 : -1);
            if ($wrote < 0) { forget($end); next }
            next if $wrote == length $bytes;
            $waiting{$to} = [$to, substr $bytes, $wrote];
            $read->remove($end);
        }
    }
}
