#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Each door of an owner from the wrong side, with a socket that everybody can reach: another user, one who may less than
# he asks for, somebody else's session, one behind a broker; and what the log and the counters say of it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Other;
use Sole::Test;
use Sole::Wire;
use Test::More;
use ZMQ::FFI::Constants qw(:all);

my $why = no_others();
plan skip_all => $why if $why;

use constant { OK => 0, DENIED => 5 };
my $denied_line = qr/^sole: refused: denied: /;

# Strangers are started before there is a ZeroMQ context to be inherited.
open_to_others();

# ---- an owner without rules ----

subtest 'without rules an owner serves root and its own user, whoever can reach its socket' => sub {
    my $owner = start_owner('plain', '--socket-mode', '0666');
    like $owner->err, qr/socket-mode lets others in, and without rules of access only root and uid 0 are served/,
        'it says so when it starts';
    my $put = run('sole', '-o', 'plain', 'put', 'k', '1');
    is $put->{status}, 0, 'root is served';
    for my $command (['get', 'k'], ['put', 'k', '2'], ['status'], ['stats'], ['ops'], ['ping'], ['sessions'], ['watch', '-t', '2s'],
        ['lock', 'l', '--', 'true'], ['backup', '-']) {
        my $ran = as_user('nobody', '-o', 'plain', @$command);
        is $ran->{status}, 2, "nobody is refused: sole $command->[0]";
        like $ran->{err}, $denied_line, '... in a line that says so';
        is $ran->{out}, '', '... and nothing else';
    }
    is run('sole', '-o', 'plain', 'get', 'k')->{out}, "1\n", 'nothing was changed';
    is $owner->stop, 0, 'the owner ends well';
};

# ---- rights ----

my $file = rules('doors.access', <<'RULES');
# who may do what
rule
    who = user nobody
    right = query
rule
    who = group daemon
    right = command
rule
    who = user bin
    right = command
    operations = get put watch
rule
    who = uid 54321
    right = admin
RULES
my $owner = start_owner('doors', '--socket-mode', '0666', '--access', $file);
my %stranger = map { $_ => stranger($_, 'doors') } qw(nobody daemon bin 54321 54322);
my $raw = dealer(endpoint('doors'));
ask($raw, item(HELLO, list(\1, \1, 'test'), flags => NOTICES));

my %expected = (
    #           get     put     delete  watch   open    sessions
    nobody => [OK,     DENIED, DENIED, OK,     DENIED, DENIED],
    daemon => [OK,     OK,     OK,     OK,     OK,     DENIED],
    bin    => [OK,     OK,     DENIED, OK,     OK,     DENIED],
    54321  => [OK,     OK,     OK,     OK,     OK,     OK],
    54322  => [(DENIED) x 6],
);
for my $user (sort keys %expected) {
    my @told = $stranger{$user}->ask(
        item(HELLO, list(\1, \1, 'other'), flags => NOTICES),
        item(RUN, op(GET, 'k'), flags => QUERY),
        item(RUN, op(PUT, 'k', $user)),
        item(RUN, op(DELETE, 'k')),
        watch_item(1, 'nothing'),
        item(OPEN, list(pack('a16', $user), \0)),
        item(SESSIONS, list(\0)));
    is_deeply [map { $_->{code} } @told[1 .. 6]], $expected{$user}, "get, put, delete, watch, open, sessions of $user";
    is $told[0]{code}, $user eq '54322' ? DENIED : OK, '... and hello';
}

subtest 'an operation that is not allowed keeps all of its request from running' => sub {
    my $told = $stranger{bin}->ask(item(RUN, op(PUT, 'half', \1) . op(DELETE, 'half')));
    is $told->{code}, DENIED, 'refused';
    is get($raw, 'half'), undef, 'and nothing of it was done';
};

subtest 'a command that claims to be a query is none' => sub {
    is $stranger{nobody}->ask(item(RUN, op(PUT, 'claimed', \1), flags => QUERY))->{code}, 4, 'invalid';
    is get($raw, 'claimed'), undef, 'and was not run';
};

# ---- sessions ----

