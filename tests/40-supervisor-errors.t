# SPDX-License-Identifier: MIT
#
# After its start the supervisor does not die of an error: each is told, and what
# failed is tried again. strace makes system calls fail.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Supervised;
use Sole::Test;
use Test::More;

my ($strace) = grep { -x } map { "$_/strace" } split /:/, $ENV{PATH};
plan skip_all => 'there is no strace' unless $strace;
plan skip_all => 'strace may not trace here' if run($strace, '-o', '/dev/null', '/bin/true')->{status} != 0;
plan skip_all => 'sanitizers and valgrind do not run under strace'
    if $ENV{SOLE_WRAPPER} || slurp(program('sole-supervisor')) =~ /__asan_init/;

# Starts it with an injected failure; returns the process and the supervisor's pid.
sub with_failure {
    my ($name, $inject, @parts) = @_;
    my ($calls) = $inject =~ /^([^:]+)/;
    my $s = start($strace, '-o', path("$name.strace"), '-e', "trace=$calls", '-e', "inject=$inject",
        program('sole-supervisor'), write_file($name, @parts));
    return $s;
}

sub supervisor_pid {
    my ($s) = @_;
    my $pid;
    # Not seen while it is stopped for strace.
    wait_until { ($pid) = grep { slurp("/proc/$_/comm") =~ /^sole-superviso/ } descendants($s->pid) };
    return $pid;
}

sub stop_traced {
    my ($s) = @_;
    kill TERM => supervisor_pid($s);
    return $s->finish;
}

my $descriptors = sub { my @all = glob('/proc/' . supervisor_pid($_[0]) . '/fd/*'); scalar @all };

# making processes
my $usual;
{
    my $s = with_failure('none', 'clone:error=EAGAIN:when=1000', child('x', 'ready', ready => 'notify', instances => 3), child('y', 'ready', ready => 'notify'));
    wait_up($s);
    $usual = $descriptors->($s);
    is(stop_traced($s), 0, '');
}
for my $case (
    ['clone',     'clone,clone3,fork,vfork:error=EAGAIN:when=1..3', qr/x\.\d cannot be started: cannot make a process: Resource temporarily unavailable; trying again in \d+/],
    ['clonemem',  'clone,clone3,fork,vfork:error=ENOMEM:when=2..4', qr/cannot make a process: Cannot allocate memory/],
    ['pipe',      'pipe2:error=EMFILE:when=2..6',                   qr/cannot be started: cannot make a pipe: Too many open files/],
    ['pipefull',  'pipe2:error=ENFILE:when=3..5',                   qr/cannot be started: cannot make a pipe: Too many open files in system/],
) {
    my ($name, $inject, $line) = @$case;
    my $s = with_failure($name, $inject, "intensity = 0\n", child('x', 'ready', ready => 'notify', instances => 3), child('y', 'ready', ready => 'notify'));
    ok(wait_up($s), "$inject: all children come up in the end, and none of it counts as a restart");
    like($s->err, $line, '... the error was told');
    is($descriptors->($s), $usual, '... no descriptor was lost');
    is(stop_traced($s), 0, '... and it stops as ever');
}

# running programs: strace fails every attempt on this one
{
    my $program = spew('program', "#!/bin/sh\nsleep 1000\n");
    chmod 0755, $program;
    my $s = start($strace, '-f', '-o', path('exec.strace'), '-P', $program, '-e', 'trace=execve', '-e', 'inject=execve:error=EAGAIN',
        program('sole-supervisor'), write_file('exec', "intensity = 0\n", "child = p\n    command = $program\n"));
    ok($s->wait_output('err', qr/(sole-supervisor: p: pid \d+: could not be run: running the program: \S+: Resource temporarily unavailable .* restarting it in .*\n){3}/),
        'execve: error=EAGAIN: is told, tried again, and does not count as a restart');
    is(stop_traced($s), 0, '... and it stops as ever');
}

# the control socket
for my $case (['accept', 'accept4:error=EMFILE:when=1..2', qr/cannot accept on the control socket: Too many open files/]) {
    my ($name, $inject, $line) = @$case;
    my $s = with_failure($name, $inject, child('x', 'ready', ready => 'notify'));
    wait_up($s);
    is((status_of($name, 'x'))[1], 'ready', "$inject: the client is served in the end");
    like($s->err, $line, '... the error was told');
    is(stop_traced($s), 0, '');
}

# watching, waiting, receiving
for my $case (
    ['epollctl',  'epoll_ctl:error=ENOMEM:when=6..9'],
    ['epollwait', 'epoll_wait:error=EINTR:when=3..20'],
    ['recvmsg',   'recvmsg:error=ENOBUFS:when=1..2'],
    ['kill',      'kill:error=EPERM:when=1'],
) {
    my ($name, $inject) = @$case;
    my $s = with_failure($name, $inject, child('x', 'ready', ready => 'notify', instances => 3), child('y', 'ready', ready => 'notify'));
    ok(wait_up($s), "$inject: all children come up");
    is(stop_traced($s), 0, '... and it stops as ever');
}

# writing
for my $case (['wagain', 'write:error=EAGAIN:when=3..4'], ['wnospc', 'write:error=ENOSPC:when=3..4'], ['wio', 'write:error=EIO:when=3+']) {
    my ($name, $inject) = @$case;
    my $s = with_failure($name, $inject, child('x', 'mark FILE:' . $name . ' complain hello ready', ready => 'notify'), child('y', "mark FILE:$name", ready => 'none'));
    is(scalar(wait_marks($name, 2)), 2, "$inject: children come up");
    is(stop_traced($s), 0, '... and it stops as ever');
}

# really out of descriptors
{
    my $s = supervised('few', child('x', 'ready', ready => 'notify', instances => 20),
        { setup => sub { exec 'sh', '-c', 'ulimit -n 30; exec "$0" "$1"', program('sole-supervisor'), path('few.zpl') } });
    ok($s->wait_output('err', qr/cannot be started: cannot \w+ a \w+: Too many open files/), 'without descriptors for all children it says so');
    ok($s->running, '... lives on');
    ok(wait_until(sub { 5 <= grep { / ready / } ask('few', 'status') }), '... with those that it could start');
    is(stop_well($s), 0, '... and stops as ever');
}

# memory at a reload
{
    my $s = supervised('memory', child('x', 'ready', ready => 'notify'),
        { setup => sub { exec 'sh', '-c', 'ulimit -v 60000; exec "$0" "$1"', program('sole-supervisor'), path('memory.zpl') } });
    wait_up($s);
    for (1 .. 3) { $s->signal('HUP'); wait_until { (() = $s->err =~ /read again/g) >= $_ } }
    is((status_of('memory', 'x'))[1], 'ready', 'reading the file again with little memory disturbs nobody');
    is(stop_well($s), 0, '');
}

done_testing();
