# SPDX-License-Identifier: MIT
#
# `sole` and a live owner: every command on the table, what it prints where, and
# each exit status that an owner can cause.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Command;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory');

# get, put, del
answers('get of an absent key', 1, '', qr/^sole: not found: there is no key 'apples'$/, 'get', 'apples');
answers('get -q of an absent key', 1, '', undef, 'get', '-q', 'apples');
answers('put', 0, '', undef, 'put', 'apples', '12');
answers('get', 0, "12\n", undef, 'get', 'apples');
answers('get -n', 0, '12', undef, 'get', '-n', 'apples');
answers('put again', 0, '', undef, 'put', 'apples', 'many');
answers('get of bytes', 0, "many\n", undef, 'get', 'apples');
answers('del', 0, '', undef, 'del', 'apples');
answers('del of an absent key', 1, '', qr/not found/, 'del', 'apples');
answers('del -q of an absent key', 1, '', undef, 'del', '-q', 'apples');

# What was put is what get prints, and it is an integer where add takes it.
for (['7', 1], ['-7', 1], ['0', 1], ['9223372036854775807', 1], ['-9223372036854775808', 1],
    ['007', 0], ['+7', 0], ['-0', 0], [' 7', 0], ['7 ', 0], ['', 0], ['9223372036854775808', 0],
    ["l\xc3\xb6we", 0], ["two\nlines", 0]) {
    my ($value, $is_integer) = @$_;
    (my $shown = $value) =~ s/\n/\\n/g;
    is(sole('put', 'v', $value)->{status}, 0, "'$shown' can be put");
    is(sole('get', 'v')->{out}, "$value\n", '... and comes back as it was');
    my $add = sole('add', 'v', '0');
    is($add->{status}, $is_integer ? 0 : 2, '... it is ' . ($is_integer ? 'an integer' : 'bytes'));
}
sole('put', '--bytes', 'v', '7');
is(sole('add', 'v', '1')->{status}, 2, '--bytes makes bytes of what looks like an integer');

# Keys and values that look like something else
answers('a key with a dash behind --', 0, '', undef, 'put', '--', '-k', '--help');
answers('... is there', 0, "--help\n", undef, 'get', '--', '-k');
answers('a negative number as key', 0, '', undef, 'put', '-5', '-6');
answers('... is there', 0, "-6\n", undef, 'get', '-5');
my $binary = join '', map { chr } 0 .. 255;
answers('standard input as value', 0, '', undef, { input => $binary }, 'put', 'binary', '-');
answers('... comes back byte for byte', 0, $binary, undef, 'get', '-n', 'binary');
answers('an empty standard input', 0, '', undef, { input => '' }, 'put', 'empty', '-');
answers('... is an empty value, not an absent one', 0, "\n", undef, 'get', 'empty');

# Options may stand anywhere
for my $arguments (['get', 'o', '-o', 'inventory'], ['-o', 'inventory', 'get', 'o'],
    ['get', '-o', 'inventory', 'o'], ['--owner=inventory', 'get', 'o'], ['-oinventory', '-t5s', 'get', 'o'],
    ['get', 'o', '--own', 'inventory']) {
    is(run('sole', @$arguments)->{status}, 1, "options anywhere: sole @$arguments");
}

# add
answers('add to an absent key', 0, "5\n", undef, 'add', 'sum', '5');
answers('add of a negative number without --', 0, "-7\n", undef, 'add', 'sum', '-12');
answers('add of one', 0, "-6\n", undef, 'add', 'sum');
answers('add of +6', 0, "0\n", undef, 'add', 'sum', '+6');
sole('put', 'sum', '9223372036854775807');
answers('add that does not fit', 2, '', qr/^sole: refused: overflow: .*64 bits/, 'add', 'sum');
answers('... changed nothing', 0, "9223372036854775807\n", undef, 'get', 'sum');
sole('put', 'sum', 'text');
answers('add to bytes', 2, '', qr/^sole: refused: wrong-type: .*put replaces it$/, 'add', 'sum');

# cas
answers('cas --absent', 0, '', undef, 'cas', 'c', '--absent', '1');
answers('cas --absent of a key that is there', 1, "1\n", qr/^sole: conflict: the key 'c' is there$/, 'cas',
    '--absent', 'c', '2');
answers('cas', 0, '', undef, 'cas', 'c', '1', '-2');
answers('cas of another value', 1, "-2\n", qr/conflict: .* another value/, 'cas', 'c', '1', '3');
answers('cas -q of another value', 1, "-2\n", undef, 'cas', '-q', 'c', '1', '3');
answers('cas compares types', 1, "-2\n", qr/conflict/, 'cas', '-b', 'c', '-2', '3');
answers('cas --remove', 0, '', undef, 'cas', 'c', '-2', '--remove');
answers('... removed it', 1, '', qr/not found/, 'get', 'c');
answers('cas of an absent key', 1, '', qr/conflict: there is no key/, 'cas', 'c', '-2', '3');
answers('cas --absent --remove of an absent key', 0, '', undef, 'cas', 'c', '--absent', '--remove');

