#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The power fails, 20 times for each durability (POWER=n), at random moments under writing clients: the state is on
# an ext4 in a file, which is shut down as it is (its ioctl, without even the file system's log being
# flushed), mounted again, and owned again. At `sync` nothing that was answered is lost. At `interval` what was answered as
# durable is not, and the rest only when it was answered within the interval before.
#
# All of it happens in a mount namespace of this test's own: however it ends, nothing stays mounted, and the loop
# device goes with the mount.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

BEGIN {
    if (!$ENV{SOLE_TEST_NAMESPACE} && $> == 0 && system('unshare -m true 2>/dev/null') == 0) {
        $ENV{SOLE_TEST_NAMESPACE} = 1;
        exec 'unshare', '-m', '--propagation', 'private', $^X, $0 or die "unshare: $!\n";
    }
}

use Fcntl;
use File::Temp qw(tempdir);
use Sole::Crash;
use Sole::Test;
use Test::More;
use Time::HiRes qw(sleep time clock_gettime CLOCK_MONOTONIC);

use constant { SHUTDOWN => 0x8004587d, WITHOUT_LOG => 2, INTERVAL_MS => 40 };

my ($mkfs) = grep { -x } map { "$_/mkfs.ext4" } split(/:/, $ENV{PATH}), '/sbin', '/usr/sbin';
plan skip_all => 'only root can mount'                        if $> != 0;
plan skip_all => 'there is no mkfs.ext4'                      if !$mkfs;
plan skip_all => 'no mount namespace of its own can be made'  if !$ENV{SOLE_TEST_NAMESPACE};

my $cycles = $ENV{POWER} // 20;

# All of the journal is kept, and is in memory: the disk that fails here is the file system's, and the machine's own is spared.
my $memory = tempdir('sole-test-XXXXXX', DIR => -w '/dev/shm' ? '/dev/shm' : folder(), CLEANUP => 1);
my ($image, $at) = ("$memory/image", path('disk'));
{
    open my $file, '>', $image or die "$image: $!\n";
    truncate $file, ($cycles * 3 + 32) << 20 or die "$image: $!\n";
}
mkdir $at;

