#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Rules of access as people write them: what each mistake is told as, that a file with one is not taken at all, and that
# SIGHUP takes rules and limits anew, or leaves all as it was.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Other;
use Sole::Test;
use Test::More;

sub check { return run('sole-owner', '--check-config', @_, 'checked') }

# ---- mistakes ----

my $good = rules('good.access', <<'RULES');
rule
    who = uid 1000
    right = command
    operations = get, put watch
rule
    who = gid 0
    right = query
rule
    who = key north
    right = admin
rule
    who = any key
    right = query
rule
    who = relayed
    right = none
rule
    who = clear
    right = none
rule
    who = anyone
    right = query
RULES
my $checked = check('--access', $good);
is $checked->{status}, 0, 'each form of a rule is taken' or diag $checked->{err};
like $checked->{out}, qr/^access = \Q$good\E$/m, '... and the settings name their file';

my $bad = rules('bad.access', <<'RULES');
rule
    who = someone
    right = query
rule
    who = user no-such-user-here
    right = all
rule
    right = query
rule
    who = uid 4294967295
    who = uid 5
    colour = red
allow
    who = anyone
rule
    who = anyone
    right = command
    operations = get fly
rule
    who = anyone
    right = admin
    operations = get
rule
    who = key a-name-of-more-than-thirty-characters
    right = query
    operations =
rule
    who = group
    right = query
        deep = 1
 odd = 1
RULES
$checked = check('--access', $bad);
is $checked->{status}, 78, 'rules with mistakes: status 78';
is $checked->{out}, '', '... and nothing is printed';
for my $expected (
    [2, qr/who = someone: it is one of: user NAME, uid N, group NAME, gid N, key NAME, any key, relayed, clear, anyone/],
    [5, qr/who = user no-such-user-here: there is no user of that name: 'uid N' needs none/],
    [6, qr/right = all: it is one of: none, query, command, admin/],
    [7, qr/the rule does not say who/],
    [9, qr/the rule gives no right/],
    [10, qr/who = uid 4294967295: a uid is a number/],
    [11, qr/who was given in line 10 already/],
    [12, qr/'colour' is no setting of a rule/],
    [13, qr/'allow' is not a line 'rule'/],
    [18, qr/operations: table has no operation 'fly'/],
    [20, qr/the rule of line 15 is for the same, and the first that fits decides/],
    [22, qr/operations go with the rights query and command only/],
    [24, qr/who = key \S+: the name of a key has no more than 30 characters here/],
    [26, qr/operations: names at least one/],
    [28, qr/who = group: it is one of/],
    [30, qr/'deep' is indented too far/],
    [31, qr/the line is not indented by 4 spaces a level/],
) {
    my ($line, $regex) = @$expected;
    like $checked->{err}, qr/^sole-owner: \Q$bad\E:$line: $regex/m, "line $line: " . $regex =~ s/^\(\?\^:|\)$//gr;
}

$checked = check('--access', path('no-such-file'));
is $checked->{status}, 78, 'a file that is not there: status 78';
like $checked->{err}, qr{no-such-file: cannot be read: No such file or directory\b}m, '... and the line says so';
chmod 0666, my $open = rules('open.access', "rule\n    who = anyone\n    right = query\n");
chmod 0666, $open;
$checked = check('--access', $open);
is $checked->{status}, 78, 'a file that anybody can write: status 78';
line_like $checked->{err}, qr/can be written by anybody, who could give himself any right: chmod o-w$/, '... and the line says why';
SKIP: {
    skip 'only root can give a file away', 2 if $> != 0;
    my $theirs = rules('theirs.access', "rule\n    who = anyone\n    right = query\n");
    chown 12345, -1, $theirs;
    $checked = check('--access', $theirs);
    is $checked->{status}, 78, 'a file of another user: status 78';
    line_like $checked->{err}, qr/belongs to uid 12345, who could give himself any right: chown it to root$/, '... and the line says why';
}

# ---- among other settings ----

my $settings = rules('settings.zpl', <<'SETTINGS');
max-key = 64
access
    rule
        who = anyone
        right = query
max-value = 1K
read-only = yes
SETTINGS
$checked = check('-c', $settings);
is $checked->{status}, 0, 'rules may stand among the settings' or diag $checked->{err};
like $checked->{out}, qr/^read-only = yes\n.*^max-key = 64\n.*^max-value = 1024\n/ms, '... and those around them are taken';
$checked = check('-c', rules('settings.bad', "access\n    rule\n        who = anybody\n        right = query\nmax-frob = 1\n"));
is $checked->{status}, 78, 'mistakes there: status 78';
$checked = check('-c', rules('settings.bad', "access\n    rule\n        who = anybody\n        right = query\n"));
like $checked->{err}, qr/settings\.bad:3: who = anybody: it is one of/, '... with their lines';
$checked = check('-c', rules('settings.bad', "access = $good\n    rule\n        who = anyone\n        right = query\n"));
like $checked->{err}, qr/settings\.bad:2: 'access' names a file already: rules stand there, or here/, 'a file, or rules, not both';

# ---- SIGHUP ----

sub told { my ($owner, $regex) = @_; return wait_until { $owner->err =~ $regex } }
sub limit { return run('sole', '-o', 'again', 'put', 'k' x $_[0], '1')->{status} }

# Changes the file, sends the signal, and waits for the line that says what came of it.
sub read_again {
    my ($owner, $name, $text) = @_;
    rules($name, $text);
    my $lines = () = $owner->err =~ /SIGHUP: /g;
    $owner->signal('HUP');
    ok wait_until { (() = $owner->err =~ /SIGHUP: /g) > $lines }, 'the signal is answered in the log';
    return;
}

