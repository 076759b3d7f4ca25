# SPDX-License-Identifier: MIT
#
# sole-behaviour(3) and sole/behaviour.h: the page names all that the header declares; the header stands
# alone; and against an installed tree the page's example is a behaviour, and its three lines an owner.
use strict;
use warnings;
use lib 'tests/lib';
use Cwd qw(abs_path);
use Sole::Test;
use Sole::Wire;
use Test::More;

my $page = slurp('owner/sole-behaviour.3');
my $header = slurp('owner/include/sole/behaviour.h');
my $include = abs_path('owner/include');

# The full path of a tool, or nothing.
sub installed { return (grep { -x } map { "$_/$_[0]" } split /:/, $ENV{PATH})[0] }

# ---- the page and the header ----

my @declared = $header =~ /\b(sole_\w+)\(|\b(SOLE_FIELD_[A-LN-Z]\w+)\b/g;
my %missing = map { $_ => 1 } grep { defined && $page !~ /\b\Q$_\E\b/ } @declared;
is(join(' ', sort keys %missing), '', 'the page has every function and type of the header');
my %unknown = map { $_ => 1 } grep { $header !~ /\b$_\b/ } $page =~ /^\.Fn (\w+)/mg;
is(join(' ', sort keys %unknown), '', '... and no function that the header has not');

SKIP: {
    my $mandoc = installed('mandoc') or skip 'mandoc is not installed', 1;
    my $lint = run($mandoc, '-Tlint', '-Wwarning', 'owner/sole-behaviour.3', 'owner/kit/sole-check.1');
    is($lint->{out} . $lint->{err}, '', 'mandoc has nothing to say about the pages');
}

my $alone = spew('alone.c', "#include <sole/behaviour.h>\nint main(void) { return sole_key_number == 0; }\n");
for (['gcc', '-std=c11'], ['g++', '-std=c++11', '-x', 'c++'], ['clang', '-std=c11']) {
    my ($compiler, @options) = @$_;
  SKIP: {
        skip "$compiler is not installed", 1 if !installed($compiler);
        my $built = run({ limit => 60 }, installed($compiler), @options, qw(-Wall -Wextra -Wpedantic -Wno-address -fsyntax-only),
            "-I$include", '-Iclients', $alone);
        is($built->{err}, '', "the header compiles alone: $compiler $options[0]");
    }
}
my $help = run('sole-check', '--help');
my $kit_page = slurp('owner/kit/sole-check.1');
my @options = $help->{out} =~ /--(\w[\w-]*)/g;
is_deeply([grep { !/^(help|version)$/ && $kit_page !~ /Fl -\Q$_\E\b/ } @options], [], 'sole-check(1) has every option');

# ---- installed ----

my $tree = path('tree');
my $bin = program('.') =~ s{/\.$}{}r;
my $made = run({ limit => 120, env => { MAKEFLAGS => undef, MAKELEVEL => undef } }, '/usr/bin/make', '-s', '-o', 'all', 'install', 'BIN=' . ($ENV{SOLE_BIN} // 'bin'),
    "DESTDIR=$tree", 'PREFIX=/usr');
is($made->{status}, 0, 'make install into a tree') or diag($made->{err});
ok(-e "$tree/usr/$_", "... puts $_ there")
    for qw(include/sole/behaviour.h include/sole.h lib/libsole-owner.a bin/sole-check share/man/man3/sole-behaviour.3
    share/man/man1/sole-check.1 lib/pkgconfig/libsole-owner.pc);

# The code of the page, without what protects it from mandoc.
sub from_page {
    my ($pattern) = @_;
    my ($code) = $page =~ $pattern;
    ok(defined $code, 'the page has the code') or return '';
    return $code =~ s/^\\&//mgr =~ s/\\e/\\/gr;
}

my @sanitize = $bin =~ /sanitize-([\w-]+?)(?:-clang)?\// ? '-fsanitize=' . $1 =~ s/-/,/gr : ();
my $cc = $bin =~ /-clang\// ? 'clang' : 'cc';
sub compile {
    my ($title, @arguments) = @_;
    my $built = run({ limit => 120, env => { PKG_CONFIG_SYSROOT_DIR => $tree, PKG_CONFIG_PATH => "$tree/usr/lib/pkgconfig" } },
        '/bin/sh', '-c', "cd '" . folder() . "' && $cc @arguments");
    is($built->{status}, 0, $title) or diag($built->{err});
    is($built->{err}, '', '... without a warning');
}
spew('counters.c', from_page(qr/^\.Bd -literal\n(#include <sole\/behaviour\.h>.*?)^\.Ed$/ms));
spew('main.c', from_page(qr/^\.Bd -literal -offset indent\n(#include <sole\/behaviour\.h>.*?)^\.Ed$/ms));
my ($as_object) = $page =~ /^cc (-shared .*)$/m;
my ($link) = $page =~ /^\.Dl cc (-o things .*)$/m;
compile('the example of the page is built as the page says', "-Wall -Wextra -I'$tree/usr/include' $as_object");
compile('its three lines are an owner, built as the page says', @sanitize, '-Wall -Wextra', $link);

# A walk through a map, as the page and the header have it, is the inside of a function.
my ($walk) = $page =~ /^\.Bd -literal -offset indent\n(struct sole_value key.*?)^\.Ed$/ms;
my ($brief) = $header =~ m{^ \*\t(struct sole_value key = .*?)\*/}ms;
for (['the page', $walk], ['the header', ($brief // '') =~ s/^ \*\t//mgr]) {
    my ($where, $lines) = @$_;
    like($lines, qr/while .*\.\.\./s, "a walk in $where");
    spew('walk.c', "#include <sole/behaviour.h>\nuint64_t walk(struct sole_map *map);\nuint64_t walk(struct sole_map *map)\n"
            . '{ uint64_t n = 0; ' . $lines =~ s/\.\.\./n += value.size;/r . "\nreturn n; }\n");
    compile("... can be built: $where", "-Wall -Wextra -c -I'$tree/usr/include' -o walk.o walk.c");
}
spew('migrate.c', "#include <sole/behaviour.h>\n#include <string.h>\nstruct state { struct sole_map *totals; };\n"
    . from_page(qr/^\.Bd -literal -offset indent\n(static int migrate\(.*?)^\.Ed$/ms)
    . "int (*use)(struct sole_call *, unsigned) = migrate;\n");
compile('its function of a new version is sound C', "-Wall -Wextra -c -I'$tree/usr/include' migrate.c");

my $checked = run({ limit => 300 }, "$tree/usr/bin/sole-check", '--runs', '20', path('counters.so'));
is($checked->{status}, 0, 'the example keeps the contract') or diag($checked->{err});

# ---- both ways of running it ----

sub try_counters {
    my ($name, $title) = @_;
    my $socket = dealer(endpoint($name));
    my $told = ask($socket, item(RUN, op(1, 'apples', \3) . op(1, 'apples', \4)));
    is_deeply([$told->{code}, $told->{lists}], [0, [[3], [7]]], "$title: the operations do what the page says");
    is(ask($socket, item(RUN, op(2, 'apples'), flags => QUERY))->{lists}[0][0], 7, '... and the query');
    my $refused = ask($socket, item(RUN, op(1, 'apples', \'9223372036854775807')));
    is_deeply([$refused->{code}, $refused->{lists}[0][1]], [13, 'it would be more than 64 bits can tell'], '... and the refusal');
}

my $loaded = start_owner('--behaviour', path('counters.so'), '--drain', '100ms', 'loaded');
try_counters('loaded', 'loaded by sole-owner');
is($loaded->stop, 0, '... which leaves well');
my $own = start(path('things'), '--drain', '100ms', 'linked');
$own->wait_ready;
try_counters('linked', 'linked into an owner of its own');
is($own->stop, 0, '... which leaves well');
like(run(path('things'), '--help-all')->{out}, qr/--max-checkpoints/, '... and has the options of sole-owner');

my $gone = run({ limit => 60, env => { MAKEFLAGS => undef, MAKELEVEL => undef } }, '/usr/bin/make', '-s', 'uninstall', 'BIN=' . ($ENV{SOLE_BIN} // 'bin'), "DESTDIR=$tree",
    'PREFIX=/usr');
my @left = split /\n/, `find '$tree' -type f -o -type l`;
is_deeply(\@left, [], 'make uninstall leaves nothing');

done_testing;
