# SPDX-License-Identifier: MIT
#
# The life of sole-reader and sole-writer: ready, the go, an owner that comes late,
# dies, or does not answer, signals once and twice, an output that nobody takes.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use Test::More;

sub owner_reads {
    my ($name) = @_;
    return run('sole', '-o', $name, 'stats')->{out} =~ /^reads +(\d+)/m ? $1 : undef;
}

# the go
{
    my $owner = start_owner('go');
    my $reader = start({ stdin => 'pipe' }, 'sole-reader', '-o', 'go', '--wait', '--duration', '200ms');
    ok($reader->wait_ready, '--wait: it is ready when the owner has answered');
    ok($reader->wait_notice(qr/^STATUS=waiting for the go$/), '... and says what it waits for');
    $reader->say("not yet\n");
    is(owner_reads('go'), 0, '... it has asked nothing');
    ok($reader->running, '... and does not go by itself or by what is written to it');
    $reader->close_input;
    is($reader->finish, 0, 'the end of standard input is the go');
    like($reader->{out}, qr/\Areads: [1-9]\d*\n\z/, '... from which the duration counts');

    $reader = start({ stdin => 'pipe', env => { WATCHDOG_USEC => 100000 } }, 'sole-reader', '-o', 'go',
        '--wait');
    $reader->wait_ready;
    ok(wait_until { (grep { $_ eq 'WATCHDOG=1' } $reader->notices) >= 5 },
        'the watchdog is fed while it waits');
    is($reader->stop, 0, 'SIGTERM while waiting: status 0');
    is($reader->{out}, "reads: 0\n", '... and the total');
    is(run('sole-reader', '-o', 'go', '--wait', '-d', '50ms')->{status}, 0,
        'an empty standard input is the go at once');
    is(run({ setup => sub { POSIX::close(0) } }, 'sole-reader', '-o', 'go', '--wait', '-d',
        '50ms')->{status}, 0,
        'and so is none at all');
    $owner->stop;
}

