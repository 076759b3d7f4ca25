# SPDX-License-Identifier: MIT
#
# The command line of `sole` itself: what is wrong is told in one line that says
# what to do, with status 64, and nothing is asked of anybody.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use Test::More;

# [arguments], what the line says, title
my @wrong = (
    [[], qr/sole --help/, 'no command'],
    [['frobnicate'], qr/'frobnicate' is not a command/, 'a command that does not exist'],
    [['-5', 'get'], qr/'-5' is not a command/, 'a number as the command'],
    [['get'], qr/missing.*usage: sole get KEY/, 'get without a key'],
    [['get', 'a', 'b'], qr/too much.*usage: sole get KEY/, 'get with two keys'],
    [['put', 'a'], qr/missing.*usage: sole put KEY VALUE/, 'put without a value'],
    [['add', 'a', '1', '2'], qr/too much/, 'add with two numbers'],
    [['add', 'a', 'many', '-o', 'x'], qr/'many' cannot be added: give a whole number/, 'add of a word'],
    [['add', 'a', '9223372036854775808', '-o', 'x'], qr/cannot be added/, 'add of 2 to the 63rd'],
    [['count', 'a'], qr/too much/, 'count with a key'],
    [['cas', 'k', '1'], qr/needs OLD or --absent/, 'cas without NEW'],
    [['cas', 'k', '1', '2', '--absent'], qr/in place of OLD/, 'cas with OLD and --absent'],
    [['cas', 'k', '-', '-', '-o', 'x'], qr/'-' stands twice/, 'standard input as two values'],
    [['restart'], qr/usage: sole restart CHILD/, 'restart without a child'],
    [['status', 'reader', '-o', 'x'], qr/an owner has no children/, 'status of a child of an owner'],
    [['get', 'k', '--frob'], qr/option '--frob' is not known; see sole get --help/, 'an unknown option'],
    [['get', 'k', '-zv'], qr/option '-z' is not known/, 'an unknown letter before a known one'],
    [['get', 'k', '--absent'], qr/option '--absent' is not known; see sole get --help/,
        'an option of another command'],
    [['get', 'k', '--verbose=1'], qr/takes no value/, 'a value for an option that takes none'],
    [['get', 'k', '-t'], qr/option '-t' needs a value/, 'an option without its value'],
    [['get', 'k', '-t', 'soon'], qr/'soon' is not a time such as/, 'a time that is none'],
    [['get', 'k', '-t', '-5'], qr/'-5' is not a time such as/, 'a negative time'],
    [['get', 'k', '-t', '1e9'], qr/'1e9' is not a time such as/, 'a time in the wrong notation'],
    [['get', 'k'], qr/--owner|SOLE_ENDPOINT|endpoint/, 'neither owner nor endpoint'],
    [['get', 'k', '-o', '../x'], qr/name/, 'an owner that is a path'],
    [['get', 'k', '-o', 'x' x 65], qr/1 to 64/, 'a name that is too long'],
    [['get', 'k', '-e', 'udp://x'], qr/ipc:|tcp:/, 'an endpoint of an unknown kind'],
);
for (@wrong) {
    my ($arguments, $says, $title) = @$_;
    my $got = run('sole', @$arguments);
    is($got->{status}, 64, "$title: status 64");
    line_like($got->{err}, $says, "$title: one line that says so");
    is($got->{out}, '', "$title: nothing on standard output");
}

# A folder whose sockets would not fit into an address.
my $long = path('d' x 90);
mkdir $long or die "mkdir: $!\n";
my $got = run({ env => { SOLE_RUNTIME_DIR => $long } }, 'sole', 'get', 'k', '-o', 'counters');
is($got->{status}, 64, 'a runtime folder with too long a path: status 64');
line_like($got->{err}, qr/shorter folder/, '... and the line says to take a shorter one');

