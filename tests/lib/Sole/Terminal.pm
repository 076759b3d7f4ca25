# SPDX-License-Identifier: MIT
#
# Sole::Terminal - a program as a person sits before it: on a pseudo-terminal of a given size,
# which is its controlling terminal, so that ^C, ^D and a change of the size do what they do.
#
#   my $terminal = Sole::Terminal->new({ rows => 24, columns => 80 }, 'sole', 'shell', '-o', 'x');
#   $terminal->type('get apples');           # text, character by character
#   $terminal->key('Enter');                 # keys by name; several: key('Up', 'Up', 'Enter')
#   ok($terminal->shows(qr/^12$/m), 'the value stands on the screen');     # waits, with a limit
#   $terminal->lines                         # the screen's lines now, without spaces at their ends
#   $terminal->resize(10, 40);               # and its SIGWINCH
#   is($terminal->finish, 0);                # its exit status; all of Sole::Test::Process works
#
# Options beside rows and columns are those of Sole::Test::run: env, setup, name.
# What the program writes is read whenever a test waits; what Sole::Screen did not understand
# stands in {screen}{unknown}, all bytes in {raw}.
package Sole::Terminal;

use strict;
use warnings;

use Fcntl qw(F_SETFD FD_CLOEXEC);
use IO::Pty;
use POSIX ();
use Sole::Screen;
use Sole::Test ();
use Test::More;

our @ISA = ('Sole::Test::Process');

# As xterm sends them, with cursor keys in their normal mode.
my %keys = (
    Enter => "\r", Tab => "\t", Escape => "\e", Backspace => "\x7f", Space => ' ',
    Up => "\e[A", Down => "\e[B", Right => "\e[C", Left => "\e[D", Home => "\e[H", End => "\e[F",
    Insert => "\e[2~", Delete => "\e[3~", PageUp => "\e[5~", PageDown => "\e[6~",
);

# Starts PROGRAM ARGUMENT ... on a terminal.
sub new {
    my ($class, @command) = @_;
    my $options = ref $command[0] eq 'HASH' ? shift @command : {};
    my $pty     = IO::Pty->new // die "no pseudo-terminal: $!\n";
    # A program that held the other end of its own terminal would never hear that it is gone.
    fcntl $_, F_SETFD, FD_CLOEXEC or die "fcntl: $!\n" for $pty, $pty->slave;
    my ($rows, $columns) = ($options->{rows} // 24, $options->{columns} // 80);
    $pty->slave->set_winsize($rows, $columns);
    my $self = Sole::Test::start({
            notify => 0, %$options, terminal => $pty,
            env => { TERM => 'xterm', LINES => undef, COLUMNS => undef, %{ $options->{env} // {} } },
        }, @command);
    bless $self, $class;
    $pty->close_slave;
    $pty->blocking(0);
    @$self{qw(pty raw screen)} = ($pty, '', Sole::Screen->new($rows, $columns));
    return $self;
}

# ---- what a person does ----

sub type {
    my ($self, $text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    while (length $text && $self->{pty}) {
        my $sent = syswrite $self->{pty}, $text;
        if (defined $sent) { substr $text, 0, $sent, '' }
        elsif (!$!{EAGAIN} || !Sole::Test::wait_until { $self->look; _ready($self->{pty}, 1) } 10) { return 0 }
        $self->look;
    }
    return $text eq '';
}

# Ctrl-C is the key "Ctrl-C": any letter.
sub key {
    my ($self, @names) = @_;
    for (@names) {
        my $bytes = /\ACtrl-([A-Z])\z/ ? chr(ord($1) - 64) : $keys{$_} // die "no key is called $_\n";
        $self->type($bytes);
    }
}

# A line and its Enter.
sub enter { $_[0]->type("$_[1]\r") }

sub resize {
    my ($self, $rows, $columns) = @_;
    $self->look;
    $self->{screen}->resize($rows, $columns);
    $self->{pty}->set_winsize($rows, $columns) if $self->{pty};    # the kernel sends SIGWINCH
}

# ---- what a person sees ----

# Reads what has been written. True while there is something at the other end.
sub look {
    my ($self) = @_;
    while ($self->{pty}) {
        my $got = sysread $self->{pty}, my $bytes, 65536;
        if (!defined $got && $!{EAGAIN}) { return 1 }
        if (!$got) {    # EIO: the last who had the terminal is gone
            close delete $self->{pty};
            last;
        }
        $self->{raw} .= $bytes;
        my $answer = $self->{screen}->put($bytes);
        syswrite $self->{pty}, $answer if $answer ne '';
    }
    return 0;
}

sub lines  { $_[0]->look; return $_[0]{screen}->lines }
sub line   { $_[0]->look; return $_[0]{screen}->line($_[1]) }
sub text   { $_[0]->look; return $_[0]{screen}->text }
sub cursor { $_[0]->look; return $_[0]{screen}->cursor }

# The program takes keys one by one now, and not lines: what is typed is not the terminal's to edit or to echo.
sub takes_keys {
    my ($self) = @_;
    return 0 if !$self->look;
    my $settings = POSIX::Termios->new;
    return $settings->getattr(fileno $self->{pty}) && !($settings->getlflag & POSIX::ICANON());
}

# Waits until the screen's text matches, or code that is given this terminal returns true; `limit`
# seconds (default 10) at the most, or until the program has ended. Returns whether it does, and shows the screen when not.
sub shows {
    my ($self, $condition, $limit) = @_;
    my $met = ref $condition eq 'CODE' ? sub { $condition->($self) } : sub { $self->{screen}->text =~ $condition };
    Sole::Test::wait_until { my $more = $self->look; $met->() || !$more } $limit // 10;
    return 1 if $met->();
    diag('the screen does not show ' . (ref $condition eq 'CODE' ? 'it' : $condition) . ":\n" . $self->framed);
    return 0;
}

# The screen with a frame, for messages.
sub framed {
    my ($self) = @_;
    my $width = $self->{screen}{columns};
    my $text  = join '', map { sprintf "|%-${width}s|\n", $_ } $self->{screen}->lines;
    utf8::encode($text);
    return '+' . '-' x $width . "+\n$text+" . '-' x $width . '+';
}

# ---- as a process ----

sub running {
    my ($self) = @_;
    $self->look if $self->{screen};
    return $self->SUPER::running if $self->SUPER::running;
    $self->look if $self->{screen};
    return 0;
}

# All that came, as text: for Sole::Test::Process.
sub out { $_[0]->look; return $_[0]{raw} }
sub err { return '' }

sub _ready {
    my ($handle, $limit) = @_;
    my $bits = '';
    vec($bits, fileno $handle, 1) = 1;
    return select undef, $bits, undef, $limit;
}

1;
