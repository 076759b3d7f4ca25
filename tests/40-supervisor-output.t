# SPDX-License-Identifier: MIT
#
# The children's output: lines whole and named, a reader that does not read does
# not stop the supervisor, and the live line of a terminal.
use strict;
use warnings;
use lib 'tests/lib';
use Fcntl qw(O_RDONLY O_NONBLOCK);
use POSIX qw(mkfifo);
use Sole::Supervised;
use Sole::Test;
use Test::More;

# A FIFO with a reader that does not read yet.
sub fifo {
    my ($name) = @_;
    mkfifo(path($name), 0600) or die "mkfifo: $!\n";
    sysopen my $reader, path($name), O_RDONLY | O_NONBLOCK or die "open: $!\n";
    return (path($name), $reader);
}

# Reads until the text matches, or for some seconds.
sub read_until {
    my ($reader, $regex) = @_;
    my $all = '';
    wait_until { 1 while sysread $reader, $all, 65536, length $all; $all =~ $regex } 20;
    return $all;
}

# lines
{
    my $long = 'x' x 10000;
    my $s = supervised('lines', "child = lines\n    command = sh -c 'printf \"a\\nb\\n\"; printf \"half\"; sleep 0.1; printf \" line\\n\"; printf \"unfinished\"'\n    restart = temporary\n",
        "child = long\n    command = $^X -e 'print \"y\" x 10000, qq{\\n}'\n    restart = temporary\n",
        "child = plain\n    command = $^X -e 'print qq{\\0\\1bytes\\nlast}'\n    restart = temporary\n    output = plain\n");
    ok($s->wait_output('err', qr/^lines: unfinished\n/m), 'a line without an end is completed when the child ends');
    like(join('', $s->err =~ /^(lines: .*\n)/mg), qr/\Alines: a\nlines: b\nlines: half line\n/, 'lines come whole, however they were written');
    ok($s->wait_output('err', qr/^lines: unfinished\nsole-supervisor: lines: pid/m), '... before its obituary');
    $s->wait_output('out', qr/last/);
    wait_until { (status_of('lines', 'long'))[1] eq 'ended' };
    my @y = $s->err =~ /^long: (y+)$/mg;
    is(length(join '', @y), 10000, 'a line that is too long comes in parts, each named');
    cmp_ok((sort { $b <=> $a } map { length } @y)[0], '<=', 4096, '... none longer than 4096');
    is(stop_well($s), 0, '');
    is($s->{out}, "\0\1bytes\nlast", 'plain output is passed on byte by byte');
}

# nobody reads standard error
{
    my ($path, $reader) = fifo('err');
    my $s = supervised('blocked', "intensity = 1000\n",
        child('flood', 'ready', ready => 'notify'),
        "child = loud\n    command = $^X -e 'print STDERR \"line \$_\\n\" for 1 .. 60000; sleep 1 while 1'\n",
        child('later', 'mark FILE:later ready', ready => 'notify'), { stderr => $path });
    ok(wait_marks('later', 1), 'with standard error not read, children are started');
    is((status_of('blocked', 'flood'))[1], 'ready', '... questions answered');
    kill KILL => (marks('later'))[0][1];
    is(scalar(wait_marks('later', 2)), 2, '... children restarted');
    wait_until { wait_until { (status_of('blocked', 'later'))[1] eq 'ready' } };
    like(slurp('/proc/' . $s->pid . '/fdinfo/2'), qr/^flags:\s+0*1?0000[012]$|^flags:\s+\d*[0-3]\d{3}$/m, '... and the pipe, which others share, was not made non-blocking');
    my $text = read_until($reader, qr/were dropped/);
    like($text, qr/^sole-supervisor: \d+ lines for standard error were dropped: it was not read$/m, 'when it is read again, what was dropped is told');
    $text =~ s/[^\n]+\z//;    # reading may have stopped inside a line
    my @broken = grep { !/^(loud: line \d+|sole-supervisor: .*)$/ } split /\n/, $text;
    is(scalar(@broken), 0, '... and no line is broken') or diag(join "\n", @broken[0 .. 2]);
    close $reader;
    is(join(' ', ask('blocked', 'restart later')), 'wait ok', 'when the reader is gone for good, supervision goes on');
    is(stop_well($s), 0, '');
}