# Help
$got = run('sole', '--help');
is($got->{status}, 0, '--help is no error');
is($got->{err}, '', '... and all of it goes to standard output');
like($got->{out}, qr/\A  sole put /, '... it begins with an example');
my ($told) = $got->{out} =~ /Status: ([^.]*)\n\n/s;
my ($manual) = slurp('clients/sole.1') =~ /^\.Sh EXIT STATUS\n(.*?)^\.El$/ms;
is(join(' ', $told =~ /(?:^|, |,\n)(\d+) /g), join(' ', $manual =~ /^\.It (\d+)$/mg), '... and lists the statuses of sole(1), all of them');
my $all = run('sole', '--help-all')->{out};
for ('call', 'txn') {
    like(run('sole', $_, '--help')->{out}, qr/^The session ends with the command, .* goes back/m, "$_ --help says what becomes of its session");
}
for my $command (qw(get put del add cas count ping stats status start stop restart)) {
    my $help = run('sole', $command, '--help');
    is($help->{status}, 0, "$command --help is no error");
    like($help->{out}, qr/\A  sole $command/, "... and begins with an example of $command");
    like($got->{out}, qr/^  .* \Q$command\E\b/m, "... which sole --help lists");
    like($all, qr/^  \Q$command\E\b.* [A-Z]/m, "... and sole --help-all describes");
}
like(run('sole', '--version')->{out}, qr/\Asole \d+\.\d+\.\d+\n\z/, '--version prints name and version');
like(run('sole', 'get', '--version')->{out}, qr/\Asole \d+\.\d+\.\d+\n\z/, '... behind a command too');

# Help that cannot be printed
$got = run({ stdout => '/dev/full' }, 'sole', '--help');
is($got->{status}, 74, '--help to a full device: status 74');
line_like($got->{err}, qr/cannot write to standard output: No space left/, '... and one line that says so');
$got = run({ setup => sub { POSIX::close(1) } }, 'sole', '--help');
is($got->{status}, 74, '--help without a standard output: status 74');
line_like($got->{err}, qr/cannot write to standard output: Bad file descriptor/,
    '... and one line that says so');

# Standard input that cannot be stored
$got = run({ input => 'x' x (1048576 + 1) }, 'sole', 'put', 'k', '-', '-o', 'x');
is($got->{status}, 65, 'more standard input than a message can carry: status 65');
line_like($got->{err}, qr/larger than 1048576 bytes/, '... and one line that says so');
$got = run({ stdin => '/' }, 'sole', 'put', 'k', '-', '-o', 'x');
is($got->{status}, 74, 'a standard input that cannot be read: status 74');
line_like($got->{err}, qr/cannot read standard input: Is a directory/, '... and one line that says so');
$got = run({ setup => sub { POSIX::close(0) } }, 'sole', 'put', 'k', '-', '-o', 'x');
is($got->{status}, 74, 'no standard input: status 74');

# Nobody there
$got = run('sole', 'get', 'k', '-o', 'nobody', '-t', '200ms');
is($got->{status}, 69, 'no owner: status 69');
line_like($got->{err},
    qr{^sole: refused: unreachable: no owner answered at ipc://.*/nobody\.sock within 200ms: start},
    '... and the line says where it was looked for, for how long, and what to do');
$got = run({ env => { SOLE_ENDPOINT => 'ipc://' . path('there.sock') } }, 'sole', 'ping', '-t', '100ms');
is($got->{status}, 69, 'no owner at $SOLE_ENDPOINT: status 69');
like($got->{err}, qr{there\.sock}, '... which is where it was looked for');
$got = run({ env => { SOLE_ENDPOINT => 'ipc://' . path('there.sock') } }, 'sole', 'ping', '-t', '100ms',
    '-o', 'name');
like($got->{err}, qr{name\.sock}, '-o beats $SOLE_ENDPOINT');
$got = run('sole', 'ping', '-t', '100ms', '-e', 'ipc://' . path('e.sock'), '-o', 'name');
like($got->{err}, qr{/e\.sock}, '-e beats -o');
for (['status'], ['restart', 'x'], ['stop', 'x'], ['start', 'x'], ['status', 'x']) {
    $got = run('sole', @$_);
    is($got->{status}, 69, "no supervisor: @$_ has status 69");
    line_like($got->{err}, qr/no supervisor is running: start one with sole-supervisor/,
        '... and says what to do');
}

# Few descriptors
SKIP: {
    skip 'valgrind needs descriptors itself', 1 if $ENV{SOLE_WRAPPER};
    my @odd;
    for my $limit (4 .. 16) {
        # The shell opens nothing: the program has the three standard ones and what is left.
        my $got = run('/bin/sh', '-c', "ulimit -n $limit; exec \"\$@\"", 'sh', program('sole'), 'ping', '-t', '100ms',
            '-o', 'nobody');
        push @odd, "$limit: " . ($got->{status} // "signal $got->{signal}") . " $got->{err}"
            if ($got->{status} // 0) !~ /^(?:69|71|127)$/ || ($got->{err} =~ tr/\n//) != 1;
    }
    is(join('', @odd), '', 'with few descriptors, status 71 and one line, or it works');
}

done_testing;
