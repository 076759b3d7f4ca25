# SPDX-License-Identifier: MIT
#
# Sole::Raw - ZMTP 3.0 over a Unix socket, by hand: sole-protocol(7) begins where this ends.
#
# For tests that send what no ZeroMQ library would, or want to see each byte and each end.
package Sole::Raw;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Sole::Test;
use Sole::Wire;
use Time::HiRes qw(time);

our @EXPORT = qw(
    GREETING raw_connect raw_write raw_read raw_frame raw_handshake raw_ping raw_client raw_closed
);

sub raw_connect {
    my ($name) = @_;
    return IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => path("$name.sock"));
}

# All of it, or false: closed by the other side, or no progress within the limit.
sub raw_write {
    my ($socket, $bytes) = @_;
    my $end = time + seconds(10);
    $socket->blocking(0);
    while (length $bytes) {
        my $wrote = syswrite $socket, $bytes;
        if (defined $wrote) {
            substr $bytes, 0, $wrote, '';
        } elsif (!$!{EAGAIN}) {
            return 0;
        } else {
            IO::Select->new($socket)->can_write($end - time > 0 ? $end - time : 0) or return 0;
        }
    }
    return 1;
}

# Exactly so many bytes; undef when the other side closed, or they do not come.
sub raw_read {
    my ($socket, $size, $limit) = @_;
    my ($end, $bytes) = (time + seconds($limit // 10), '');
    while (length $bytes < $size) {
        IO::Select->new($socket)->can_read($end - time > 0 ? $end - time : 0) or return;
        sysread($socket, $bytes, $size - length $bytes, length $bytes) or return;
    }
    return $bytes;
}

sub raw_frame {
    my ($flags, $bytes) = @_;
    return length $bytes < 256 ? pack('C C/a*', $flags, $bytes) : pack('C Q>/a*', $flags | 2, $bytes);
}

use constant GREETING => pack 'C x8 C C C a20 C x31', 0xff, 0x7f, 3, 0, 'NULL', 0;

sub raw_handshake {
    my ($socket) = @_;
    my $ready = pack 'C/a* C/a* N/a*', 'READY', 'Socket-Type', 'DEALER';
    raw_write($socket, GREETING . raw_frame(4, $ready)) or return 0;
    raw_read($socket, 64) // return 0;
    my ($flags, $size) = unpack 'C C', raw_read($socket, 2) // return 0;
    return $flags == 4 && defined raw_read($socket, $size);
}

# A ping and its answer: 65 bytes, two short frames.
sub raw_ping {
    my ($socket) = @_;
    raw_write($socket, raw_frame(1, '') . raw_frame(0, message(item(PING, '')))) or return 0;
    my $answer = raw_read($socket, 2 + 2 + 65) // return 0;
    return read_message(substr $answer, 4)->{items}[0]{code} == 0;
}

sub raw_client {
    my ($name) = @_;
    my $socket = raw_connect($name) // return;
    return raw_handshake($socket) && raw_ping($socket) ? $socket : undef;
}

# True when the other side closes it; what it sends before is ignored.
sub raw_closed {
    my ($socket, $limit) = @_;
    my $end = time + seconds($limit // 10);
    $socket->blocking(0);
    for (;;) {
        IO::Select->new($socket)->can_read($end - time > 0 ? $end - time : 0) or return 0;
        my $got = sysread $socket, my $bytes, 65536;
        return 1 if defined $got ? $got == 0 : !$!{EAGAIN};
    }
}

1;