my $start = "max-key = 20\nmax-connections = 100\ndisk-warning = 1M\n";
my $owner = start_owner('again', '-c', rules('again.zpl', $start), '--max-value', '100', '--state', path('state'));
is limit(20), 0, 'a key as long as the limit';
is limit(21), 2, '... and one that is longer';
read_again($owner, 'again.zpl', "max-key = 30\nmax-connections = 200\nmax-value = 50\nbehaviour = x.so\n");
like $owner->err, qr/SIGHUP: took 0 rules of access, and limits; 0 sessions and 0 watches end/, 'what was taken is told';
is limit(30), 0, 'a limit that was raised';
like $owner->err, qr/max-connections is another now: it is taken at the next start$/m, 'one that cannot change while it runs is named';
like $owner->err, qr/behaviour is another now: it is taken at the next start$/m, '... and so are other settings';
unlike $owner->err, qr/max-value is another/, 'the command line still wins over the file';
is run('sole', '-o', 'again', 'put', 'k', 'v' x 100)->{status}, 0, '... as can be seen';

my $before = $owner->err;
read_again($owner, 'again.zpl', "max-key = 40\nmax-frob = 1\n");
like substr($owner->err, length $before), qr/again\.zpl:2: 'max-frob' is not a setting.*\n.*SIGHUP: settings with mistakes are not taken/,
    'a file with a mistake is refused';
is limit(31), 2, '... whole';
read_again($owner, 'again.zpl', "max-key = 41\ndurability = memory\n");
like $owner->err, qr/durability memory keeps nothing in .*\n.*SIGHUP: settings with mistakes/, 'so are settings that do not go together';
is limit(31), 2, '... and the limit is the old one';
read_again($owner, 'again.zpl', "max-key = 42\naccess\n    rule\n        who = anyone\n        right = any\n");
like $owner->err, qr/again\.zpl:5: right = any: it is one of.*\n.*SIGHUP: settings with mistakes/, 'so are rules with one';
is limit(31), 2, '... and the limit beside them is the old one';
unlink path('again.zpl');
$owner->signal('HUP');
ok told($owner, qr/again\.zpl: cannot be read.*\n.*SIGHUP: settings with mistakes/), 'so is a file that is gone';
is limit(30), 0, 'the owner goes on';
read_again($owner, 'again.zpl', "max-entries = 1\n");
is run('sole', '-o', 'again', 'put', 'another', '1')->{status}, 2, 'a limit that is less than there is: max-entries';
is limit(30), 0, '... lets what is there be changed, and one that is not in the file any more is what it is by default';
is run('sole', '-o', 'again', 'stats')->{out} =~ /^reloads\s+(\d+)/m ? $1 : '', 2, 'what was taken is counted';
is $owner->stop, 0, 'it ends well';

$owner = start_owner('none');
$owner->signal('HUP');
ok told($owner, qr/SIGHUP: took 0 rules/), 'an owner without a file takes nothing, and goes on';
is $owner->stop, 0, '... and ends well';

# ---- rules that are taken from somebody ----

SKIP: {
    my $why = no_others();
    skip $why, 12 if $why;
    open_to_others();
    my $rule = sub { join '', map { my ($who, $right) = @$_; "rule\n    who = $who\n    right = $right\n" } @_ };
    $owner = start_owner('given', '--socket-mode', '0666', '--access', rules('given.access', $rule->(['user nobody', 'command'], ['user daemon', 'command'])));
    my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
    my $become = sub { $) = "$gid $gid"; POSIX::setgid($gid); POSIX::setuid($uid) };
    my $holder = start({ setup => $become, notify => 0, name => 'holder' }, path('sole-of-others'), '-o', 'given', 'lock', 'l', '--', '/bin/sleep', '100');
    my $watcher = start({ setup => $become, notify => 0, name => 'watcher' }, path('sole-of-others'), '-o', 'given', 'watch', '-v');
    my $stats = sub { run('sole', '-o', 'given', 'stats')->{out} };
    ok wait_until { run('sole', '-o', 'given', 'sessions')->{out} =~ /nobody/ }, 'nobody has a session, and a lock with it';
    ok wait_until { run('sole', '-o', 'given', 'status')->{out} =~ /^watches:\s+1$/m }, '... and a watch';
    read_again($owner, 'given.access', $rule->(['user nobody', 'none'], ['user daemon', 'command']));
    like $owner->err, qr/SIGHUP: took 2 rules of access, and limits; 1 sessions and 1 watches end for want of a right/, 'the right is taken from them';
    isnt $holder->finish(seconds(30)) // 'running', 'running', 'the holder of the lock hears that it is lost';
    like $holder->err, qr/lock/, '... and says so';
    isnt $watcher->finish(seconds(10)) // 'running', 'running', 'the watch ends';
    like $watcher->err, qr/denied/, '... and says why';
    is as_user('daemon', '-o', 'given', 'lock', '--try', 'l', '--', '/bin/true')->{status}, 0, 'another has the lock';
    is as_user('nobody', '-o', 'given', 'get', 'k')->{status}, 2, 'nobody is refused';
    read_again($owner, 'given.access', $rule->(['user nobody', 'query']));
    is as_user('nobody', '-q', '-o', 'given', 'get', 'k')->{status}, 1, '... until the rules give the right again';
    is $owner->stop, 0, 'the owner ends well';
}

done_testing;
