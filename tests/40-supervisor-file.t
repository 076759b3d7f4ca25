# SPDX-License-Identifier: MIT
#
# The supervisor's file: --check prints the plan, or every mistake by its line; a
# bad file, a bad option and a name in use end in one clear line and a status.
use strict;
use warnings;
use lib 'tests/lib';
use Fcntl qw(LOCK_EX);
use Sole::Supervised;
use Sole::Test;
use Test::More;

sub check { return run('sole-supervisor', '--check', spew("$_[0].zpl", $_[1])) }

# the plan
{
    my $r = check('good', <<'END');
#   A comment
strategy = rest_for_one   #  and another
duration = 2s

child = base
    command = sh -c 'echo "two words"; exit 0'
    environment
        KEY = value
child = worker
    command = sleep 1000
    instances = 4
    restart = transient
    significant = yes
END
    is($r->{status}, 0, '--check of a good file: status 0');
    is($r->{err}, '', '... nothing on standard error');
    like($r->{out}, qr/^supervisor good: 5 processes, rest_for_one, gives up after more than 5 restarts in 10\.0s,$/m, 'the plan has the limits');
    like($r->{out}, qr/runs for 2\.00s$/m, '... the duration');
    like($r->{out}, qr/^1\. base\n.*^2\. worker\.1 to worker\.4, together$/ms, '... the order and the instances');
    like($r->{out}, qr{program +/\S*/sleep$}m, '... what will be run');
    like($r->{out}, qr/environment +KEY=value$/m, '... the environment');
    like($r->{out}, qr/restart +transient, significant$/m, '... the restart kinds');
    is(join(' ', glob(path('good.*'))), path('good.zpl'), '--check makes no file');
}
{
    my $r = run({ stdout => '/dev/full' }, 'sole-supervisor', '--check', path('good.zpl'));
    is($r->{status}, 74, 'a plan that cannot be written: EX_IOERR');
}

# every mistake
{
    my $text = <<'END';
strategy = two_for_one
 odd = indentation
intensity = 1001
period = 0
backoff = 2s
backoff-max = 1s
colour = blue
    below = 1
child = one
    restart = sometimes
    command = "not closed
    instances = 0
child = two
    command = no-such-program --option
    significant = yes
	tabbed = 1
child = two
    command = sh 'not closed
child = three
    instances = 3
    ready = maybe
            deep = 1
    listen = a/b
    listen = taken
    directory = /nonexistent
    environment
        1A = x
        B = x
        B = y
    watchdog = soon
    restart = permanent
    restart = temporary
    listen-mode = 999
child = three.2
    command = sh
    command = sh
    go = maybe
    output = loud
        below = x
    listen = taken
child = -bad-
    command =
END
    my @expected = (
        [1,  'strategy: .two_for_one. is not one_for_one or one_for_all or rest_for_one'],
        [2,  'not indented by 4 spaces'],
        [3,  'intensity: .1001. is not a whole number from 0 to 1000'],
        [4,  'period: .0. is not from 1ms to 365d'],
        [6,  'backoff-max is less than backoff'],
        [7,  '.colour. is not a setting of the supervisor'],
        [10, 'restart: .sometimes. is not permanent or transient or temporary'],
        [11, 'a quote that is not closed'],
        [12, 'instances: .0. is not a whole number from 1 to 1000'],
        [13, 'significant and permanent'],
        [14, 'command: .no-such-program. is not a program beside sole-supervisor or in PATH'],
        [16, 'indented by a tab'],
        [17, 'the name two is taken by child two of line 13'],
        [18, 'the command has a . that is not closed'],
        [19, 'child three has no command'],
        [21, 'ready: .maybe. is not none or notify'],
        [22, 'indented below nothing'],
        [23, 'listen: .a/b. is not an absolute path or the name of an owner'],
        [25, 'directory: ./nonexistent. is not a folder'],
        [27, '.1A. is not the name of a variable'],
        [29, 'the variable B is given twice'],
        [30, 'watchdog: .soon. is not a time'],
        [32, 'restart is given in line 31 already'],
        [33, 'listen-mode: .999. is not octal'],
        [34, 'the name three\.2 is taken by child three of line 19'],
        [36, 'command is given in line 35 already'],
        [37, 'go: .maybe. is not no or yes'],
        [38, 'output: .loud. is not prefixed or plain or errors'],
        [39, '.below. stands below output, which has nothing below it'],
        [40, 'listen: .taken. is given to three already'],
        [41, 'child: .-bad-.: a name does not start with'],
        [42, 'the command is empty'],
    );
    my $r = check('bad', $text);
    is($r->{status}, 78, 'a file with mistakes: EX_CONFIG');
    is($r->{out}, '', '... nothing on standard output, of CZMQ neither');
    my @lines = split /\n/, $r->{err};
    is(scalar(@lines), scalar(@expected), '... one line a mistake, and no more') or diag($r->{err});
    for (@expected) {
        my ($line, $what) = @$_;
        ok((grep { /^sole-supervisor: \S+bad\.zpl:$line: .*$what/ } @lines), "line $line: $what");
    }
    my @numbers = map { /zpl:(\d+):/ ? $1 : () } @lines;
    is("@numbers", join(' ', sort { $a <=> $b } @numbers), '... in the order of the lines');
    is(run('sole-supervisor', path('bad.zpl'))->{status}, 78, 'without --check too');
}

