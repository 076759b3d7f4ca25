# SPDX-License-Identifier: MIT
#
# Sole::Screen - what a terminal of a given size shows: bytes go in, lines come out.
#
# It understands what xterm's entry in terminfo has programs write (ECMA-48 and the DEC private
# modes that matter for text). What it does not understand is kept in {unknown}, so that a
# test can insist on there being nothing. Colours and attributes change nothing that is kept.
#
#   my $screen = Sole::Screen->new($rows, $columns);
#   my $answer = $screen->put($bytes);    # what the terminal would say back, mostly ''
#   $screen->lines                        # each without the spaces at its end
#   $screen->cursor                       # (row, column), both from 0
package Sole::Screen;

use strict;
use warnings;
use utf8;

use Encode qw(decode FB_QUIET);

sub new {
    my ($class, $rows, $columns) = @_;
    my $self = bless {
        rows => $rows, columns => $columns, row => 0, column => 0, full => 0,
        top => 0, bottom => $rows - 1, saved => [0, 0],
        pending => '', text => '', drawing => 0, last => ' ',
        bells => 0, alternate => undef, visible => 1, unknown => [],
    }, $class;
    $self->{cells} = [map { $self->_blank } 1 .. $rows];
    return $self;
}

sub lines { return map { join('', @$_) =~ s/ +\z//r } @{ $_[0]{cells} } }
sub line { return ($_[0]->lines)[$_[1]] }
sub text { return join '', map {"$_\n"} $_[0]->lines }
sub cursor { return ($_[0]{row}, $_[0]{column}) }

# Rows go at the bottom and columns on the right; what is gone stays gone.
sub resize {
    my ($self, $rows, $columns) = @_;
    for my $cells (grep {defined} $self->{cells}, $self->{alternate}) {
        $#$cells = $rows - 1 if @$cells > $rows;
        for my $line (@$cells) {
            $#$line = $columns - 1 if @$line > $columns;
            push @$line, (' ') x ($columns - @$line);
        }
    }
    @$self{qw(rows columns top bottom full)} = ($rows, $columns, 0, $rows - 1, 0);
    for my $cells (grep {defined} $self->{cells}, $self->{alternate}) {
        push @$cells, $self->_blank while @$cells < $rows;
    }
    $self->{row}    = $rows - 1    if $self->{row} >= $rows;
    $self->{column} = $columns - 1 if $self->{column} >= $columns;
}

sub put {
    my ($self, $bytes) = @_;
    $self->{pending} .= $bytes;
    $self->{text} .= decode('UTF-8', $self->{pending}, FB_QUIET);
    # What cannot begin a character is shown as such; a character cut in two waits for its rest.
    while (length $self->{pending} > 4 || $self->{pending} =~ /\A[\x80-\xbf\xf8-\xff]/) {
        $self->{text} .= "\x{fffd}";
        substr $self->{pending}, 0, 1, '';
        $self->{text} .= decode('UTF-8', $self->{pending}, FB_QUIET);
    }
    my $answer = '';
    for ($self->{text}) {
        while (length) {
            if (s/\A([^\x00-\x1f\x7f]+)//) { $self->_print($_) for split //, $1 }
            elsif (s/\A\e\[([?>=!]?)([0-9;:]*)([ \$'"]?)([\@-~])//) { $answer .= $self->_control("$1$3$4", $2) }
            elsif (s/\A\e[\]PX^_].*?(?:\a|\e\\)//s) { }    # titles and the like
            elsif (s/\A\e[()*+]([0-9A-Za-z])//) { $self->{drawing} = $1 eq '0' }
            elsif (s/\A\e#(.)//s) { push @{ $self->{unknown} }, "ESC # $1" }
            elsif (s/\A\e([^\[\]PX^_()*+#])//s) { $self->_escape($1) }
            elsif (/\A\e/) { last }                        # its rest is under way
            elsif (s/\A(.)//s) { $self->_plain($1) }
        }
    }
    return $answer;
}

# ---- characters ----

sub _blank { return [(' ') x $_[0]{columns}] }

# The line-drawing set behind ESC ( 0.
my %drawn;
@drawn{ split //, 'jklmnqtuvwx`a~' } = split //, '┘┐┌└┼─├┤┴┬│◆▒·';

sub _print {
    my ($self, $character) = @_;
    $character = $drawn{$character} // $character if $self->{drawing};
    if ($character =~ /\A\p{Mn}\z/) {    # rides on the one before it
        my $at = $self->{column} - ($self->{full} ? 0 : 1);
        $self->{cells}[$self->{row}][$at] .= $character if $at >= 0;
        return;
    }
    my $wide = $character =~ /\A\p{Ea=W}|\p{Ea=F}\z/ ? 2 : 1;
    # A line that is full stays until the next character: then the cursor is on the next.
    if ($self->{full} || $self->{column} + $wide > $self->{columns}) {
        $self->{column} = 0;
        $self->{full}   = 0;
        $self->_down;
    }
    my $line = $self->{cells}[$self->{row}];
    splice @$line, $self->{column}, 0, (' ') x $wide if $self->{inserting};
    $line->[$self->{column}] = $character;
    $line->[$self->{column} + 1] = '' if $wide == 2;
    $#$line = $self->{columns} - 1 if @$line > $self->{columns};
    $self->{last} = $character;
    $self->{column} += $wide;
    return if $self->{column} < $self->{columns};
    $self->{column} = $self->{columns} - 1;
    $self->{full}   = 1;
}

sub _plain {
    my ($self, $character) = @_;
    if ($character =~ /[\n\x0b\x0c]/) { $self->_down }
    elsif ($character eq "\r") { @$self{qw(column full)} = (0, 0) }
    elsif ($character eq "\b") { $self->_move(0, -1) }
    elsif ($character eq "\t") { $self->_to($self->{row}, ($self->{column} | 7) + 1) }
    elsif ($character eq "\a") { $self->{bells}++ }
    elsif ($character !~ /[\x00\x0e\x0f\x7f]/) { push @{ $self->{unknown} }, sprintf 'byte %02x', ord $character }
}

sub _escape {
    my ($self, $what) = @_;
    if ($what eq '7') { $self->{saved} = [$self->cursor] }
    elsif ($what eq '8') { $self->_to(@{ $self->{saved} }) }
    elsif ($what eq 'D') { $self->_down }
    elsif ($what eq 'E') { $self->{column} = 0; $self->_down }
    elsif ($what eq 'M') { $self->{row} == $self->{top} ? $self->_scroll(-1) : $self->_move(-1, 0) }
    elsif ($what eq 'c') { %$self = %{ Sole::Screen->new(@$self{qw(rows columns)}) } }
    elsif ($what !~ /[=>H\\]/) { push @{ $self->{unknown} }, "ESC $what" }
}

# ---- the cursor ----

sub _to {
    my ($self, $row, $column) = @_;
    $self->{row}    = $row < 0    ? 0 : $row >= $self->{rows}       ? $self->{rows} - 1    : $row;
    $self->{column} = $column < 0 ? 0 : $column >= $self->{columns} ? $self->{columns} - 1 : $column;
    $self->{full}   = 0;
}

sub _move { $_[0]->_to($_[0]{row} + $_[1], $_[0]{column} + $_[2]) }

sub _down {
    my ($self) = @_;
    if ($self->{row} == $self->{bottom}) { $self->_scroll(1) }
    elsif ($self->{row} < $self->{rows} - 1) { $self->{row}++ }
    $self->{full} = 0;
}

# Lines from `from` (default: the region's top) to the region's bottom go up by `by`, or down.
sub _scroll {
    my ($self, $by, $from) = @_;
    my $cells = $self->{cells};
    $from //= $self->{top};
    for (1 .. abs $by) {
        if ($by > 0) {
            splice @$cells, $from, 1;
            splice @$cells, $self->{bottom}, 0, $self->_blank;
        } else {
            splice @$cells, $self->{bottom}, 1;
            splice @$cells, $from, 0, $self->_blank;
        }
    }
}

# ---- sequences that begin with ESC [ ----

sub _erase {
    my ($self, $row, $from, $to) = @_;
    @{ $self->{cells}[$row] }[$from .. $to] = (' ') x ($to - $from + 1) if $to >= $from;
}

sub _erase_part {
    my ($self, $what, $whole_screen) = @_;
    my ($row, $column, $last) = ($self->cursor, $self->{columns} - 1);
    $self->_erase($row, $what == 0 ? $column : 0, $what == 1 ? $column : $last);
    return unless $whole_screen;
    my @rows = $what == 0 ? ($row + 1 .. $self->{rows} - 1) : $what == 1 ? (0 .. $row - 1) : (0 .. $self->{rows} - 1);
    $self->_erase($_, 0, $last) for @rows;
}

sub _mode {
    my ($self, $on, @modes) = @_;
    for (@modes) {
        if ($_ == 25) { $self->{visible} = $on }
        elsif ($_ == 1049 || $_ == 1047 || $_ == 47) {
            if ($on && !$self->{alternate}) {
                $self->{saved} = [$self->cursor];
                $self->{alternate} = $self->{cells};
                $self->{cells} = [map { $self->_blank } 1 .. $self->{rows}];
            } elsif (!$on && $self->{alternate}) {
                $self->{cells} = delete $self->{alternate};
                $self->_to(@{ $self->{saved} });
            }
        }
        # Keys' modes, blinking, bracketed paste, mouse, wrapping: nothing to see.
        elsif (!/\A(?:1|7|12|1000|1002|1006|1034|2004)\z/) { push @{ $self->{unknown} }, "mode $_" }
    }
}

sub _control {
    my ($self, $what, $numbers) = @_;
    my @n = split /[;:]/, $numbers;
    my $n = ($n[0] // '') ne '' ? $n[0] : 0;
    my $times = $n || 1;
    my $line = $self->{cells}[$self->{row}];
    my ($column, $width) = @$self{qw(column columns)};
    if ($what eq 'm' || $what eq 't' || $what eq '>c' || $what eq ' q' || $what eq '>m') { }
    elsif ($what eq 'A') { $self->_move(-$times, 0) }
    elsif ($what eq 'B' || $what eq 'e') { $self->_move($times, 0) }
    elsif ($what eq 'C' || $what eq 'a') { $self->_move(0, $times) }
    elsif ($what eq 'D') { $self->_move(0, -$times) }
    elsif ($what eq 'E') { $self->_to($self->{row} + $times, 0) }
    elsif ($what eq 'F') { $self->_to($self->{row} - $times, 0) }
    elsif ($what eq 'G' || $what eq '`') { $self->_to($self->{row}, $times - 1) }
    elsif ($what eq 'H' || $what eq 'f') { $self->_to($times - 1, ($n[1] || 1) - 1) }
    elsif ($what eq 'I') { $self->_plain("\t") for 1 .. $times }
    elsif ($what eq 'Z') { $self->_to($self->{row}, ($self->{column} - 1) & ~7) for 1 .. $times }
    elsif ($what eq 'J') { $self->_erase_part($n, 1) if $n < 3 }
    elsif ($what eq 'K') { $self->_erase_part($n, 0) }
    elsif ($what eq 'L') { $self->_scroll(-$times, $self->{row}) }
    elsif ($what eq 'M') { $self->_scroll($times, $self->{row}) }
    elsif ($what eq 'P') { splice @$line, $column, $times; push @$line, (' ') x ($width - @$line) }
    elsif ($what eq '@') { splice @$line, $column, 0, (' ') x $times; $#$line = $width - 1 }
    elsif ($what eq 'X') { $self->_erase($self->{row}, $column, ($column + $times > $width ? $width : $column + $times) - 1) }
    elsif ($what eq 'S') { $self->_scroll($times) }
    elsif ($what eq 'T') { $self->_scroll(-$times) }
    elsif ($what eq 'b') { $self->_print($self->{last}) for 1 .. $times }
    elsif ($what eq 'd') { $self->_to($times - 1, $column) }
    elsif ($what eq 'h' || $what eq 'l') { $self->{inserting} = $what eq 'h' if $n == 4 }
    elsif ($what eq '?h' || $what eq '?l') { $self->_mode($what eq '?h' ? 1 : 0, @n) }
    elsif ($what eq 'r') {
        @$self{qw(top bottom)} = (($n[0] || 1) - 1, ($n[1] || $self->{rows}) - 1);
        $self->_to(0, 0);
    }
    elsif ($what eq 's') { $self->{saved} = [$self->cursor] }
    elsif ($what eq 'u') { $self->_to(@{ $self->{saved} }) }
    elsif ($what eq '!p') { @$self{qw(top bottom inserting)} = (0, $self->{rows} - 1, 0) }
    elsif ($what eq 'n' && $n == 6) { return sprintf "\e[%d;%dR", $self->{row} + 1, $column + 1 }
    elsif ($what eq 'n') { return "\e[0n" }
    elsif ($what eq 'c') { return "\e[?1;2c" }
    else { push @{ $self->{unknown} }, "ESC [ $numbers $what" }
    return '';
}

1;
