#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Under a real systemd: started by the target, ready when it says so, started again when it dies or hangs while its
# clients wait, stopped in order; what it says is in the journal.
use strict;
use warnings;

use File::Copy qw(copy);
use Sole::Systemd;
use Sole::Test;
use Test::More;

my $missing = boot(install => sub {
    install_to($_[0]);
    copy(program('ledger.so'), "$_[0]/usr/local/lib/ledger.so") or die "cannot copy ledger.so: $!\n";
});
plan skip_all => $missing if $missing ne '';
is(box('sh', '-c', 'systemd-sysusers && systemd-tmpfiles --create sole.conf && stat -c "%A %U" /run/sole')->{out},
    "drwxr-xr-x sole\n", 'the user and the folder of the sockets are made as the manual says');

sub sole {
    my ($owner, @arguments) = @_;
    my $run = box('sole', '-o', $owner, @arguments);
    diag($run->{err}) if $run->{err} ne '';
    return $run->{out};
}

# ---- start ----

# A watchdog that a test can wait for; sanitizers look for leaks with ptrace(2), which the sandbox denies.
box('mkdir', '-p', map({ "/etc/sole/$_" } qw(owner reader writer supervisor)), map { "/etc/systemd/system/sole-$_@.service.d" } qw(owner reader writer));
box_write("/etc/systemd/system/sole-$_@.service.d/test.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    for qw(owner reader writer);
box_write('/etc/systemd/system/sole-owner@.service.d/watchdog.conf', "[Service]\nWatchdogSec=" . seconds(2) . "\n");
box_write('/etc/sole/owner/b.zpl', "max-key = 10\n");
box_write('/etc/sole/owner/c.env', "SOLE_STATE=\nSOLE_OPTIONS=--max-value 100\n");
box_write("/etc/sole/$_.env", "SOLE_OPTIONS=--actors 4 --pause 5ms --timeout 60s\n") for qw(reader writer);
is(systemctl('enable', '-q', map { "sole-$_" } qw(owner@a owner@b owner@c reader@a writer@a)), 0, 'instances are enabled');
systemctl('daemon-reload');
is(systemctl('start', 'sole.target'), 0, 'the target is started');
is(property("sole-$_", 'ActiveState'), 'active', "... and sole-$_ with it") for qw(owner@a owner@b owner@c reader@a writer@a);
my $answer = box('sole', '-o', 'b', 'ping');
is($answer->{status}, 0, 'what is started is ready: it answers at once');
like(property('sole-owner@b', 'StatusText'), qr{^serving /run/sole/b\.sock$|^revision \d+}, '... and says so in its status');
ok(wait_until { property('sole-owner@a', 'StatusText') =~ /^revision \d+, 2 clients, [1-9]\d* operations\/s$/ },
    'the status tells revision, clients and operations a second') or diag(property('sole-owner@a', 'StatusText'));
like(box('systemctl', 'status', '--no-pager', 'sole-owner@a')->{out}, qr/Status: "revision/, '... in systemctl status');

# ---- two instances are two states ----

sole('a', 'put', 'fruit', 'apple');
sole('b', 'put', 'fruit', 'pear');
sole('c', 'put', 'fruit', 'plum');
is(sole('a', 'get', 'fruit') . sole('b', 'get', 'fruit') . sole('c', 'get', 'fruit'), "apple\npear\nplum\n", 'three instances are three states');
is(box('ls', '/var/lib/sole/c')->{out}, '', '... of which c, told so by its environment file, keeps nothing');
isnt(box('ls', "/var/lib/sole/$_")->{out}, '', "... and $_ does") for qw(a b);
is(box('stat', '-c', '%A %U', '/var/lib/sole/a')->{out}, "drwx------ sole\n", '... and the folder of one is its user\'s alone');
like(box('sole', '-o', 'b', 'put', 'a-key-of-sixteen', '1')->{err}, qr/too-large/, '... and b has the limits of its file of settings');

# ---- nothing that it needs is denied ----

my $holder = box_start('sole', '-o', 'a', 'lock', 'door', '--', 'sleep', '1000');
ok(wait_until { box('sole', '-o', 'a', 'call', 'holder', 'door')->{out} =~ m{^token\t[1-9]}m }, 'somebody holds a lock');
box_signal($holder, 'KILL');
is(box('sole', '-o', 'a', '-t', '20s', 'lock', 'door', '--', 'echo', 'mine')->{out}, "mine\n", '... and the kernel tells the owner of its end');
is(box('sole', '-o', 'a', 'backup', '/root/a.backup')->{status}, 0, 'a backup is taken, by a child of the owner');
box_write('/etc/sole/owner/books.env', "SOLE_OPTIONS=--behaviour /usr/local/lib/ledger.so\n");
is(systemctl('start', 'sole-owner@books'), 0, 'an owner runs a behaviour of its own');
like(sole('books', 'ops'), qr/transfer/, '... and offers its operations');

# ---- death and restart ----

# Waits until it was started so often again, and is another process.
sub wait_restart {
    my ($unit, $count, $before) = @_;
    return wait_until {
        property($unit, 'NRestarts') == $count && property($unit, 'ActiveState') eq 'active' && main_pid($unit) != $before;
    } 20;
}

my $pid = main_pid('sole-owner@a');
box('kill', '-KILL', $pid);
ok(wait_restart('sole-owner@a', 1, $pid), 'an owner that is killed is started again');
is(sole('a', 'get', 'fruit'), "apple\n", '... with its state');
$pid = main_pid('sole-owner@c');
box('kill', '-KILL', $pid);
ok(wait_restart('sole-owner@c', 1, $pid), '... as is one that has none on disk');

$pid = main_pid('sole-owner@a');
box('kill', '-STOP', $pid);
ok(wait_restart('sole-owner@a', 2, $pid), 'an owner that hangs is ended by the watchdog and started again');
like(journal('sole-owner@a'), qr/Watchdog timeout/, '... as the journal says');
is(sole('a', 'get', 'fruit'), "apple\n", '... with its state');
is(property("sole-$_\@a", 'NRestarts'), 0, "its $_ rode through all that") for qw(reader writer);

# ---- settings, read again ----

my $put = sub { return box('sole', '-o', 'c', 'put', 'a-key-of-sixteen', '1')->{status} };
is($put->(), 0, 'a key is within the limit');
box_write('/etc/sole/owner/c.zpl', "max-key = 10\naccess\n    rule\n        who = user nobody\n        right = query\n");
$pid = main_pid('sole-owner@c');
is(systemctl('reload', 'sole-owner@c'), 0, 'an owner is told to read its settings again');
ok(wait_until { journal('-u', 'sole-owner@c', '-t', 'sole-owner') =~ /^SIGHUP: took 1 rules of access, and limits/m }, '... and does, as the journal says');
is($put->(), 2, '... so that the limit is another');
is(main_pid('sole-owner@c'), $pid, '... with no restart');
box_write('/etc/sole/owner/c.zpl', "max-kye = 10\n");
systemctl('reload', 'sole-owner@c');
ok(wait_until { journal('-u', 'sole-owner@c', '-t', 'sole-owner', '-p', 'err') =~ /^SIGHUP: settings with mistakes are not taken/m }, 'a mistake in them is an error in the journal');
is($put->(), 2, '... and all is as it was');

# ---- what only a person can mend ----

box_write('/etc/sole/owner/bad.zpl', "max-kye = 10\n");
isnt(box('systemctl', 'start', 'sole-owner@bad')->{status}, 0, 'an owner with a mistake in its settings does not start');
ok(wait_until { property('sole-owner@bad', 'ActiveState') eq 'failed' }, '... it has failed');
is(property('sole-owner@bad', 'NRestarts') . ' ' . property('sole-owner@bad', 'ExecMainStatus'), '0 78', '... once, with the status that says why');
like(journal('-u', 'sole-owner@bad', '-t', 'sole-owner', '-p', 'err'), qr{^/etc/sole/owner/bad\.zpl:1: .*max-kye}m,
    '... and the mistake is in the journal, as an error');

# ---- the journal ----

like(journal('-u', 'sole-owner@b', '-t', 'sole-owner', '-p', 'info'), qr{^b: serving at /run/sole/b\.sock$}m, 'what an owner tells is in the journal');
is(journal('-u', 'sole-owner@b', '-t', 'sole-owner', '-p', 'notice'), '', '... as information, and nothing of it as more');

# ---- stop ----

systemctl('stop', 'sole-writer@a', 'sole-reader@a');
for my $kind (qw(reader writer)) {
    is(property("sole-$kind\@a", 'Result'), 'success', "the $kind ends well");
    my $said = journal("sole-$kind\@a");
    like($said, qr/^(reads|writes): [1-9]\d*$/m, '... with its total in the journal');
    unlike($said, qr/refused|unknown/, '... nothing it asked failed') or diag($said);
}
is(systemctl('stop', 'sole-owner@b'), 0, 'an owner is stopped');
is(property('sole-owner@b', 'Result') . ' ' . property('sole-owner@b', 'ExecMainStatus'), 'success 0', '... and that is no failure');
like(journal('sole-owner@b'), qr/told to stop by process 1 \(SIGTERM\)/, '... it says who told it');
is(box('ls', '/run/sole')->{out} =~ /^b\./m ? 'left' : 'gone', 'gone', '... its socket and its lock are gone');
systemctl('start', 'sole-owner@b');
is(sole('b', 'get', 'fruit'), "pear\n", '... and its state is there when it is started again');
is(systemctl('stop', 'sole.target'), 0, 'the target is stopped');
ok(wait_until { join(' ', map { property("sole-owner\@$_", 'ActiveState') } qw(a b c)) eq 'inactive inactive inactive' }, '... and all of it with it');
is(box('ls', '/run/sole')->{out}, '', '... nothing is left in the folder of the sockets');

ok(box_stop(), 'the box is gone, and its control groups');
unlike(slurp('/proc/mounts'), qr/\Q${\folder()}\E/, '... and no mount is left');
done_testing;
