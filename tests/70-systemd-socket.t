#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Under a real systemd: the socket that it holds starts the owner with the first connection, and connections wait in
# the kernel while there is none; the sandboxes deny what they say; the supervisor as the one unit.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Sole::Systemd;
use Sole::Test;
use Test::More;

my $missing = boot();
plan skip_all => $missing if $missing ne '';
box('sh', '-c', 'systemd-sysusers && systemd-tmpfiles --create sole.conf');
box('mkdir', '-p', map({ "/etc/sole/$_" } qw(owner reader writer supervisor)), map { "/etc/systemd/system/sole-$_.service.d" } qw(owner@ reader@ writer@ supervisor@ owner@probe writer@probe));
box_write("/etc/systemd/system/sole-$_@.service.d/test.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    for qw(owner reader writer supervisor);

# ---- the socket ----

systemctl('daemon-reload');
is(systemctl('start', 'sole-owner@shop.socket'), 0, 'the socket is made');
is(box('stat', '-c', '%A %U', '/run/sole/shop.sock')->{out}, "srw------- sole\n", '... for its user alone');
is(property('sole-owner@shop', 'ActiveState'), 'inactive', '... and there is no owner yet');
is(box('sole', '-o', 'shop', 'put', 'tea', '3')->{status}, 0, 'the first connection starts the owner, and is served');
is(property('sole-owner@shop', 'ActiveState'), 'active', '... which runs');
like(journal('sole-owner@shop'), qr{^shop: serving at /run/sole/shop\.sock, which was handed over$}m, '... and says whose socket it has');

systemctl('stop', 'sole-owner@shop.service');
is(property('sole-owner@shop', 'ActiveState'), 'inactive', 'the owner is stopped');
is(box('stat', '-c', '%F', '/run/sole/shop.sock')->{out}, "socket\n", '... and the socket stays');
is(box('sole', '-o', 'shop', 'get', 'tea')->{out}, "3\n", '... so that who asks next starts it again, with its state');

# A start that is held up by what runs before it: who connects meanwhile waits and is not refused.
box_write('/etc/systemd/system/sole-owner@.service.d/slow.conf',
    "[Service]\nExecStartPre=/bin/sh -c 'until test -e /run/go; do sleep 0.02; done'\n");
systemctl('daemon-reload');
my $restart = box_start('systemctl', 'restart', 'sole-owner@shop.service');
ok(wait_until { property('sole-owner@shop', 'SubState') eq 'start-pre' }, 'while the owner is being started again');
my @waiting = map { box_start('sole', '-t', '60s', '-o', 'shop', 'add', 'tea', '1') } 1 .. 8;
my $connected = sub { scalar grep { m{/run/sole/shop\.sock$} } split /\n/, box('cat', '/proc/net/unix')->{out} };
ok(wait_until { $connected->() >= 1 + @waiting }, '... connections wait in the kernel') or diag($connected->());
is(scalar(grep { $_->running } @waiting), scalar @waiting, '... and none of them is refused');
box_write('/run/go', '');
is($restart->finish, 0, 'when the start goes on it succeeds');
is(join(' ', map { $_->finish } @waiting), join(' ', (0) x @waiting), '... and all who waited are served');
is(box('sole', '-o', 'shop', 'get', 'tea')->{out}, 3 + @waiting . "\n", '... once each');
is(systemctl('stop', 'sole-owner@shop.socket', 'sole-owner@shop.service'), 0, 'both are stopped');
is(box('ls', '-A', '/run/sole')->{out}, '', '... and the socket goes with its unit');

# ---- the sandboxes ----

box_write('/usr/local/bin/probe', slurp(dirname(abs_path(__FILE__)) . '/lib/Sole/probe.pl'));
box('sh', '-c', <<'END');
chmod 755 /usr/local/bin/probe
mkdir -p /var/lib/sole/other /home/neighbour
touch /var/lib/sole/other/secret /home/neighbour/secret /var/tmp/outside
chown -R sole:sole /var/lib/sole/other /home/neighbour /var/tmp/outside
END
# The same units, with the probe in the program's place.
for my $unit (qw(owner writer)) {
    box_write("/etc/systemd/system/sole-$unit\@probe.service.d/probe.conf", <<"END");
[Service]
Type=oneshot
WatchdogSec=0
Restart=no
ExecStart=
ExecStart=/usr/local/bin/probe /var/lib/sole/probe /var/lib/sole/other /home/neighbour
END
}
systemctl('daemon-reload');
sub results { return map { /^(.+?): (.*)$/ ? ($1 => $2) : () } split /\n/, $_[0] }
my %in;
for my $unit (qw(owner writer)) {
    is(systemctl('start', "sole-$unit\@probe"), 0, "what is tried is tried in the sandbox of sole-$unit\@");
    wait_until {
        $in{$unit} = { results(journal('-u', "sole-$unit\@probe", '-t', 'probe')) };
        exists $in{$unit}{capabilities};
    };
}
my %out = results(box('setpriv', '--reuid', 'sole', '--regid', 'sole', '--clear-groups',
    '/usr/local/bin/probe', '/var/lib/sole/other', '/var/lib/sole/other', '/home/neighbour')->{out});
is(scalar keys %out, 14, '... and outside of any');
for my $what (sort keys %out) {
    is($out{$what}, 'allowed', "outside, $what: allowed");
    for my $unit (qw(owner writer)) {
        my $got = $in{$unit}{$what} // 'not tried';
        if ($what eq 'a Unix socket' || ($unit eq 'owner' && $what eq 'write in its own folder')) {
            is($got, 'allowed', "... for sole-$unit\@ too");
        } else {
            unlike($got, qr/allowed|not tried/, "... for sole-$unit\@ not: $got");
        }
    }
}

# What the page adds to the sandbox, for an owner on TCP.
my ($more) = slurp(dirname(dirname(abs_path(__FILE__))) . '/systemd/sole-systemd.7') =~ /^\.Ss The sandbox\n.*?^\.Bd .*?\n(.*?)^\.Ed/ms;
box_write('/etc/systemd/system/sole-owner@probe.service.d/tcp.conf', $more);
systemctl('daemon-reload');
my $since = box('date', '+%s.%N')->{out} =~ s/\n//r;
is(systemctl('start', 'sole-owner@probe'), 0, 'the same with what the manual adds for TCP');
my %tcp;
wait_until { %tcp = results(journal('-u', 'sole-owner@probe', '-t', 'probe', '--since', "\@$since")); exists $tcp{capabilities} };
is($tcp{'a socket of TCP'}, 'allowed', '... allows that');
$in{owner}{'a socket of TCP'} = 'allowed';
is_deeply(\%tcp, $in{owner}, '... and nothing else');

# ---- the supervisor as the one unit ----

box_write('/etc/sole/supervisor/trio.zpl', <<'END');
child = store
    command = sole-owner --quiet --state store store
    ready = notify
    watchdog = 10s
    listen = store
child = writer
    command = sole-writer --owner store --actors 2 --pause 5ms
    ready = notify
END
is(systemctl('start', 'sole-supervisor@trio'), 0, 'a supervisor is started, and its children are ready');
like(property('sole-supervisor@trio', 'StatusText'), qr{all 2 children are ready|^2 of 2 up, }, '... its status says so');
is(box('sole', '-o', 'store', 'put', 'a', 'b')->{status}, 0, '... and its owner answers');
isnt(box('ls', '/var/lib/sole/trio/store')->{out}, '', '... whose state is below the folder of the unit');
is(systemctl('stop', 'sole-supervisor@trio'), 0, 'it is stopped');
is(property('sole-supervisor@trio', 'Result'), 'success', '... and that is no failure');
my @left = grep { /sole-owner|sole-writer/ } split /\n/, box('ps', '-eo', 'comm')->{out};
is_deeply(\@left, [], '... and nothing of it runs any more');

ok(box_stop(), 'the box is gone, and its control groups');
done_testing;
