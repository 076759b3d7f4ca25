#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The commands of sole-systemd(7), under a real systemd: each is run in order, succeeds, and prints what the page
# shows, where it shows something.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Sole::Systemd;
use Sole::Test;
use Test::More;

my $missing = boot();
plan skip_all => $missing if $missing ne '';
my $page = slurp(dirname(dirname(abs_path(__FILE__))) . '/systemd/sole-systemd.7');
my @blocks = ($page =~ /^\.Dl (# .*\n)/mg, $page =~ /^\.Sh EXAMPLES\n(.*?)^\.Sh /ms);
cmp_ok(scalar @blocks, '==', 2, 'the page tells how to install, and has examples');

box('mkdir', '-p', '/etc/systemd/system/sole-owner@.service.d');
box_write('/etc/systemd/system/sole-owner@.service.d/test.conf', "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n");
my $count = 0;
for my $block (@blocks) {
    my @steps;
    for my $line (grep { !/^\./ } split /\n/, $block) {
        if ($line =~ /^# (.*)/) { push @steps, { command => $1, prints => '' } }
        elsif ($line !~ /[.?:]$/ && @steps) { $steps[-1]{prints} .= "$line\n" }
    }
    for my $step (@steps) {
        my $run = box('sh', '-c', $step->{command});
        is($run->{status}, 0, $step->{command}) or diag($run->{err});
        is($run->{out}, $step->{prints}, '... prints what the page shows') if $step->{prints} ne '';
        $count++;
    }
}
cmp_ok($count, '>=', 12, 'all of them were run');
like(box('journalctl', '-u', 'sole-owner@inventory')->{out}, qr/inventory: serving/, 'what is to be found in the journal is there');
ok(box_stop(), 'the box is gone, and its control groups');
done_testing;
