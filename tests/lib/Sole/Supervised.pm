# SPDX-License-Identifier: MIT
#
# Sole::Supervised - what the supervisor's tests share: files of children that do
# what they are told (child.pl), and the control socket spoken by hand.
package Sole::Supervised;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Socket::UNIX;
use Sole::Test;

our @EXPORT = qw(word child supervised write_file ask status_of marks wait_marks wait_up stop_well);

my $script = dirname(abs_path(__FILE__)) . '/child.pl';

# A path as one word of a command. Not in quotes: ZPL would take the first one of a line for its own.
sub word { my ($path) = @_; return $path =~ s/ /\\ /gr }

# child(NAME, 'steps', SETTING => VALUE ...): the lines of one child. The steps
# are words of child.pl; "FILE:x" in them is a path in the test's folder.
sub child {
    my ($name, $steps, @settings) = @_;
    $steps =~ s/FILE:(\S+)/"'" . path($1) . "'"/ge;
    my $text = "child = $name\n    command = $^X " . word($script) . " $steps\n";
    while (my ($key, $value) = splice @settings, 0, 2) {
        $text .= $key eq 'environment'
            ? "    environment\n" . join('', map { "        $_\n" } @$value)
            : "    $key = $value\n";
    }
    return $text;
}

# Writes NAME.zpl.
sub write_file {
    my ($name, @parts) = @_;
    return spew("$name.zpl", join '', @parts);
}

# Starts a supervisor of these parts; its name is `name`.
sub supervised {
    my ($name, @parts) = @_;
    my $options = ref $parts[-1] eq 'HASH' ? pop @parts : {};
    return start($options, 'sole-supervisor', @{ $options->{arguments} // [] }, write_file($name, @parts));
}

# One request over the control socket; returns the answer's lines.
sub ask {
    my ($name, $request) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => path("$name.supervisor")) or return "cannot connect: $!";
    $socket->print("$request\n");
    $socket->flush;
    local $SIG{ALRM} = sub { die "no answer to '$request'\n" };
    alarm seconds(20);
    my @lines = <$socket>;
    alarm 0;
    chomp @lines;
    return @lines;
}

# The columns of a process in the table: pid, state, up, restarts, ops/s, status.
sub status_of {
    my ($name, $process) = @_;
    for (ask($name, 'status')) {
        my @columns = split ' ', $_, 7;
        return @columns[1 .. 6] if $columns[0] eq "+$process";
    }
    return;
}

# The lines of a file of marks, as [name, pid].
sub marks {
    my ($file) = @_;
    return map { [split] } split /\n/, slurp(path($file));
}

# Waits until the file has so many.
sub wait_marks {
    my ($file, $count) = @_;
    wait_until { my @marks = marks($file); @marks >= $count } 20;
    return marks($file);
}

# Waits until all are ready.
sub wait_up {
    my ($supervisor) = @_;
    return $supervisor->wait_output('err', qr/all \d+ children are ready/);
}

# SIGTERM, and the status.
sub stop_well {
    my ($supervisor) = @_;
    return $supervisor->stop('TERM');
}

1;