subtest 'the session of somebody else is not to be had' => sub {
    my ($opened) = $stranger{daemon}->ask(item(OPEN, list(pack('a16', 'of daemon'), \0)));
    my $session  = $opened->{session};
    my $command  = item(RUN, op(PUT, 'mine', 'secret') . op(GET, 'mine'), session => $session, sequence => 1);
    is $stranger{daemon}->ask($command)->{code}, OK, 'a command of it has run';
    my $before = counters($raw)->{sessions_denied};
    for my $who (qw(bin 54321)) {
        my @told = $stranger{$who}->ask($command,    # the same bytes again: a replay
            item(RUN, op(PUT, 'mine', 'stolen'), session => $session, sequence => 2),
            item(CANCEL, '', session => $session, sequence => 2),
            item(GOODBYE, '', session => $session),
            item(PING, '', session => $session),
            item(RECEIVED, '', session => $session, sequence => 1),
            item(OPEN, list(pack('a16', 'of daemon'), \0)));
        is_deeply [map { $_->{code} } @told], [(DENIED) x 7], "replayed, named or opened anew by $who: denied";
        ok !(grep { index(join(' ', map { $_ // '' } map { @$_ } @{ $_->{lists} }), 'secret') >= 0 } @told), '... and what it was answered is not told';
    }
    my $root = ask($raw, item(RUN, op(PUT, 'mine', 'stolen'), session => $session, sequence => 2));
    is $root->{code}, DENIED, 'nor by root, who has other ways';
    cmp_ok counters($raw)->{sessions_denied}, '>', $before, 'which is counted';
    is $stranger{daemon}->ask($command)->{code}, OK, 'its own client hears the answer again';
    is $stranger{daemon}->ask(item(RUN, op(PUT, 'mine', 'next'), session => $session, sequence => 2))->{code}, OK, 'and goes on';
    is get($raw, 'mine'), 'next', 'as if nothing had been';
    is $stranger{bin}->ask(item(OUTCOME, list(\$session, \1)))->{code}, DENIED, 'what became of a command is its own, too';
    is $stranger{54321}->ask(item(OUTCOME, list(\$session, \1)))->{code}, OK, '... and an administrator\'s';
};

subtest 'a refused command takes its place, and its retry hears the same' => sub {
    my ($opened) = $stranger{bin}->ask(item(OPEN, list(pack('a16', 'of bin'), \0)));
    my $session  = $opened->{session};
    my @told;
    for (1 .. 2) {
        @told = $stranger{bin}->ask(
            item(RUN, op(PUT, 'p', \1), session => $session, sequence => 1),
            item(RUN, op(DELETE, 'p'), session => $session, sequence => 2, window => 1),
            item(RUN, op(PUT, 'p', \3), session => $session, sequence => 3, window => 2));
        is_deeply [map { $_->{code} } @told], [OK, DENIED, OK], 'in order';
    }
    is get($raw, 'p'), 3, 'each ran once';
};

# ---- the broker ----

subtest 'who comes by a broker is nobody, though the broker is somebody' => sub {
    my @items = (item(PING, ''), item(RUN, op(GET, 'k'), flags => QUERY), item(RUN, op(PUT, 'k', \1)), item(OPEN, list(pack('a16', 'broker'), \0)));
    $raw->send_multipart(['who', '', message(@items)]);
    my @frames = $raw->recv_multipart;
    is_deeply [map { $_->{code} } @{ read_message($frames[-1])->{items} }], [(DENIED) x 4], 'root\'s broker has nothing for whoever is behind it';
    $raw->send_multipart(['who', '', message(item(BACKUP, list(\1, \0)))]);
    is read_message(($raw->recv_multipart)[-1])->{items}[0]{code}, DENIED, 'not even a backup';
};

# ---- places ----

subtest 'one user does not take the connections of all' => sub {
    my $small = start_owner('small', '--socket-mode', '0666', '--max-connections', '8', '--access', $file);
    my $hold  = <<'PERL';
        use IO::Socket::UNIX;
        my ($path, $count, $held) = (@ARGV, 0);
        my @sockets = map { IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path) } 1 .. $count;
        $held += !!sysread $_, my $greeting, 1 for @sockets;
        $| = 1;
        print "held $held\n";
        <STDIN>;
PERL
    my $holder = sub {
        my ($user) = @_;
        my ($uid, $gid) = (getpwnam $user)[2, 3];
        my $process = start({ name => "holder-$user", notify => 0, stdin => 'pipe', setup => sub { $) = "$gid $gid"; POSIX::setgid($gid); POSIX::setuid($uid) } },
            $^X, '-e', $hold, path('small.sock'), 20);
        $process->wait_output('out', qr/^held \d+$/m);
        return $process;
    };
    my $nobody = $holder->('nobody');
    is $nobody->out, "held 4\n", 'a user has half of them, and no more';
    is run('sole', '-o', 'small', 'ping')->{status}, 0, 'root has one';
    is as_user('daemon', '-o', 'small', 'ping')->{status}, 0, '... and so has another user';
    is run('sole', '-o', 'small', 'stats')->{out} =~ /^limit_user_connections\s+(\d+)/m ? $1 : '', 16, 'which is counted';
    $nobody->close_input;
    $nobody->finish;
    is $small->stop, 0, 'the owner ends well';

    $small = start_owner('small', '--socket-mode', '0666', '--max-user-connections', '3', '--access', $file);
    is $holder->('nobody')->out, "held 3\n", '... or as many as --max-user-connections says';
    is $small->stop, 0, 'the owner ends well';
};

# ---- what is told of it ----

subtest 'refusals are counted, and told in the log by uid and pid, without filling it' => sub {
    my $before = counters($raw)->{access_denied};
    my $many   = item(RUN, op(PUT, 'k', \1));
    for (1 .. 30) {
        my @told = $stranger{nobody}->ask(($many) x 100);
        is scalar(grep { $_->{code} == DENIED } @told), 100, 'a hundred refusals' if $_ == 1;
    }
    is counters($raw)->{access_denied}, $before + 3000, 'each is counted';
    my ($nobody) = (getpwnam 'nobody')[2];
    my $pid = $stranger{nobody}->pid;
    my $unnamed = $stranger{54322}->pid;
    ok wait_until { $owner->err =~ /^sole-owner: access: refused uid $nobody, pid $pid: /m }, 'the log has who it was';
    ok wait_until { $owner->err =~ /^sole-owner: access: refused uid 54322, pid $unnamed: hello, and \d+ times more$/m },
        '... and what it was, and how often';
    ok wait_until { $owner->err =~ /^sole-owner: access: refused a caller behind a broker: ping/m }, '... and those whom nobody knows';
    is $owner->stop, 0, 'the owner ends well';
    my $log = $owner->err;
    my $lines = () = $log =~ /^sole-owner: access: /mg;
    cmp_ok $lines, '<', 60, 'in few lines';
    my $sum = 0;
    $sum += 1 + ($1 // 0) while $log =~ /^sole-owner: access: refused .*?(?:, and (\d+) times more)?$/mg;
    cmp_ok $sum, '>=', $before + 3000, '... which account for all of them';
};
$_->finish for values %stranger;

done_testing;
