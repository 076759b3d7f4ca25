# SPDX-License-Identifier: MIT
#
# The terminal that other tests sit at (Sole::Terminal and Sole::Screen): what a program writes
# stands where xterm would show it, and keys, ^C, ^D and a change of the size reach the program.
use strict;
use warnings;
use utf8;
use lib 'tests/lib';
use Sole::Screen;
use Sole::Terminal;
use Sole::Test;
use Test::More;

binmode $_, ':utf8' for Test::More->builder->output, Test::More->builder->failure_output;

# [bytes, lines of a screen of 4x10, cursor, title]
my @written = (
    ["one\r\ntwo", ['one', 'two', '', ''], [1, 3], 'lines follow each other'],
    ["0123456789", ['0123456789', '', '', ''], [0, 9], 'a full line leaves the cursor on it'],
    ["0123456789x", ['0123456789', 'x', '', ''], [1, 1], '... and the next character begins another'],
    ["1\n\r2\n\r3\n\r4\n\r5", ['2', '3', '4', '5'], [3, 1], 'the screen scrolls at its bottom'],
    ["abc\e[2Dx\b\by", ['yxc', '', '', ''], [0, 1], 'the cursor goes left'],
    ["\e[3;4Hx\e[H\e[Ky\e[Bz", ['y', ' z', '   x', ''], [1, 2], 'the cursor goes to a place'],
    ["abcdef\e[1;3H\e[K", ['ab', '', '', ''], [0, 2], 'the rest of a line is erased'],
    ["abcdef\e[1;3H\e[1K", ['   def', '', '', ''], [0, 2], '... and its beginning'],
    ["a\r\nb\r\nc\e[2;1H\e[J", ['a', '', '', ''], [1, 0], 'the rest of the screen is erased'],
    ["abcdef\e[1;2H\e[2P", ['adef', '', '', ''], [0, 1], 'characters are taken out'],
    ["abcdef\e[1;2H\e[2\@", ['a  bcdef', '', '', ''], [0, 1], '... and room is made'],
    ["abcdef\e[1;2H\e[4hxy\e[4l", ['axybcdef', '', '', ''], [0, 3], '... or what is typed makes it'],
    ["abcdef\e[1;2H\e[2X", ['a  def', '', '', ''], [0, 1], '... or they are blanked'],
    ["a\r\nb\r\nc\e[1;1H\e[L", ['', 'a', 'b', 'c'], [0, 0], 'a line is put in'],
    ["a\r\nb\r\nc\e[1;1H\e[M", ['b', 'c', '', ''], [0, 0], '... and taken out'],
    ["a\r\nb\r\nc\r\nd\e[2;3r\e[3;1H\n", ['a', 'c', '', 'd'], [2, 0], 'a region scrolls alone'],
    ["a\eM", ['', 'a', '', ''], [0, 1], 'the screen scrolls back at its top'],
    ["\e[31;1mred\e[m\e]0;title\a\e(B", ['red', '', '', ''], [0, 3], 'colours and titles show nothing'],
    ["ab\e[3b", ['abbbb', '', '', ''], [0, 5], 'a character is repeated'],
    ["a\e[?1049hb\e[?1049l", ['a', '', '', ''], [0, 1], 'the other screen gives the first one back'],
    ["\xc3\xa4\xe4\xbd\xa0x", ['ä你x', '', '', ''], [0, 4], 'characters have their widths'],
    ["e\xcc\x81x", ["e\x{301}x", '', '', ''], [0, 2], '... none where they ride on another'],
    ["a\xffb", ["a\x{fffd}b", '', '', ''], [0, 3], 'what is no UTF-8 is shown as such'],
    ["\e(0lqk\e(B", ['┌─┐', '', '', ''], [0, 3], 'lines are drawn'],
);
for (@written) {
    my ($bytes, $lines, $cursor, $title) = @$_;
    my $screen = Sole::Screen->new(4, 10);
    $screen->put($_) for split //, $bytes;    # however it is cut
    is_deeply([$screen->lines], $lines, $title);
    is_deeply([$screen->cursor], $cursor, '... and the cursor stands behind it') if "@{[$screen->lines]}" eq "@$lines";
    is_deeply($screen->{unknown}, [], '... all of it understood');
}
my $screen = Sole::Screen->new(4, 10);
is($screen->put("ab\e[6n"), "\e[1;3R", 'the terminal says where its cursor is');
$screen->put("\e[99y");
is_deeply($screen->{unknown}, ['ESC [ 99 y'], 'what is not understood is told');

# A program before it
my $terminal = Sole::Terminal->new({ rows => 7, columns => 33 }, $^X, '-e', <<'EOS');
use IO::Pty;
$| = 1;
sub size { print "size @{[(STDIN->IO::Tty::get_winsize)[0, 1]]}\n" }
$SIG{WINCH} = sub { size() };
$SIG{INT} = sub { print "interrupted\n" };
size();
while (!defined($got = sysread STDIN, $line, 100) || $got) { print "read <", $line =~ s/\n//r, ">\n" if $got }
print "ended\n";
exit 5;
EOS
ok($terminal->shows(qr/^size 7 33$/m), 'a program sees the size that it was given');
$terminal->enter('hello');
ok($terminal->shows(qr/^read <hello>$/m), '... reads what is typed');
is(scalar(grep { $_ eq 'hello' } $terminal->lines), 1, '... which is echoed');
$terminal->key('Ctrl-C');
ok($terminal->shows(qr/^(\^C)?interrupted$/m), '... hears ^C');
$terminal->resize(9, 40);
ok($terminal->shows(qr/^size 9 40$/m), '... and that its size has changed');
$terminal->key('Ctrl-D');
is($terminal->finish, 5, '... ends at ^D, and its status is known');
like($terminal->text, qr/^ended$/m, '... and its last words');

done_testing;
