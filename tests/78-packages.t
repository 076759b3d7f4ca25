#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The packages of Debian: built, without an error to lintian; then, under a real systemd over a copy of this machine,
# installed, used, upgraded while a client asks, removed, installed again over the state that stayed, and purged.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path);
use Sole::Systemd;
use Sole::Test;
use Test::More;

my $top = dirname(dirname(abs_path(__FILE__)));
plan skip_all => 'needs debhelper and lintian: make deb-deps' if grep { !-x "/usr/bin/$_" } qw(dh dpkg-buildpackage lintian);
plan skip_all => 'packages are built in one way only' if program('') =~ m{/build/};

my $client = program('x') =~ s{/bin/x\z}{/build/plain/tests/restart/client}r;

# ---- build ----

my %clean = map { $_ => undef } qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES);
my $made = run({ env => { %clean, DEB_BUILD_OPTIONS => 'noopt parallel=2' }, limit => 300 }, '/usr/bin/make', '-s', '-C', $top, 'deb');
is($made->{status}, 0, 'the packages are built, and lintian finds no error') or BAIL_OUT("$made->{out}$made->{err}");
unlike($made->{out}, qr/^[EW]:/m, '... nor anything to warn of');
my ($version) = slurp("$top/Makefile") =~ /^VERSION\s*=\s*(\S+)/m;
my %package = map { m{/([^/_]+)_\Q$version\E_[^/]*\.deb$} && $1 !~ /dbgsym/ ? ($1 => $_) : () } bsd_glob "$top/build/deb/*.deb";
is_deeply([sort keys %package], [qw(libsole-dev libsole0 python3-sole sole)], "there are four, of version $version");

# A later version of the same, for the upgrade.
my $later = folder() . '/later';
run('/usr/bin/dpkg-deb', '-R', $package{sole}, $later);
spew("$later/DEBIAN/control", slurp("$later/DEBIAN/control") =~ s/^Version: .*/Version: $version.1/mr);
is(run('/usr/bin/dpkg-deb', '--root-owner-group', '-b', $later, folder() . '/later.deb')->{status}, 0, 'and a later one');

# ---- install ----

my $missing = boot(install => sub {
    my ($over) = @_;
    make_path("$over/srv/packages", "$over/usr/local/bin");
    copy($_, "$over/srv/packages") or die "cannot copy $_: $!\n" for values %package, folder() . '/later.deb';
    copy($client, "$over/usr/local/bin/restart-client") or die "cannot copy $client: $!\n";
    chmod 0755, "$over/usr/local/bin/restart-client";
});
SKIP: {
    skip $missing, 1 if $missing ne '';
    my $dpkg = sub {
        my $run = box({ env => { DEBIAN_FRONTEND => 'noninteractive' }, limit => 60 }, 'sh', '-c', "dpkg $_[0]");
        diag($run->{out}, $run->{err}) if $run->{status} != 0;
        return $run->{status};
    };
    my $files = sub {
        return box('sh', '-c', 'find /etc /run/systemd/system /usr /var -xdev ! -type d ! -path "/var/lib/dpkg/*" ! -path "/var/lib/systemd/deb-systemd-helper-*"'
            . ' ! -path "/var/log/*" ! -path "/var/cache/*" | sort')->{out};
    };
    my $before = $files->();
    my ($programs) = map { s{.*/}{}r } $package{sole};
    is($dpkg->('-i ' . join ' ', map { "/srv/packages/" . s{.*/}{}r } values %package), 0, 'they are installed');
    is(box('stat', '-c', '%A %U', '/run/sole')->{out}, "drwxr-xr-x sole\n", '... with a user and a folder for the sockets');
    is(property('sole.target', 'ActiveState') . ' ' . property('sole.target', 'UnitFileState'), 'active enabled', '... and the target');
    is(systemctl('enable', '-q', '--now', 'sole-owner@stock'), 0, 'an owner is enabled and started');
    is(box('sole', '-o', 'stock', 'put', 'apples', '12')->{status}, 0, '... and asked with the command line');
    is(box('/usr/bin/python3', '-c', 'import sole; print(sole.Client("stock").get("apples"))')->{out}, "12\n", '... from Python');
    box_write('/root/ask.c', <<'END');
#include <sole.h>
#include <stdio.h>
int main(void)
{
	struct sole *s;
	struct sole_value v;
	struct sole_options options = { .owner = "stock" };
	if (sole_open(&s, &options) == SOLE_OK && sole_get(s, sole_text("apples"), &v) == SOLE_OK)
		printf("%lld\n", (long long)v.integer);
	sole_close(&s);
}
END
    is(box('sh', '-c', 'cd /root && cc -o ask ask.c -lsole && ./ask; rm -f ask ask.c')->{out}, "12\n", '... from C, with the shared library');
    is(box('sh', '-c', 'man -w 7 sole-systemd 2>&1 || find /usr/share/man -name "sole-systemd.7*"')->{out} =~ /sole-systemd\.7/ ? 1 : 0, 1,
        '... and the manual is there');

    # ---- upgrade ----

    my $asking = box_start({ name => 'client' }, 'restart-client', 'stock', 'c', 'add', int seconds(30));
    ok(wait_until { box('sole', '-o', 'stock', 'get', 'c')->{out} =~ /\d\d/ }, 'a client asks');
    my $pid = main_pid('sole-owner@stock');
    is($dpkg->('-i /srv/packages/later.deb'), 0, 'a later version is installed meanwhile');
    ok(wait_until { main_pid('sole-owner@stock') !~ /^(0|$pid)$/ && property('sole-owner@stock', 'ActiveState') eq 'active' },
        '... and the owner is started again');
    my $so_far = box('sole', '-o', 'stock', 'get', 'c')->{out} + 0;
    ok(wait_until { box('sole', '-o', 'stock', 'get', 'c')->{out} > $so_far + 10 }, '... which the client survives');
    box_signal($asking, 'TERM');
    $asking->finish;
    like($asking->{out}, qr/^done=\d+ failed=0 wrong=0 /, '... and no request of its failed or ran twice');

    # ---- remove, install again, purge ----

    is($dpkg->('-r sole'), 0, 'it is removed');
    is(property('sole-owner@stock', 'ActiveState'), 'inactive', '... and the owner has stopped');
    isnt(box('ls', '/var/lib/sole/stock')->{out}, '', '... the state stays');
    is($dpkg->("-i /srv/packages/$programs"), 0, 'it is installed again');
    ok(wait_until { property('sole-owner@stock', 'ActiveState') eq 'active' }, '... and the owner that was enabled starts');
    is(box('sole', '-o', 'stock', 'get', 'apples')->{out}, "12\n", '... with the state that stayed');
    is(systemctl('disable', '-q', 'sole-owner@stock'), 0, 'the owner is disabled');
    is($dpkg->('-P sole libsole0 libsole-dev python3-sole'), 0, 'all is purged');
    is(box('sh', '-c', 'ls -d /etc/sole /var/lib/sole /run/sole 2>/dev/null')->{out}, '', '... with states, settings and sockets');
    is(box('dpkg-query', '-W', '-f', '${Status}\n', 'sole')->{out} =~ /installed|config-files/ && 'known', '', '... and dpkg knows nothing of it any more');
    my %had = map { $_ => 1 } split /\n/, $before;
    my @left = grep { !$had{$_} && !m{^/(etc/(passwd|group|shadow|gshadow)-?|etc/ld\.so\.cache|var/lib/systemd/|var/tmp/)} } split /\n/, $files->();
    is_deeply(\@left, [], '... nor is any file left');
    ok(box_stop(), 'the box is gone, and its control groups');
}
done_testing;
