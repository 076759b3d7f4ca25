#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# other.pl UID GID ENDPOINT [LOOK] - somebody else, who speaks to an owner raw: becomes that user, connects, sends each
# line of standard input (a body in hexadecimal) and prints the reply (the same), or "nothing" after a while. What
# comes unasked is printed when a line is "hear".
#
# It loads what it needs while it may still read it.
use strict;
use warnings;

use POSIX ();
use ZMQ::FFI;
use ZMQ::FFI::Constants qw(:all);

my ($uid, $gid, $endpoint, $patience_ms) = @ARGV;
if ($gid != $( + 0 || $uid != $>) {
    $) = "$gid $gid";
    POSIX::setgid($gid) or die "setgid: $!\n";
    POSIX::setuid($uid) or die "setuid: $!\n";
}
$| = 1;
my $context = ZMQ::FFI->new;
my $socket = $context->socket(ZMQ_DEALER);
$socket->die_on_error(0);
$socket->set(ZMQ_RCVTIMEO, 'int', $patience_ms // 10_000);
$socket->set(ZMQ_LINGER, 'int', 0);
$socket->connect($endpoint);
while (my $line = <STDIN>) {
    chomp $line;
    if ($line ne 'hear') {
        $socket->send('', ZMQ_SNDMORE);
        $socket->send(pack 'H*', $line);
    }
    my $frame = $socket->recv;
    $frame = $socket->recv if defined $frame;
    print defined $frame ? unpack('H*', $frame) : 'nothing', "\n";
}
$socket->close;
