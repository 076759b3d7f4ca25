#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# probe.pl OWN OTHER HOME - tries what a sandbox is to deny, and prints a line for each: "what: allowed", or why not.
# OWN and OTHER are folders of this user, HOME one below /home.
use strict;
use warnings;
use POSIX ();
use Socket;

my ($own, $other, $home) = @ARGV;
my %number = map { $_->[0] => $_->[(POSIX::uname())[4] eq 'aarch64' ? 2 : 1] } (
    [unshare => 272, 97], [mmap => 9, 222], [ptrace => 101, 117], [personality => 135, 92], [setuid => 105, 146]);
my $CLONE_NEWUSER = 0x10000000;

sub try {
    my ($what, $code) = @_;
    $! = 0;
    print "$what: ", $code->() ? 'allowed' : $! || 'nothing there', "\n";
}

sub writes { my ($file) = @_; return open(OUT, ">", $file) && print(OUT "x") && close(OUT) }
sub call { my ($name, @arguments) = @_; return syscall($number{$name}, @arguments) != -1 }

$| = 1;
try('write in its own folder', sub { writes("$own/probe") });
try('write in the folder of another state', sub { writes("$other/probe") });
try('read in the folder of another state', sub { open my $in, '<', "$other/secret" });
try('read below /home', sub { open my $in, '<', "$home/secret" });
try('write in /var/tmp, seen outside', sub { writes('/var/tmp/seen') && open(my $in, '<', '/var/tmp/outside') });
try('a socket of TCP', sub { socket my $s, PF_INET, SOCK_STREAM, 0 });
try('a socket of packets of the kernel', sub { socket my $s, 16, SOCK_RAW, 0 });
try('a Unix socket', sub { socket my $s, PF_UNIX, SOCK_STREAM, 0 });
try('a namespace of users', sub { call('unshare', $CLONE_NEWUSER) });
try('memory that is written and run', sub { call('mmap', 0, 4096, 7, 0x22, -1, 0) });
try('another personality', sub { call('personality', 0x0040000) });
try('to trace a process', sub { call('ptrace', 0, 0, 0, 0) });
try('a file that runs as its owner', sub { writes("$own/suid") && chmod 04755, "$own/suid" });
my ($kept) = do { open my $in, '<', '/proc/self/status' or die; local $/; <$in> } =~ /^CapBnd:\s*(\w+)/m;
try('capabilities', sub { $kept =~ /[^0]/ });
