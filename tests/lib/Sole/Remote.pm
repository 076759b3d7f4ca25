# SPDX-License-Identifier: MIT
#
# Sole::Remote - owners on tcp and clients with keys, for tests; on loopback, at ports that the system chooses.
package Sole::Remote;

use strict;
use warnings;

use Exporter qw(import);
use File::Copy qw(copy);
use IO::Socket::INET;
use Sole::Test;
use Sole::Wire;
use ZMQ::FFI::Constants qw(:all);

our @EXPORT = qw(keygen let_in keys_of remote_owner keyed with_keys tcp_connect rules);

# Makes a pair of keys in the test's folder, unless it is there; returns its path.
sub keygen {
    my ($name) = @_;
    my $file = path($name);
    return $file if -e $file;
    my $made = run('sole', 'keygen', $file);
    die "no keys: $made->{err}" if $made->{status} != 0;
    return $file;
}

# Puts the public keys of those names into a folder of client keys, and returns that.
sub let_in {
    my ($folder, @names) = @_;
    $folder = path($folder);
    mkdir $folder, 0755;
    copy(keygen($_), "$folder/$_") or die "cannot copy a key: $!\n" for @names;
    return $folder;
}

# The public and the secret key of a pair, as Z85.
sub keys_of {
    my ($name) = @_;
    my $text = slurp(keygen($name) . '_secret');
    my ($public) = $text =~ /public-key = "(.{40})"/;
    my ($secret) = $text =~ /secret-key = "(.{40})"/;
    return ($public, $secret);
}

# A file of access: rules(NAME, 'key alice' => 'admin', ...). Returns its path.
sub rules {
    my ($name, @rules) = @_;
    my $text = '';
    while (my ($who, $right) = splice @rules, 0, 2) { $text .= "rule\n    who = $who\n    right = $right\n" }
    my $file = spew($name, $text);
    chmod 0600, $file;
    return $file;
}

# remote_owner(NAME, ARGUMENT ...): one that listens on loopback, too, at a free port. Returns the process and its
# endpoint. Without --in-the-clear it has keys of its own, "owner", and lets in who is in the folder "keys".
sub remote_owner {
    my ($name, @arguments) = @_;
    my $options = ref $arguments[0] ? shift @arguments : {};
    my $given = sub { my ($option) = @_; return scalar grep { $_ eq $option } @arguments };
    if (!$given->('--in-the-clear')) {
        push @arguments, '--key', keygen('owner') if !$given->('--key');
        push @arguments, '--client-keys', let_in('keys') if !$given->('--client-keys');
    }
    push @arguments, '--listen', 'tcp://127.0.0.1:*' if !$given->('--listen');
    push @arguments, '--access', rules("$name.rules", 'any key' => 'command', clear => 'command') if !$given->('--access');
    my $process = start_owner($options, $name, @arguments);
    $process->wait_output('err', qr/also at tcp:/);
    my ($endpoint) = $process->err =~ m{also at (tcp://\S+:\d+),} or die "it does not listen on tcp:\n" . $process->err;
    return ($process, $endpoint);
}

# keyed(ENDPOINT, NAME [, option => value ...]): a raw client with the keys of that name, as Sole::Wire's dealer. Option
# server: whose key the owner is taken to have.
sub keyed {
    my ($endpoint, $name, %option) = @_;
    my ($public, $secret) = keys_of($name);
    my ($server) = keys_of(delete $option{server} // 'owner');
    return dealer($endpoint, %option, setup => sub {
        my ($socket) = @_;
        $socket->set(ZMQ_CURVE_SERVERKEY, 'string', $server);
        $socket->set(ZMQ_CURVE_PUBLICKEY, 'string', $public);
        $socket->set(ZMQ_CURVE_SECRETKEY, 'string', $secret);
    });
}

# The options of a command that asks as NAME.
sub with_keys {
    my ($endpoint, $name) = @_;
    return ('-e', $endpoint, '--server-key', keygen('owner'), '--client-key', keygen($name));
}

sub tcp_connect {
    my ($endpoint) = @_;
    my ($host, $port) = $endpoint =~ m{tcp://(.*):(\d+)$};
    return IO::Socket::INET->new(PeerHost => $host, PeerPort => $port, Proto => 'tcp');
}

1;