# whole-file mistakes
for my $case (
    ['empty',   '',                              78, qr/has no child: add a line/],
    ['many',    "child = a\n    command = sh\n    instances = 1000\n" . join('', map { "child = b$_\n    command = sh\n    instances = 1000\n" } 1 .. 4), 78, qr/asks for 5000 processes: the limit is 4096/],
    ['nul',     "child = a\n    command = sh\0\n", 78, qr/:2: has a NUL byte/],
    ['large',   "#" x 70000,                      78, qr/is larger than 64 KiB/],
    ['.hidden', "child = a\n    command = sh\n",   78, qr/cannot name the supervisor.*add a line 'name = NAME'/],
    ['crlf',    "child = a\r\n    command = sh\r\n", 0, qr/^$/],
    ['noend',   "child = a\n    command = sh",     0,  qr/^$/],
) {
    my ($name, $text, $status, $line) = @$case;
    my $r = check($name, $text);
    is($r->{status}, $status, "$name: status $status");
    like($r->{err}, $line, '... and what it is');
}
{
    my $r = check('manymistakes', "x = 1\n" x 300);
    is(scalar(split /\n/, $r->{err}), 201, 'after 200 mistakes the rest is counted');
}

# what is no file
for my $case (
    [[path('none.zpl')],           66, qr/none\.zpl: cannot be read: No such file/],
    [[folder()],                   66, qr/cannot be read: Is a directory/],
    [[],                           64, qr/give one FILE/],
    [[path('good.zpl'), 'x'],      64, qr/give one FILE/],
    [['--nonsense'],               64, qr/option '--nonsense' is not known/],
    [['--duration', 'x', 'y.zpl'], 64, qr/--duration: 'x' is not a time/],
) {
    my ($arguments, $status, $line) = @$case;
    my $r = run('sole-supervisor', @$arguments);
    is($r->{status}, $status, "sole-supervisor @{[map { s{.*/}{}r } @$arguments]}: status $status");
    line_like($r->{err}, $line, '... one line');
}
like(run('sole-supervisor', '--help')->{out}, qr/--check.*--duration/s, '--help lists the options');

# where it cannot be
{
    my $file = write_file('place', child('x', 'ready', ready => 'notify'));
    my $r = run({ env => { SOLE_RUNTIME_DIR => path('no/such') } }, 'sole-supervisor', $file);
    is($r->{status}, 73, 'a folder that cannot be made: EX_CANTCREAT');
    line_like($r->{err}, qr/cannot use the folder/, '... one line');
    $r = run({ env => { SOLE_RUNTIME_DIR => path('x' x 100) } }, 'sole-supervisor', $file);
    is($r->{status}, 78, 'a path that is too long: EX_CONFIG');
    spew('place.supervisor', 'a file');
    $r = run('sole-supervisor', $file);
    is($r->{status}, 73, 'something else at the socket\'s path: EX_CANTCREAT');
    line_like($r->{err}, qr/place\.supervisor exists and is no socket: remove it/, '... one line');
    is(slurp(path('place.supervisor')), 'a file', '... and it is left alone');
    unlink path('place.supervisor');
}

# Its lock is taken by us, who write our number a while after it was opened. On a loaded machine
# that may come too late, so there are some attempts.
{
    my $pid;
    write_file('early', child('x', 'ready', ready => 'notify'));
    open my $lock, '+>', path('early.supervisor.lock') or die "open: $!\n";
    flock $lock, LOCK_EX or die "flock: $!\n";
    for (1 .. 20) {
        truncate $lock, 0;
        my $s = start('sole-supervisor', path('early.zpl'));
        1 until !$s->running || grep { (readlink($_) // '') eq path('early.supervisor.lock') } glob '/proc/' . $s->pid . '/fd/*';
        select undef, undef, undef, 0.02;
        syswrite $lock, "$$\n";
        sysseek $lock, 0, 0;
        $s->finish;
        ($pid) = $s->err =~ /running already, pid (\w+):/;
        last if $pid eq $$;
    }
    is($pid, $$, 'a second supervisor waits for the first, which has only just begun, to tell its pid');
}

# one of a name
{
    my $s = supervised('single', child('x', 'ready', ready => 'notify'));
    wait_up($s);
    my $r = run('sole-supervisor', path('single.zpl'));
    is($r->{status}, 69, 'a second supervisor of the same name: EX_UNAVAILABLE');
    my $pid = $s->pid;
    line_like($r->{err}, qr/a supervisor called single is running already, pid $pid:/, '... with the pid of the first');
    is((status_of('single', 'x'))[1], 'ready', '... which is not disturbed');
    is(sprintf('%o', (stat path('single.supervisor'))[2] & 0777), '600', 'the control socket has mode 0600');
    is(stop_well($s), 0, '');
}

done_testing();