# count
sole('put', $_, 1) for 'counted-1', 'counted-2';
my $before = sole('count')->{out};
like($before, qr/\A\d+\n\z/, 'count prints a number');
sole('del', 'counted-1');
is(sole('count')->{out}, $before - 1 . "\n", '... one less when a key was removed');

# refusals
answers('a key above the limit', 2, '', qr/^sole: refused: too-large: .*limits$/, 'put', 'k' x 1025, '1');
answers('a value above the limit', 2, '', qr/^sole: refused: too-large: /, { input => 'x' x 300000 }, 'put',
    'k', '-');

# about the owner
my $got = sole('ping');
is($got->{status}, 0, 'ping: status 0');
like($got->{out}, qr/\Aanswered in [0-9.]+(us|ms|s)\n\z/, '... and how long it took');
$got = sole('ping', '-v');
like($got->{out}, qr{\Aipc://\S+/inventory\.sock answered in }, 'ping -v prints the endpoint');
like($got->{err}, qr/incarnation/, '... and tells which start of the owner it is');
$got = sole('get', 'binary', '-v');
like($got->{err}, qr/^sole: revision \d+, incarnation /m, '-v tells the revision');
my ($endpoint) = sole('ping', '-v')->{out} =~ /\A(\S+)/;
is(run({ env => { SOLE_ENDPOINT => $endpoint } }, 'sole', 'ping')->{status}, 0,
    'that endpoint serves as $SOLE_ENDPOINT');
is(run('sole', 'ping', '-e', $endpoint)->{status}, 0, '... and with -e');

$got = sole('status');
is($got->{status}, 0, 'status: status 0');
my @lines = split /\n/, $got->{out};
cmp_ok(scalar @lines, '>', 3, '... has lines');
is(scalar(grep { !/^[^:]+: +\S/ } @lines), 0, '... each a name and a value');
my %column = map { /^([^:]+: +)/ ? (length $1, 1) : () } @lines;
is(scalar keys %column, 1, '... in two columns');
like($got->{out}, qr/^pid: +$owner->{pid}$/m, '... the pid among them');
is(run({ env => { SOLE_ENDPOINT => $endpoint } }, 'sole', 'status')->{out} =~ /^pid:/m, 1,
    'status is the owner\'s where $SOLE_ENDPOINT names it');

$got = sole('stats');
is($got->{status}, 0, 'stats: status 0');
@lines = split /\n/, $got->{out} =~ s/^latencies:.*//msr;
is(scalar(grep { !/^(?:\S+ +[\d.]+(?:[num]?s| [KMG]?i?B)?  +\S.*\S|(\w[\w ]*:)?)$/ } @lines), 0,
    '... each line a name, a value, a unit and a sentence, or a title');
like($got->{out}, qr/^reads +[1-9]\d*  /m, '... the reads among them');

# what cannot be printed
for (['get', 'binary'], ['count'], ['status'], ['stats'], ['ping'], ['add', 'n']) {
    $got = run({ stdout => '/dev/full' }, 'sole', '-o', 'inventory', @$_);
    is($got->{status}, 74, "@$_ to a full device: status 74");
    line_like($got->{err}, qr/cannot write to standard output: No space left/,
        '... and one line that says so');
}
$got = run({ setup => sub { POSIX::close(1) } }, 'sole', '-o', 'inventory', 'count');
is($got->{status}, 74, 'without a standard output: status 74');
is(run({ setup => sub { POSIX::close(1) } }, 'sole', '-o', 'inventory', 'put', 'k', '1')->{status}, 0,
    '... which put does not need');
{
    pipe my $read, my $write or die "pipe: $!\n";
    close $read;
    $got = run({ setup => sub { POSIX::dup2(fileno $write, 1) } }, 'sole', '-o', 'inventory', 'count');
    is($got->{status}, 74, 'into a pipe that nobody reads: status 74, not a signal');
    line_like($got->{err}, qr/Broken pipe/, '... and one line that says so');
}

# the owner that does not answer, and the one that is gone
$owner->signal('STOP');
$got = run('sole', 'put', 'k', '2', '-o', 'inventory', '-t', '300ms');
ok($got->{status} == 3 || $got->{status} == 69, 'an owner that does not answer: unknown or unreachable')
    or diag("status $got->{status}: $got->{err}");
line_like($got->{err}, qr/^sole: (unknown: timed-out|refused: unreachable): /,
    '... and one line that says which');
$owner->signal('CONT');
is(sole('ping')->{status}, 0, 'it answers again when it goes on');
is($owner->stop, 0, 'the owner ends on SIGTERM');
is(run('sole', 'get', 'k', '-o', 'inventory', '-t', '200ms')->{status}, 69,
    'an owner that is gone: status 69');

done_testing;