# nobody reads standard output
{
    my ($path, $reader) = fifo('out');
    my $s = supervised('blockedout',
        "child = loud\n    command = $^X -e '\$| = 1; print \"line \$_\\n\" for 1 .. 60000; sleep 1 while 1'\n    output = plain\n",
        child('x', 'ready', ready => 'notify'), { stdout => $path });
    wait_up($s);
    is(join(' ', ask('blockedout', 'restart x')), 'wait ok', 'with standard output not read, supervision goes on');
    ok($s->wait_output('err', qr/./), '');
    like(read_until($reader, qr/line 100\n/), qr/^line 1\nline 2\n/, '... and it is there when it is read');
    is(stop_well($s), 0, '... and the end does not wait for ever');
}

# closed descriptors
{
    my $s = supervised('closed', child('x', 'mark FILE:closed say hello complain hello ready', ready => 'notify', output => 'plain'),
        { setup => sub { POSIX::close($_) for 0, 1, 2 } });
    wait_marks('closed', 1);
    wait_until { ((status_of('closed', 'x'))[1] // '') eq 'ready' };
    is((status_of('closed', 'x'))[1], 'ready', 'without any standard descriptor it runs');
    is(stop_well($s), 0, '');
}

# the journal
{
    my $s = supervised('journal', child('x', 'exit 1', restart => 'temporary'), { setup => sub { $ENV{JOURNAL_STREAM} = join ':', (stat STDERR)[0, 1] } });
    ok($s->wait_output('err', qr/^<4>x: pid \d+: exited with status 1/m), 'under the journal, lines carry their level');
    is(stop_well($s), 0, '');
}

# a terminal
{
    my $sum = q($SIG{TERM} = sub { print qq{total: 7\n}; exit }; $| = 1; print qq{begun\n}; sleep 1 while 1);
    my $file = write_file('terminal', "child = sum\n    command = $^X -e '$sum'\n    output = plain\n",
        "child = part\n    command = printf 'no end'\n    output = plain\n    restart = temporary\n",
        child('x', 'ready tell X_SOLE_OPS=10 pause 0.1 tell X_SOLE_OPS=123456 complain hello', ready => 'notify', instances => 2));
    SKIP: {
        skip 'there is no script(1)', 10 unless -x '/usr/bin/script';
        my $s = start('/usr/bin/script', '-qefc', "'" . program('sole-supervisor') . "' '$file'", '/dev/null');
        ok($s->wait_output('out', qr/terminal: 3 of 4 up, [1-9][\d ]* operations\/s, 0 restarts, \S+/), 'on a terminal there is a live line: children up, operations a second, restarts');
        $s->wait_output('out', qr/x\.2: hello/);
        like($s->out, qr/\r\e\[Kx\.[12]: hello\r?\n/, '... which is erased before a log line');
        $s->wait_output('out', qr/$_/) for 'begun', 'no end', 'x\.1: hello';
        my ($pid) = grep { slurp("/proc/$_/comm") =~ /^sole-superviso/ } descendants($s->pid);
        kill TERM => $pid;
        is($s->finish, 0, '');
        my $out = $s->out;
        unlike($out, qr/operations\/s[^\r\n]*\z/, '... and at the end');
        # When both come in one turn the one stands behind the other, as they were written.
        like($out, qr/(?:\A|\n|\r\e\[K)(?:no end)?$_\r?\n/, "... and before plain output: $_") for 'begun', 'total: 7';
        like($out, qr/(?:\A|\n|\r\e\[K)no end(?:begun)?\r?\n/, 'plain output without an end is not written over');
        unlike($out, qr/are ready\r?\n.*, starting/s, 'once all are ready the live line does not say "starting"');
        like($out, qr/told to stop: [^\r\n]*\r?\nterminal: 3 of 4 up, [^\r\n]*, stopping\r/, 'once told to stop it says "stopping", and how many are left');
        unlike($out, qr/, -/, 'no time in it is negative');
    }
    my $s = start('sole-supervisor', $file);
    $s->wait_output('err', qr/hello/);
    is(stop_well($s), 0, '');
    unlike($s->{err}, qr/\e|\r|operations\/s/, 'elsewhere there is none');
}

done_testing();
