# SPDX-License-Identifier: MIT
#
# `sole doctor`: each thing that can be wrong is made wrong, found, told with what to do, and what it
# says to do mends it. Its exit status tells whether anything is. Looking changes nothing.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Socket::UNIX;
use JSON::PP;
use Sole::Terminal;
use Sole::Test;
use Test::More;

sub doctor { return run(ref $_[0] eq 'HASH' ? shift : (), 'sole', 'doctor', @_) }

# finds(TITLE, STATUS, FINDING, SUBJECT, TEXT, ADVICE or undef, ARGUMENTS ...)
sub finds {
    my ($title, $status, $finding, $subject, $text, $advice, @arguments) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $got  = doctor('-j', @arguments);
    my @said = map { decode_json($_) } split /\n/, $got->{out};
    my @right = grep { $_->{finding} eq $finding && $_->{subject} eq $subject && $_->{text} =~ $text } @said;
    ok(@right == 1, "$title: it is found") or diag($got->{out}, $got->{err});
    like($right[0]{advice} // '', $advice, "$title: it says what to do") if $advice;
    ok(!defined $right[0]{advice}, "$title: nothing is to be done") if !$advice;
    is($got->{status}, $status, "$title: status $status");
    my @unadvised = grep { $_->{finding} =~ /wrong|warning/ && !defined $_->{advice} } @said;
    is(scalar @unadvised, 0, "$title: what is wrong has its advice");
    return @said;
}

# Nothing there
finds('no owner', 0, 'note', 'socket', qr/no owner listens/, undef);
finds('no such owner', 1, 'wrong', 'socket', qr/no owner called inventory listens/, qr/sole-owner inventory/, 'inventory');
line_like(doctor('../x')->{err}, qr/'\.\.\/x' is not the name of an owner/, 'a name that is none');
is(doctor('../x')->{status}, 64, '... is a mistake of usage');

# An owner that is well
my $owner = start_owner('inventory', '-q', '-s', path('state'));
run('sole', 'put', '-o', 'inventory', 'apples', '1');
my $before = join "\n", sort glob path('state/*');
my $got = doctor('inventory');
is($got->{status}, 0, 'where all is well the status is 0');
is($got->{err}, '', '... and it is silent on standard error');
like($got->{out}, qr/\nnothing is wrong\n\z/, '... and says so');
like(run('sole', 'status', '-o', 'inventory')->{out}, qr/^revision: +(\d+)\n(?:.*\n)*synced-revision: +\1\n/m, 'status tells that all of it is on disk');
for (qw(folder owner version lock limits memory clock disk)) {
    like($got->{out}, qr/^ok +$_ /m, "... having looked at: $_");
}
like($got->{out}, qr/^ok +lock +endpoint and state are held by sole-owner \(pid $owner->{pid}\)$/m, 'it tells who holds the locks');
unlike($got->{out}, qr/a sync takes/, 'it does not write to the disk');
like(doctor('inventory', '--disk')->{out}, qr/^ok +disk +a sync takes \S+, the longest of \d+ took \S+: about \d+ rounds a second$/m,
    '... but with --disk it measures it');
is(join("\n", sort glob path('state/*')), $before, '... and leaves nothing behind');
is(run('sole', 'status', '-o', 'inventory')->{out} =~ /^sessions: +(\d+)$/m ? $1 : undef, 0, '... and no session');
my @said = finds('as JSON', 0, 'ok', 'owner', qr/answered in/, undef, 'inventory');
is_deeply([grep { !/^(?:finding|subject|text|advice)$/ } map { keys %$_ } @said], [], '... each line an object of the same members');

# Folders
chmod 0777, folder();
finds('a folder that others may write', 1, 'wrong', 'folder', qr/can be written by others/, qr/chmod go-w/, 'inventory');
chmod 0700, folder();
chmod 0755, path('state');
finds('a state that others may read', 1, 'warning', 'disk', qr/open to others/, qr/chmod 0700/, 'inventory');
chmod 0700, path('state');
{
    local $ENV{SOLE_RUNTIME_DIR} = spew('file', '');
    finds('a folder that is a file', 1, 'wrong', 'folder', qr/is no folder/, qr/remove it/);
}

# An owner that does not answer
$owner->signal('STOP');
finds('an owner that is stopped', 1, 'wrong', 'owner', qr/somebody listens, and does not answer/, qr/SIGSTOP/, 'inventory');
$owner->signal('CONT');
is(doctor('inventory')->{status}, 0, 'it goes on, and is well again');

# An owner that takes no commands
run('sole', 'read-only', '-o', 'inventory', 'on');
finds('an owner that is read-only', 1, 'warning', 'owner', qr/read-only mode/, qr/^sole read-only -o inventory off\z/, 'inventory');
run('sole', 'read-only', '-o', 'inventory', 'off');
is(doctor('inventory')->{status}, 0, '... and what it says to do mends it');

# A lock whose file was removed
rename path('inventory.sock.lock'), path('away') or die "rename: $!\n";
finds('a lock that is gone', 1, 'wrong', 'lock', qr/endpoint is not held by the owner that answers, but by nobody/, qr/restart the owner/, 'inventory');
rename path('away'), path('inventory.sock.lock') or die "rename: $!\n";

# Limits
my $small = start_owner('small', '-q', '--max-connections', '3');
my @many = map { IO::Socket::UNIX->new(Peer => path('small.sock')) } 1 .. 2;
ok(wait_until { doctor('small')->{out} =~ /3 of at most 3 connections are taken/ }, 'connections that run out are found');
@many = ();
is($small->stop, 0, 'that owner leaves');
my $narrow = start({ name => 'narrow' }, '/bin/sh', '-c', 'ulimit -n 256; exec "$@"', 'sh', program('sole-owner'), 'narrow', '-q');
ok(wait_until { doctor('narrow')->{out} =~ /descriptors do not do for max-connections 4096/ }, 'descriptors that do not do for max-connections are found');
like(doctor('narrow')->{out}, qr/=> raise the limit to \d+ \(LimitNOFILE=/, '... with what they have to be');
is($narrow->stop, 0, 'that owner leaves');

# What an owner left behind
my $left = start_owner('left', '-q');
$left->stop('KILL');
finds('a socket that is left over', 1, 'wrong', 'socket', qr/left\.sock is left over/, qr/sole-owner left; or.*rm \S+left\.sock/, 'left');
ok(-S path('left.sock'), '... which it does not touch');
$left = start_owner('left', '-q');
is(doctor('left')->{status}, 0, '... and what it says to do mends it');
is($left->stop, 0, 'that owner leaves');
spew('odd.sock', '');
finds('a file in place of a socket', 1, 'wrong', 'socket', qr/odd\.sock is no socket/, qr/move it away/, 'odd');
unlink path('odd.sock');

# Two of one name
{
    delete local $ENV{SOLE_RUNTIME_DIR};
    local $ENV{XDG_RUNTIME_DIR} = path('xdg');
    mkdir $_ for path('xdg'), path('xdg/sole');
    chmod 0755, path('xdg/sole');
    my $hidden = start_owner({ env => { SOLE_RUNTIME_DIR => path('xdg/sole') } }, "only$$", '-q');
    my $at = path('xdg/sole');
    like(doctor("only$$")->{out}, qr{^ok +owner +\Q$at\E/}m, 'without SOLE_RUNTIME_DIR all folders are looked through');
    is($hidden->stop, 0, 'that owner leaves');
}

# A program that was replaced
my $copy = path('sole-owner-copy');
run('/bin/cp', program('sole-owner'), $copy);
my $old = start({ name => 'old' }, $copy, 'old', '-q');
$old->wait_ready;
unlink $copy;
finds('a program that was replaced', 1, 'warning', 'version', qr/was replaced since it started/, qr/restart the owner/, 'old');
is($old->stop, 0, 'that owner leaves');

# A clock that went back: the state has seen a later one
my $text = run('sole-owner', '--export', path('state'))->{out};
sub imported {
    my ($name, $shift_s) = @_;
    my @t = gmtime(time + $shift_s);
    spew('text', $text =~ s/^time .*$/sprintf 'time %04d-%02d-%02dT%02d:%02d:%02d.000000Z', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0]/emr);
    my $made = run('sole-owner', '--import', path('text'), path($name));
    is($made->{status}, 0, 'a state is made') or diag($made->{err});
    return start_owner($name, '-q', '-s', path($name));
}
my $ahead = imported('ahead', 7200);
finds('a clock that went back', 1, 'wrong', 'clock', qr/the state's is 7\S+ ahead/, qr/--export \S+ahead .*set its line `time` right/, 'ahead');
is($ahead->stop, 0, 'that owner leaves');
$ahead = imported('mended', -5);
is(doctor('mended')->{status}, 0, '... and what it says to do mends it');
is($ahead->stop, 0, 'that owner leaves');

# A disk with less room than the owner was told to warn at
my $low = start_owner('low', '-q', '-s', path('low'), '--disk-warning', '1024GiB');
SKIP: {
    skip 'this disk has too much room', 4 if run('sole', 'status', '-o', 'low')->{out} !~ /^disk-low: +1$/m;
    finds('an owner that warns of its disk', 1, 'warning', 'disk', qr/less than the owner was told to warn at/, qr/make room/, 'low');
}
is($low->stop, 0, 'that owner leaves');

# A disk that is full, and one that cannot be written: in a mount namespace of its own
SKIP: {
    skip 'needs root', 3 if $> != 0;
    mkdir path('disk');
    my $full = start({ name => 'full' }, '/usr/bin/unshare', '-m', '/bin/sh', '-c', 'mount --make-rprivate / && '
        . 'mount -t tmpfs -o size=160m,mode=0700 tmpfs "$1" && shift && exec "$@"', 'sh', path('disk'), program('sole-owner'), 'full', '-q', '-s', path('disk/state'));
    skip 'no mount namespaces here: ' . $full->err, 3 if !$full->wait_notice(qr/READY=1/);
    my @inside = ('/usr/bin/nsenter', '-t', $full->{pid}, '-m');
    my $doctor = sub { run(@inside, program('sole'), 'doctor', 'full')->{out} };
    unlike($doctor->(), qr/^\w+ +disk .*MiB free, and/m, 'a disk with room');
    run(@inside, '/bin/sh', '-c', 'head -c 80M /dev/zero >"$1"', 'sh', path('disk/ballast'));
    like($doctor->(), qr/^wrong +disk +\S+: \S+MiB free, and the next snapshot and its journal want 64\.0MiB\n +=> make room/m,
        'a disk that is nearly full is found');
    run(@inside, '/bin/rm', path('disk/ballast'));
    like(run('/usr/bin/unshare', '-m', '/bin/sh', '-c', 'mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"',
            'sh', path('state'), program('sole'), 'doctor', 'inventory')->{out}, qr/^wrong +disk .*is on a disk that cannot be written\n +=> see dmesg/m,
        'a disk that cannot be written is found');
    $full->stop('KILL');
}

# Supervisors
my $file = spew('app.zpl', <<'EOS');
name = app
intensity = 1000
backoff = 1h
backoff-max = 1h
child = steady
    command = sleep 1000
child = broken
    command = false
EOS
my $supervisor = start('sole-supervisor', $file);
ok(wait_until { doctor()->{out} =~ /^warning +supervisor +app: 1 of 2 children are not up: broken is delayed\n +=> sole status -s app/m }, 'a child that is not up is found')
    or diag($supervisor->err, doctor()->{out});
$supervisor->stop;
my $gone = IO::Socket::UNIX->new(Local => path('gone.supervisor'), Listen => 1);
close $gone;
finds('a supervisor that is gone', 1, 'wrong', 'supervisor', qr/nobody answers/, qr/start it again/);
unlink path('gone.supervisor');

# On a terminal its lines fit
my $terminal = Sole::Terminal->new({ rows => 40, columns => 80 }, 'sole', 'doctor', 'inventory');
is($terminal->finish, 0, 'on a terminal it is the same');
like($terminal->text, qr/^ok +owner +\S/m, '... with each finding on its line');
is(scalar(grep { length $_ == 80 } $terminal->lines), 0, '... which is wrapped at words');

is($owner->stop, 0, 'the owner leaves in order');
done_testing;
