#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# sole(3) and sole.h: the example of the page is a program that builds, in C11 with every warning,
# against what pkg-config says of an installed library, and does what it says; the page names
# every function and code that the header declares; the header stands alone, in C and C++.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use File::Path qw(make_path);
use Sole::Test;
use Test::More;

my $clients = "$FindBin::Bin/../clients";
my $page = slurp("$clients/sole.3");
my $header = slurp("$clients/sole.h");

# The full path of a tool, or nothing.
sub installed { return (grep { -x } map { "$_/$_[0]" } split /:/, $ENV{PATH})[0] }

# ---- the page and the header ----

my ($code) = $header =~ /^(enum sole_code \{.*?^\};)/ms;
my @names = ($header =~ /\b(sole_\w+)\(/g, $code =~ /\b(SOLE_[A-Z_]+) = /g);
my %missing = map { $_ => 1 } grep { $page !~ /\b\Q$_\E\b/ } @names;
is join(' ', sort keys %missing), '', 'the page has every function and code of the header';
my %unknown = map { $_ => 1 } grep { $header !~ /\b$_\b/ } $page =~ /^\.Fn (sole_\w+)/mg;
is join(' ', sort keys %unknown), '', 'and no function that the header has not';

SKIP: {
    my $mandoc = installed('mandoc');
    skip 'mandoc is not installed', 1 if !$mandoc;
    my $lint = run($mandoc, '-Tlint', '-Wwarning', "$clients/sole.3");
    is $lint->{out} . $lint->{err}, '', 'mandoc has nothing to say about the page';
}

my $alone = spew('alone.c', "#include <sole.h>\nint main(void) { return sole_outcome_of(SOLE_OK); }\n");
my @strict = ('-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only', "-I$clients");
for my $way (['gcc', '-std=c11'], ['g++', '-std=c++11', '-x', 'c++'], ['clang', '-std=c11']) {
    my ($compiler, @options) = @$way;
  SKIP: {
        skip "$compiler is not installed", 1 if !installed($compiler);
        my $built = run(installed($compiler), @options, @strict, $alone);
        is $built->{err}, '', "the header compiles alone: $compiler $options[0]";
    }
}

# ---- the example, against the library as it is installed ----

my $prefix = path('prefix');
make_path("$prefix/lib/pkgconfig", "$prefix/include");
copy(program($_), "$prefix/lib/$_") or die "cannot copy $_: $!\n" for 'libsole.a', 'libsole.so.0';
symlink 'libsole.so.0', "$prefix/lib/libsole.so";
spew("$prefix/include/sole.h", $header);
(my $pc = slurp("$clients/libsole.pc.in")) =~ s/\@PREFIX\@/$prefix/g;
$pc =~ s{\@LIBDIR\@}{$prefix/lib}g;
$pc =~ s/\@VERSION\@/0.0.0/;
spew("$prefix/lib/pkgconfig/libsole.pc", $pc);

my ($example) = $page =~ /^\.Bd -literal\n(#include <sole\.h>.*?)^\.Ed$/ms;
ok $example, 'the page has an example';
$example =~ s/\\e/\\/g;
$example =~ s/^\\&//mg;
spew('worker.c', $example);

sub pkg_config {
    my (@options) = @_;
    my $env = { PKG_CONFIG_PATH => "$prefix/lib/pkgconfig" };
    my $said = run({ env => $env }, installed('pkg-config'), @options, 'libsole');
    is $said->{err}, '', "pkg-config @options";
    return split ' ', $said->{out};
}

sub builds {
    my ($title, $source, $program, @link) = @_;
    my @strictly = ('-std=c11', '-Wall', '-Wextra', '-Werror');
    # A library that was built with sanitizers wants its programs built so too.
    my @sanitize = ($ENV{SOLE_BIN} // '') =~ /sanitize-([\w-]+?)(?:-clang)?\// ? '-fsanitize=' . $1 =~ s/-/,/gr : ();
    my $built = run(installed('gcc'), @strictly, @sanitize, '-o', $program, $source, @link);
    return is $built->{err}, '', $title;
}

sub plays {
    my ($name, @link) = @_;
    my $worker = path("worker-$name");
    builds("it builds, $name", path('worker.c'), $worker, @link);
    start_owner($name);
    my $env = { LD_LIBRARY_PATH => "$prefix/lib" };
    my $out = "the seat was free\nput sum\nput stop\nstop = 12\nsum = 12\n";
    my $first = run({ env => $env }, $worker, $name);
    is $first->{out} . $first->{err}, $out, "it does what it says, $name";
    is $first->{status}, 0, 'and ends well';
    $out =~ s/the seat was free/the seat is taken by worker/;
    $out =~ s/= 12/= 24/g;
    is run({ env => $env }, $worker, $name)->{out}, $out, 'the second worker finds the seat taken';
    return;
}

# Lines of the README and of the header: the inside of a function.
sub plays_lines {
    my ($where, $lines, $out, @link) = @_;
    ok $lines, "there are lines in $where" or return;
    my $lines_c = spew('lines.c', <<"END");
#include <sole.h>
#include <stdio.h>
int main(void)
{
    $lines
    return 0;
}
END
    builds("they build: $where", $lines_c, path('lines'), @link) or return;
    my $ran = run({ env => { LD_LIBRARY_PATH => "$prefix/lib" } }, path('lines'));
    is $ran->{out} . $ran->{err}, $out, "and do what they say: $where";
    return;
}

SKIP: {
    skip 'pkg-config is not installed', 10 if !installed('pkg-config');
    plays('shared', pkg_config('--cflags', '--libs'));
    my @static = pkg_config('--static', '--cflags', '--libs');
    plays('static', map { $_ eq '-lsole' ? "$prefix/lib/libsole.a" : $_ } @static);

    my @link = pkg_config('--cflags', '--libs');
    start_owner('inventory');
    my ($in_readme) = slurp("$clients/../README.md") =~ /^```c\n(.*?)^```/ms;
    plays_lines('the README', $in_readme, "12\n", @link);
    my ($on_top) = $header =~ m{^ \* sole\.h - [^\n]*\n \*\n((?: \*\t[^\n]*\n)+)}m;
    plays_lines('the header', $on_top && $on_top =~ s/^ \*//mgr, "12\n", @link);
    my ($walk) = $header =~ m{^ \*\t(while \(sole_next.*?\.\.\.)}m;
    plays_lines('the header, of lists', $walk && 'struct sole_value list = sole_none(), item; ' . $walk =~ s/\.\.\./printf("item\\n");/r, '', @link);
}

done_testing;
