# SPDX-License-Identifier: MIT
#
# `sole doctor`: each thing that can be wrong is made wrong, found, told with what to do, and what it
# says to do mends it. Its exit status tells whether anything is. Looking changes nothing.
use strict;
use warnings;
use lib 'tests/lib';
use JSON::PP;
use Sole::Supervised;
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
finds('a folder that is a file', 1, 'wrong', 'folder', qr/is no folder/, qr/remove it/) if do { local $ENV{SOLE_RUNTIME_DIR} = spew('file', ''); 0 };
{
    local $ENV{SOLE_RUNTIME_DIR} = spew('file', '');
    finds('a folder that is a file', 1, 'wrong', 'folder', qr/is no folder/, qr/remove it/);
}

# An owner that does not answer
$owner->signal('STOP');
finds('an owner that is stopped', 1, 'wrong', 'owner', qr/somebody listens, and does not answer/, qr/SIGSTOP/, 'inventory');
$owner->signal('CONT');
is(doctor('inventory')->{status}, 0, 'it goes on, and is well again');

# A lock whose file was removed
rename path('inventory.lock'), path('away') or die "rename: $!\n";
finds('a lock that is gone', 1, 'wrong', 'lock', qr/endpoint is not held by the owner that answers, but by nobody/, qr/restart the owner/, 'inventory');
rename path('away'), path('inventory.lock') or die "rename: $!\n";

# Limits
my $small = start_owner({ setup => sub { system 'true'; require BSD::Resource if 0 } }, 'small', '-q', '--max-connections', '3');
my @many = map { my $s = IO::Socket::UNIX->new(Peer => path('small.sock')); $s } 1 .. 3;
ok(wait_until { run('sole', 'doctor', '-j', 'small')->{out} =~ /connections are taken/ }, 'connections that run out are found');
@many = ();
is($small->stop, 0, 'that owner leaves');
my $tight = start_owner({ env => { ARGUMENTS => '' } }, 'tight', '-q') if 0;
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
    is(doctor("only$$")->{out} =~ /^ok +owner +\Q@{[path("xdg/sole")]}\E/m ? 1 : 0, 1, 'without SOLE_RUNTIME_DIR all folders are looked through');
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

# A clock that went back: the state was written an hour ahead
SKIP: {
    my ($faketime) = grep { -e } glob '/usr/lib/*/faketime/libfaketime.so.1';
    skip 'libfaketime is not here', 5 if !$faketime;
    my $ahead = start_owner({ env => { LD_PRELOAD => $faketime, FAKETIME => '+2h' } }, 'ahead', '-q', '-s', path('ahead'));
    run('sole', 'put', '-o', 'ahead', 'a', '1');
    $ahead->stop;
    $ahead = start_owner('ahead', '-q', '-s', path('ahead'));
    finds('a clock that went back', 1, 'wrong', 'clock', qr/the state's is .* ahead/, qr/set the system's clock right/, 'ahead');
    $ahead->stop;
}

# A disk that is full, and one that cannot be written
SKIP: {
    skip 'needs root and tmpfs', 9 if $> != 0;
    mkdir path('disk');
    my $mounted = run('/bin/mount', '-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'tmpfs', path('disk'));
    skip "cannot mount: $mounted->{err}", 9 if $mounted->{status} != 0;
    my $full = start_owner('full', '-q', '-s', path('disk/state'));
    run('/bin/sh', '-c', 'head -c 30M /dev/zero >' . path('disk/ballast'));
    my @all = finds('a disk that is nearly full', 1, 'wrong', 'disk', qr/free, and the next snapshot and its journal want/, qr/make room/, 'full');
    unlink path('disk/ballast');
    $full->stop;
    run('/bin/umount', '-l', path('disk'));
}

# Supervisors
my $file = spew('app.zpl', "name = app\nchildren\n    steady\n        command = sleep 1000\n    broken\n        command = false\n        restart = temporary\n");
my $supervisor = start('sole-supervisor', $file);
ok(wait_until { doctor()->{out} =~ /^\w+ +supervisor +app/m }, 'a supervisor is seen') or diag($supervisor->err, doctor()->{out});
$supervisor->stop;
mkdir path('gone');
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
