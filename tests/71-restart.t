#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# 16 processes ask without a pause while their owner is started again, by the supervisor and by systemd, and while its
# program is replaced by another: a durable owner fails no request and runs none twice; of one in memory only no query
# fails. Prints the longest wait.
use strict;
use warnings;

use File::Copy qw(copy);
use Sole::Supervised qw(write_file wait_up stop_well);
use Sole::Systemd;
use Sole::Test;
use Test::More;
use Time::HiRes qw(time);

use constant { CLIENTS => 16, RESTARTS => 3 };

my $client = program('x') =~ s{/bin/x\z}{/build/plain/tests/restart/client}r;
$client = program('x') =~ s{/bin/x\z}{/tests/restart/client}r if !-x $client;

# Beside each other: `begin` starts clients, `signal` ends them, `restart` does it, `ask` runs sole with its arguments.
sub ridden_through {
    my ($title, $does, %how) = @_;
    my @clients = map { $how{begin}->($_, $does) } 1 .. CLIENTS;
    # Each restart while they are known to ask.
    my $seconds = 0;
    for my $n (1 .. RESTARTS) {
        my $before = $how{requests}->();
        wait_until { $how{requests}->() >= $before + 20 * CLIENTS } 20;
        $how{upgrade}->() if $how{upgrade} && $n == 2;
        my $start = time;
        is($how{restart}->(), 0, "$title: restart $n succeeds");
        $seconds += time - $start;
    }
    my $before = $how{requests}->();
    wait_until { $how{requests}->() >= $before + 20 * CLIENTS } 20;
    $how{signal}->($_) for @clients;
    my ($done, $longest, @bad) = (0, 0);
    for my $process (@clients) {
        my $status = $process->finish(60);
        my ($d, $f, $w, $l, $why) = $process->{out} =~ /^done=(\d+) failed=(\d+) wrong=(\d+) longest_us=(\d+) why=(\S+)$/m;
        push @bad, "status " . ($status // '?') . ": $process->{out}$process->{err}" if !defined $d || $f || $w || !$d;
        $done += $d // 0;
        $longest = $l if defined $l && $l > $longest;
    }
    is(scalar @bad, 0, "$title: no request fails" . ($does eq 'add' ? ', and none runs twice' : '')) or diag(@bad);
    is($how{ask}->('get', 'all'), "$done\n", '... the owner has counted what they have') if $does eq 'add';
    note(my $line = sprintf '%s: %d requests of %d processes through %d restarts of %.0f ms; longest wait %.0f ms',
        $title, $done, CLIENTS, RESTARTS, 1000 * $seconds / RESTARTS, $longest / 1000);
    diag($line) if $ENV{HARNESS_VERBOSE};
}

# What an owner has answered since the first start of this test; it begins anew with each.
sub requests_of { my ($stats) = @_; my $sum = 0; $sum += $1 while $stats =~ /^(?:reads|writes)\s+(\d+)/mg; return $sum }

my $timeout = int seconds(30);

# ---- the supervisor ----

# Copies, so that one can be replaced.
my $programs = path('programs');
mkdir $programs;
sub put_program {
    my ($name) = @_;
    copy(program($name), "$programs/next") or die "cannot copy $name: $!\n";
    chmod 0755, "$programs/next";
    rename "$programs/next", "$programs/$name" or die "cannot rename: $!\n";
}
put_program($_) for qw(sole-supervisor sole-owner);

my $count = 0;
for my $case (['durable', 'add', '--state FOLDER/kept', ''], ['durable, socket held for it', 'add', '--state FOLDER/held', "    listen = NAME\n"],
    ['in memory', 'get', '', '']) {
    my ($title, $does, $state, $listen) = @$case;
    my $name = 'o' . ++$count;
    ($state) = map { s/FOLDER/folder()/er } $state;
    $listen =~ s/NAME/$name/;
    my $supervisor = start("$programs/sole-supervisor", write_file("s-$name", <<"END"));
child = $name
    command = sole-owner --quiet $state $name
    ready = notify
    start-timeout = ${\seconds(20)}s
$listen
END
    wait_up($supervisor) or die $supervisor->err;
    ridden_through("supervisor, $title", $does,
        begin => sub { start({ notify => 0, name => 'client' }, $client, $name, "c$_[0]", $_[1], $timeout) },
        signal => sub { $_[0]->signal('TERM') },
        ask => sub { run('sole', '-o', $name, @_)->{out} },
        upgrade => sub { put_program('sole-owner') },
        requests => sub { requests_of(run('sole', '-o', $name, 'stats')->{out}) },
        restart => sub { run('sole', 'restart', $name)->{status} });
    is(stop_well($supervisor), 0, '... and the supervisor stops well');
}

# ---- systemd ----

SKIP: {
    my $missing = boot(install => sub {
        install_to($_[0]);
        copy($client, "$_[0]/usr/local/bin/restart-client") or die "cannot copy $client: $!\n";
        chmod 0755, "$_[0]/usr/local/bin/restart-client";
    });
    skip $missing, 1 if $missing ne '';
    box('sh', '-c', 'systemd-sysusers && systemd-tmpfiles --create sole.conf; mkdir -p /etc/sole/owner /etc/systemd/system/sole-owner@.service.d');
    box_write('/etc/systemd/system/sole-owner@.service.d/test.conf', "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n");
    box_write('/etc/sole/owner/memory.env', "SOLE_STATE=\n");
    systemctl('daemon-reload');
    for my $case (['durable', 'kept', 'add', 0], ['durable, socket held for it', 'held', 'add', 1], ['in memory', 'memory', 'get', 1]) {
        my ($title, $name, $does, $socket) = @$case;
        systemctl('start', "sole-owner\@$name.socket") if $socket;
        systemctl('start', "sole-owner\@$name.service");
        ridden_through("systemd, $title", $does,
            begin => sub { box_start({ name => 'client' }, 'restart-client', $name, "c$_[0]", $_[1], $timeout) },
            signal => sub { box_signal($_[0], 'TERM') },
            ask => sub { box('sole', '-o', $name, @_)->{out} },
            requests => sub { requests_of(box('sole', '-o', $name, 'stats')->{out}) },
            upgrade => sub { box('sh', '-c', 'cd /usr/local/bin && cp sole-owner next && mv next sole-owner') },
            restart => sub { systemctl('restart', "sole-owner\@$name.service") });
        is(property("sole-owner\@$name", 'NRestarts') . ' ' . property("sole-owner\@$name", 'Result'), '0 success', '... each time by order, and well');
    }
    ok(box_stop(), 'the box is gone, and its control groups');
}
done_testing;
