#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The units as they are installed: systemd finds no mistake in them, the sandboxes are tight, and what
# `make install` put there `make uninstall` removes.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use Sole::Systemd;
use Sole::Test;
use Test::More;

my @services = qw(sole-owner sole-reader sole-writer sole-supervisor);
my %most = (map({ $_ => 2.0 } @services));

sub files_of {
    my ($folder) = @_;
    my @found;
    find(sub { push @found, $File::Find::name =~ s/^\Q$folder\E//r if !-d }, $folder);
    return sort @found;
}

my $root = install_to(folder() . '/local');
my $units = "$root/usr/local/lib/systemd/system";
for my $unit (map({ "$_@.service" } @services), 'sole-owner@.socket', 'sole.target') {
    ok(-e "$units/$unit", "$unit is installed below /usr/local");
}
ok(-e "$root/usr/local/lib/$_.d/sole.conf", "so is the file for $_") for qw(sysusers tmpfiles);
ok(-e "$root/usr/local/share/man/man7/sole-systemd.7", '... and the page about them');
for my $service (@services) {
    my ($program) = slurp("$units/$service@.service") =~ /^ExecStart=(\S+)/m;
    is($program, "/usr/local/bin/$service", "$service\@ runs the program that was installed");
    ok(-x "$root$program", '... which is there');
}

SKIP: {
    skip 'needs systemd-analyze of the package systemd', 2 * @services + 3 if !-x '/usr/bin/systemd-analyze';
    # Where the programs are for the moment, so that they are found.
    my $here = folder() . '/here';
    mkdir $here;
    for my $file (glob "$units/sole*") {
        spew($here . '/' . $file =~ s{.*/}{}r, slurp($file) =~ s{^(ExecStart=)}{$1$root}mr);
    }
    my %env = (SYSTEMD_UNIT_PATH => "$here:");
    my $verify = sub {
        run({ env => \%env }, '/usr/bin/systemd-analyze', 'verify', '--recursive-errors=yes', '--man=no', @_);
    };
    for my $unit (map({ "$_\@x.service" } @services), 'sole-owner@x.socket', 'sole.target') {
        my $run = $verify->("$here/$unit");
        is("$run->{status} $run->{out}$run->{err}", '0 ', "systemd finds nothing wrong with $unit");
    }
    spew("$here/sole-reader@.service", slurp("$here/sole-reader@.service") =~ s/^ProtectHome/ProtectHone/mr);
    isnt($verify->("$here/sole-reader\@x.service")->{status}, 0, '... and would find a misspelt word');
    for my $service (@services) {
        my $run = run({ env => \%env }, '/usr/bin/systemd-analyze', 'security', '--offline=yes', '--no-pager',
            "$here/$service\@x.service");
        my ($exposure) = $run->{out} =~ /exposure level for \S+: ([\d.]+)/;
        ok(defined $exposure && $exposure <= $most{$service}, "$service\@: an exposure of " . ($exposure // '?')
            . " of 10, and at most $most{$service}") or diag($run->{out}, $run->{err});
    }
}

my @installed = files_of($root);
my %clean = map { $_ => undef } qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES);
run({ env => \%clean }, '/usr/bin/make', '-s', '-C', dirname(dirname(abs_path(__FILE__))), 'uninstall', "DESTDIR=$root");
is_deeply([files_of($root)], [], 'uninstall removes what install had put there') if @installed;

$root = install_to(folder() . '/usr', 'PREFIX=/usr');
my @found = grep { m{/sole-owner@.service$} } files_of($root);
is(scalar @found, 1, 'with PREFIX=/usr there is one unit');
like($found[0], qr{^(/usr)?/lib/systemd/system/}, '... where the machine\'s systemd looks');
like(slurp("$root$found[0]"), qr{^ExecStart=/usr/bin/sole-owner }m, '... for the program in /usr/bin');

done_testing;