# the owner comes late
{
    my $writer = start('sole-writer', '-o', 'late', '--connect-timeout', 0, '--duration', '200ms');
    $writer->wait_notice(qr/^STATUS=looking/);
    my $owner = start_owner('late');
    ok($writer->wait_ready, 'a client that was there first is ready when its owner comes');
    is($writer->finish, 0, '... and does its work');
    like($writer->{out}, qr/\Awrites: [1-9]\d*\n\z/, '... which counts');
    $owner->stop;
    is($owner->{out}, "reads: 0, writes: " . ($writer->{out} =~ s/\D//gr) . "\n", '... to the unit');
}

# what it tells its supervisor
{
    my $owner = start_owner('told');
    my $reader = start({ env => { WATCHDOG_USEC => 100000 } }, 'sole-reader', '-o', 'told');
    ok($reader->wait_notice(qr/^STATUS=reads: \d+, not done: 0$/), 'STATUS= tells the total so far');
    ok(wait_until { (grep { $_ eq 'WATCHDOG=1' } $reader->notices) >= 5 },
        'WATCHDOG=1 is told while it asks');
    $reader->stop;
    my @notices = $reader->notices;
    is(scalar(grep { $_ eq 'READY=1' } @notices), 1, 'READY=1 is told once');
    is(scalar(grep { $_ eq 'STOPPING=1' } @notices), 1, 'STOPPING=1 is told once');
    is($reader->{status}, 0, 'status 0');
    $owner->stop;
}

# the owner dies in the middle, and another takes its place
{
    my $owner = start_owner('dying');
    my $reader = start('sole-reader', '-o', 'dying', '--actors', 20);
    my $writer = start('sole-writer', '-o', 'dying', '--actors', 20);
    $_->wait_ready for $reader, $writer;
    ok(wait_until { (owner_reads('dying') // 0) > 100 }, 'readers and writers are at work');
    $owner->stop('KILL');
    my $next = start_owner('dying');
    ok(wait_until { (owner_reads('dying') // 0) > 100 },
        'when the owner was killed they go on with the next');
    is($_->stop, 0, "$_->{name} ends with status 0") for $reader, $writer;
    like($reader->{err}, qr/\A\z/, 'every read was retried');
    like($writer->{err}, qr/\A(sole-writer: unknown: \d+ [a-z-]+(, \d+ [a-z-]+)*\n)?\z/,
        'writes under way are unknown, told in one line, and nothing was refused');
    my ($unknown) = (0, map { /(\d+)/g } $writer->{err});
    cmp_ok($unknown, '<=', 20, '... at most one for each actor');
    is($next->stop, 0, 'the next owner ends with status 0');
    my ($reads, $writes) = $next->{out} =~ /\Areads: (\d+), writes: (\d+)\n\z/;
    cmp_ok($reads, '<=', $reader->{out} =~ s/\D//gr, 'it served a part of the reads');
    cmp_ok($writes, '<=', $writer->{out} =~ s/\D//gr, '... and of the writes');
}

# an owner that does not answer
{
    my $owner = start_owner('mute');
    # More than may be under way at once, and no pause: some wait for an answer at any time.
    my $writer = start('sole-writer', '-o', 'mute', '--actors', 1000, '--pause', 0, '--timeout', 0);
    ok(wait_until { run('sole', '-o', 'mute', 'count')->{out} eq "5\n" }, 'writers are at work');
    $owner->signal('STOP');
    ok(wait_until { !alive($owner->pid) || slurp("/proc/$owner->{pid}/stat") =~ /\) T / },
        'the owner falls silent');
    $writer->signal('TERM');
    ok($writer->wait_notice(qr/^STATUS=waiting for [1-9]\d* answers$/),
        'SIGTERM: it waits for what is under way');
    $writer->signal('TERM');
    is($writer->finish(5), 0, 'a second SIGTERM hurries it, status 0 all the same');
    line_like($writer->{err}, qr/^sole-writer: (refused: \d+ cancelled(; |$))?(unknown: \d+ [a-z-]+)?$/,
        '... what was under way is told');
    like($writer->{out}, qr/\Awrites: \d+\n\z/, '... and the total');
    $owner->signal('CONT');
    is($owner->stop, 0, 'the owner goes on and ends with status 0');
    my ($counted) = $owner->{out} =~ /writes: (\d+)/;
    my ($unknown) = $writer->{err} =~ /unknown: (\d+)/;
    my $difference = $counted - ($writer->{out} =~ s/\D//gr);
    cmp_ok($difference, '>=', 0, 'it counted no fewer writes than the client');
    cmp_ok($difference, '<=', $unknown // 0, '... and more by those whose outcome is unknown at the most');

    $owner = start_owner('slow');
    my $reader = start('sole-reader', '-o', 'slow', '--actors', 3, '--timeout', '100ms', '--pause', 0);
    ok(wait_until { (owner_reads('slow') // 0) > 100 }, 'readers are at work');
    $owner->signal('STOP');
    ok($reader->wait_notice(qr/^STATUS=reads: \d+, not done: [3-9]/),
        'requests time out and the actors go on');
    $owner->signal('CONT');
    is($reader->stop, 0, 'SIGTERM: status 0');
    line_like($reader->{err}, qr/^sole-reader: (refused|unknown): \d+ [a-z-]+/,
        '... those that failed are told by code');
    $owner->stop;
}

# an output that nobody takes
{
    my $owner = start_owner('output');
    my $got = run({ stdout => '/dev/full' }, 'sole-reader', '-o', 'output', '-d', '50ms');
    is($got->{status}, 74, 'totals to a full device: status 74');
    line_like($got->{err},
        qr/cannot write the totals to standard output: No space left on device: reads were [1-9]\d*$/,
        '... and one line that tells them');
    pipe my $read, my $write or die "pipe: $!\n";
    close $read;
    $got = run({ setup => sub { POSIX::dup2(fileno $write, 1) } }, 'sole-writer', '-o', 'output', '-d',
        '50ms');
    is($got->{status}, 74, 'totals into a pipe that nobody reads: status 74, not a signal');
    line_like($got->{err}, qr/Broken pipe: writes were [1-9]\d*$/, '... and one line that tells them');
    $owner->stop;
}

done_testing;