sub quietly { return run({ limit => 60 }, @_)->{status} // -1 }
sub make_disk { quietly($mkfs, '-q', '-F', '-E', 'lazy_itable_init=0', $image) == 0 or die "mkfs.ext4 failed\n" }
sub plug_in   { return quietly('/bin/mount', '-t', 'ext4', '-o', "loop,data=$_[0]", $image, $at) == 0 }
sub unplug    { return wait_until { quietly('/bin/umount', $at) == 0 } 20 }

make_disk();
plan skip_all => 'no loop device can be mounted here' if !plug_in('ordered');

sub fail_power {
    sysopen my $folder, $at, O_RDONLY or die "$at: $!\n";
    my $time = clock_gettime(CLOCK_MONOTONIC);
    my $how = pack "L", WITHOUT_LOG;
    ioctl $folder, SHUTDOWN, $how or return;
    return $time;
}
{
    my $works = fail_power();
    unplug();
    plan skip_all => 'this ext4 cannot be shut down' if !$works;
}

note('SEED=' . SEED);

# Runs it all at one durability. Returns the judgement, with figures.
sub fail_again_and_again {
    my ($level, @options) = @_;
    my ($state, $archive) = ("$at/state", "$memory/archive-$level");
    my (@cuts, @odd, $torn);
    make_disk();
    plug_in('ordered') or die "cannot mount\n";
    my $owner = sub {
        return start({ name => $level }, 'sole-owner', '--state', $state, '--snapshot-after', '256K', '--journal-segment', '64K',
            '--keep-snapshots', '1000', '--durability', $level, @options, '-q', "powered-$level");
    };
    my $running = $owner->();
    # At `interval` a client may be told that its session is forgotten, which the owner still has, and a lock in it.
    my @clients = start_clients("powered-$level", writers => 8, readers => 2, pause_us => 300,
        silence_ms => $level eq 'sync' ? 600_000 : 1000);
    for my $cycle (1 .. $cycles) {
        $running->wait_notice(qr/^READY=1/);
        my $before = answered(@clients);
        wait_until { answered(@clients) > $before || !$running->running } 30;
        sleep(random_below(80_000) / 1e6);
        if (!$running->running) {
            push @odd, 'ended before power failed: ' . $running->err;
            last;
        }
        # What dies of the owner first, itself or its disk, makes no difference to what is lost.
        kill KILL => $running->pid if $cycle % 4 == 0;
        push @cuts, fail_power() // die "the disk cannot be shut down: $!\n";
        if ($cycle % 4 == 1) {
            # It finds out by itself, and says so.
            my $status = $running->finish(5) // 'a signal';
            my @lines = grep { /: ending, since what was not written must not be answered/ } split /\n/, $running->err;
            push @odd, "ended with $status: " . $running->err if $status ne '74' || @lines != 1;
        }
        last if @odd;
        kill KILL => $running->pid if $running->running;
        $running->finish;
        unplug() or die "cannot unmount\n";
        plug_in($cycle % 2 ? 'writeback' : 'ordered') or die "cannot mount again\n";
        $torn++ if $running->err =~ /: cut off /;
        unlink @$running{qw(out_file err_file)};
        $running = $owner->();
    }
    if (@odd) {
        is(join('', @odd), '', "$level: an owner serves until power fails, and then says so and ends with EX_IOERR");
        $_->signal('KILL'), $_->finish for $running, @clients;
        unplug();
        return;
    }
    my @unwell = stop_clients(@clients);
    is("@unwell", '', "$level: the clients end as they should");
    is($running->stop, 0, "$level: and so does the last owner") or diag($running->err);
    $torn++ if $running->err =~ /: cut off /;
    pass("$level: an owner whose disk is gone says so and ends with EX_IOERR");
    my $verify = run({ limit => 60 }, 'sole-owner', '--verify', $state);
    is($verify->{status}, 0, "$level: the folder is sound") or diag($verify->{out}, $verify->{err});

    # How long before power failed it was answered, in seconds.
    my $age = sub {
        my ($answered) = $_[0]{answered} / 1e9;
        my ($cut) = grep { $_ >= $answered } @cuts;
        return defined $cut ? $cut - $answered : undef;
    };
    my $lost = sub { return !$_[0]{durable} && defined $age->($_[0]) };
    my $result = judged($state, \@clients, $level eq 'interval' ? (lost => $lost) : ());
    is(join("\n", grep { defined } @{ $result->{problems} }[0 .. 9]), '', "$level: nothing that was answered as durable is lost, nothing is done twice or out of order")
        or diag(scalar @{ $result->{problems} }, ' problems');
    my ($longest) = (sort({ $b <=> $a } map { $age->($_) } @{ $result->{lost} }), 0);
    my $dump  = run({ limit => 60 }, 'sole-owner', '--dump', $state);
    my %table = $dump->{out} =~ /^(\S+) (\S+) @\d+$/mg;
    is_deeply(\%table, $result->{model}, "$level: the state is that of the model");
    unplug();
    note(sprintf '%s: power failed %d times, %d torn tails; %d requests, %d commands, %d queries, %d answers lost (the oldest %.0f ms before), %d told of errors',
        $level, scalar @cuts, $torn // 0, @$result{qw(requests commands queries)}, scalar @{ $result->{lost} }, $longest * 1e3, $result->{errors});
    return { %$result, longest => $longest };
}

my $sync = fail_again_and_again('sync') or exit 1;
is($sync->{errors}, 0, 'sync: nobody was told of an error') or diag(map { "$_\n" } @{ $sync->{error_list} }[0 .. 4]);
is($sync->{unanswered} + $sync->{untold}, 0, 'sync: everybody was answered');

my $interval = fail_again_and_again('interval', '--sync-interval', INTERVAL_MS . 'ms') or exit 1;
# A sync takes its time, and the machine is not ours alone.
cmp_ok($interval->{longest}, '<=', seconds(1) + INTERVAL_MS / 1e3, 'interval: what is lost was answered shortly before');
done_testing;
