# SPDX-License-Identifier: MIT
#
# Sole::Other - other users of this machine, for tests of who may do what. They need root, who can become anybody.
package Sole::Other;

use strict;
use warnings;

use Exporter qw(import);
use File::Copy ();
use FindBin;
use POSIX ();
use Sole::Test;
use Sole::Wire qw(endpoint message read_message);

our @EXPORT = qw(no_others open_to_others rules as_user stranger);

# Why there are none, or undef. Needed: the users nobody and daemon.
sub no_others {
    return 'only root can be another user' if $> != 0;
    return "there is no user '$_'" for grep { !defined getpwnam $_ } qw(nobody daemon bin);
    return undef;
}

# Lets others reach the folder of the test, and a copy of `sole`, wherever the programs are.
my $sole;
sub open_to_others {
    chmod 0711, folder();
    $sole = path('sole-of-others');
    File::Copy::copy(program('sole'), $sole) or die "cannot copy sole: $!\n";
    chmod 0755, $sole;
    return;
}

# rules(NAME, TEXT): a file of rules that only its user can write.
sub rules {
    my ($name, $text) = @_;
    my $file = spew($name, $text);
    chmod 0644, $file;
    return $file;
}

sub _become {
    my ($user) = @_;
    my ($uid, $gid) = $user =~ /^\d+$/ ? ($user, $user) : (getpwnam $user)[2, 3];
    return ($uid, $gid);
}

# as_user(USER, [\%options,] ARGUMENT ...): runs `sole` as that user.
sub as_user {
    my ($user, @arguments) = @_;
    my $options = ref $arguments[0] eq 'HASH' ? shift @arguments : {};
    my ($uid, $gid) = _become($user);
    my $setup = sub {
        $) = "$gid $gid";
        POSIX::setgid($gid) && POSIX::setuid($uid) or POSIX::_exit(126);
    };
    return run({ name => "sole-of-$user", setup => $setup, %$options }, $sole, @arguments);
}

# stranger(USER, OWNER): a process of that user which speaks to the owner raw; see other.pl. ->ask(ITEM ...) returns the
# items of the reply, an empty list when none came; ->hear the next message that nobody asked for.
sub stranger {
    my ($user, $owner, $patience_ms) = @_;
    my ($uid, $gid) = _become($user);
    my $process = start({ name => "stranger-$user", notify => 0, stdin => 'pipe' }, $^X, "$FindBin::Bin/lib/Sole/other.pl",
        $uid, $gid, $owner =~ /:/ ? $owner : endpoint($owner), $patience_ms // 1000 * seconds(10));
    return bless { process => $process, asked => 0 }, 'Sole::Other::Stranger';
}

package Sole::Other::Stranger;

sub pid { return $_[0]{process}->pid }

sub say {
    my ($self, $line) = @_;
    my $number = $self->{asked}++;
    $self->{process}->say("$line\n");
    my @lines;
    Sole::Test::wait_until { (@lines = $self->{process}->out =~ /(.*)\n/g) > $number || !$self->{process}->running };
    die "the stranger ended: " . $self->{process}->err . "\n" if !defined $lines[$number];
    return $lines[$number] eq 'nothing' ? undef : Sole::Wire::read_message(pack 'H*', $lines[$number]);
}

sub ask {
    my ($self, @items) = @_;
    my $message = $self->say(unpack 'H*', Sole::Wire::message(@items));
    return if !defined $message;
    return wantarray ? @{ $message->{items} } : $message->{items}[0];
}

sub hear { return $_[0]->say('hear') }

sub finish { my ($self) = @_; $self->{process}->close_input; return $self->{process}->finish }

1;
