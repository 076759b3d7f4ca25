# SPDX-License-Identifier: MIT
#
# --help of each program and subcommand, before a screen of 24 lines by 80 columns: all of it stands there
# with the example on top and a line left to type on. What does not fit has --help-all.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Terminal;
use Sole::Test;
use Test::More;

my @programs = map { [$_] } qw(sole sole-owner sole-supervisor sole-reader sole-writer sole-check);
my ($names) = run('sole', '--help')->{out} =~ /\n\n((?:  \S.*\n(?:     .*\n)*)+)\n/;
my @commands = grep { run('sole', $_, '--help')->{status} == 0 } split ' ', $names =~ s/^  an? \w+|^  \w+//gmr;
cmp_ok(scalar @commands, '>', 20, 'sole --help lists its commands: ' . "@commands");

my $all = run('sole', '--help-all')->{out};
my %described = map { $_ => 1 } map {/^  ([a-z-]+) /mg} $all =~ /^About .*:\n(?:  .*\n)+/mg;
is_deeply([sort keys %described], [sort @commands], '... and sole --help-all describes the same ones');

for my $command (@programs, map { ['sole', $_] } @commands) {
    my $called = "@$command";
    my $terminal = Sole::Terminal->new({ rows => 24, columns => 80 }, @$command, '--help');
    is($terminal->finish, 0, "$called --help is no error");
    my @lines = $terminal->lines;
    like($lines[0], qr/^  (?:\S.* \| |printf .*)?\Q$called\E( |\z)/, '... the example is still on the screen');
    is($terminal->line(23), '', '... and a line is left to type on');
    my $printed = run(@$command, '--help')->{out};
    is(join('', map { "$_\n" } grep { length } @lines), $printed =~ s/^\n//gmr, '... and nothing is wider than it');
    like($printed, qr/^Usage: \Q$called\E/m, '... usage follows');
    like($printed, qr/Manual: man \Q$command->[0]\E\n\z/, '... and the manual\'s name is its end');

    my $more = run(@$command, '--help-all');
    is($more->{status}, 0, "$called --help-all is no error");
    is(join('', grep { length > 80 } split /^/, $more->{out}), '', '... and fits in width');
    my @options = $printed =~ /^ +(?:-\w, )?(--[\w-]+)/mg;
    my %known = map { $_ => 1 } $more->{out} =~ /^ +(?:-\w, )?(--[\w-]+)/mg;
    is_deeply([grep { !$known{$_} } @options], [], '... it has every option that --help lists');
    next if !grep { $_->[0] eq $called } @programs;
    my $page = join '', map { slurp($_) =~ s/\\//gr } glob "*/$called.[18] */*/$called.[18]";
    is_deeply([grep { my $name = s/^--//r; $page !~ /(?:Fl -|Fl Fl |, -)\Q$name\E\b/ } sort keys %known], [], "... and $called\'s page has each of them");
}

is(run('sole', 'help', 'put')->{out}, run('sole', 'put', '--help')->{out}, 'sole help COMMAND is its --help');
is(run('sole', 'help')->{out}, run('sole', '--help')->{out}, 'sole help is sole --help');
line_like(run('sole', 'help', 'frob')->{err}, qr/'frob' is not a command; see sole --help/, 'help of what is no command says so');

done_testing;
