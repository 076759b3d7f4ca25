#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# `sole trace`: requests as they run, those that the filters let through; over a restart; what it cannot read in time
# is told; nobody is held up, and nobody pays when nobody traces. And `sole top`, at a terminal and without one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Sole::Supervised ();
use Sole::Terminal;
use Sole::Test;
use Sole::Wire;
use Test::More;

my $json = JSON::PP->new->utf8;

sub sole { return run({ name => 'sole' }, 'sole', '-o', 't', @_) }
sub traces { my ($client) = @_; return status($client)->{traces} }

# `sole trace` with these options, begun.
sub tracing {
    my ($client, @options) = @_;
    my $before = traces($client);
    my $trace = start({ notify => 0, name => 'trace' }, 'sole', '-o', 't', 'trace', @options);
    ok wait_until { traces($client) == $before + 1 }, "sole trace @options has begun";
    return $trace;
}

my $owner  = start_owner('t');
my $client = dealer(endpoint('t'));
ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
sub do_put { return ask($client, item(RUN, op(PUT, $_[0], \1))) }
sub do_get { return ask($client, item(RUN, op(GET, $_[0]), flags => QUERY)) }

# ---- lines and filters ----

{
    my $all   = tracing($client, '--count', 4);
    my $puts  = tracing($client, '--operation', 'put', '--count', 2, '--json');
    my $users = tracing($client, '--key', 'user/', '--count', 2, '--json');
    my $mine  = tracing($client, '-p', $$, '--count', 4, '--json');
    is sole('trace', '--count', 1)->{status}, 2, 'one more than --max-traces is refused';
    do_put('user/1');
    do_get('job/1');
    ask($client, item(RUN, op(CAS, 'user/1', \5, \6)));
    ask($client, item(RUN, op(PUT, "tab\there", \1) . op(PUT, 'more', \1)));
    is $_->finish, 0, 'it ends after so many' for $all, $puts, $users, $mine;
    my @lines = split /\n/, $all->out;
    is shift @lines, join("\t", qw(TIME PID TOOK RAN CODE OPERATION KEY)), 'a heading';
    my @cells = map { [split /\t/] } @lines;
    is_deeply [ map { join ' ', @$_[1, 4, 5, 6] } @cells ],
        [ "$$ ok put user/1", "$$ ok get job/1", "$$ conflict cas user/1", "$$ ok put+1 tab\\there" ], 'each request has a line, in order';
    like $cells[0][0], qr/^\d\d:\d\d:\d\d\.\d{6}$/, 'with the time';
    like join(' ', @{ $cells[0] }[2, 3]), qr/^[\d.]+[num]s [\d.]+[num]s$/, '... how long it took, and ran';
    my @objects = map { $json->decode($_) } split /\n/, $puts->out;
    is_deeply [ map { "$_->{operation} $_->{key}" } @objects ], [ 'put user/1', "put tab\there" ], '--operation';
    is $objects[1]{operations}, 2, '--json tells how many operations there were';
    cmp_ok $objects[0]{took_ns}, '>=', $objects[0]{run_ns}, 'it took no less than it ran';
    is_deeply [ map { my $line = $json->decode($_); "$line->{code} $line->{operation}" } split /\n/, $users->out ], [ 'ok put', 'conflict cas' ], '--key';
    is scalar(my @all = split /\n/, $mine->out), 4, '--pid';
    ok wait_until { traces($client) == 0 }, 'the owner has forgotten them';
}

{
    my $slower = tracing($client, '--slower', '10s');
    my $other  = tracing($client, '--pid', 1);
    do_put('quick');
    my $one = tracing($client, '--count', 1);
    do_put('seen');
    is $one->finish, 0, 'who traces all is told';
    is $_->stop, 0, 'SIGTERM: status 0' for $slower, $other;
    is scalar(my @lines = split /\n/, $_->out), 1, 'who asked for what is slower, or another process\'s, is not' for $slower, $other;
}

is sole('trace', '--operation', 'nothing')->{status}, 2, 'an operation that there is not: refused';
is sole('trace', '--key', 'k' x 65)->{status}, 2, 'a prefix that is too long: refused';
is sole('trace', '--slower', 'soon')->{status}, 64, 'what is no time: status 64';

# ---- who does not read ----

{
    my $deaf = dealer(endpoint('t'), receive => 1, send => 10);
    send_body($deaf, message(item(HELLO, list(\1, \1, 'deaf'), flags => NOTICES), item(TRACE, list(undef, undef, \0, \0), sequence => 1)));
    ok wait_until { traces($client) == 1 }, 'somebody traces, and does not read';
    my $body = message(map { item(RUN, op(PUT, 'k' x 60, \1)) } 1 .. 500);
    for (1 .. 60) { send_body($client, $body); receive_body($client) // last }
    is do_put('still')->{code}, 0, 'nobody is held up';
    ok wait_until { do_put('more'); counters($client)->{trace_drops} > 0 }, 'what it does not read is dropped in the end';
    cmp_ok status($client)->{'resident-bytes'}, '<', 200 << 20, 'the owner does not grow with it';
    $deaf->close;
    ok wait_until { traces($client) == 0 }, 'and it ends with its connection';
}

# ---- over a restart ----

{
    my $trace = tracing($client, '--count', 2);
    do_put('before');
    ok wait_until { $trace->out =~ /\tbefore$/m }, 'it is told of a request';
    $client->close;
    is $owner->stop, 0, 'the owner ends';
    $owner  = start_owner('t');
    $client = dealer(endpoint('t'));
    ask($client, item(HELLO, list(\1, \1, 'client'), flags => NOTICES));
    ok wait_until { traces($client) == 1 }, 'it is there again with the next one';
    do_put('after');
    is $trace->finish, 0, 'and is told of a request there';
    like $trace->out, qr/\tafter$/m, '... that one';
    like $trace->err, qr/the connection was lost: what happened meanwhile is not here/, '... and a line says so';
}

# ---- at a terminal ----

{
    my $trace = Sole::Terminal->new({ rows => 10, columns => 100 }, 'sole', '-o', 't', 'trace');
    ok wait_until { traces($client) == 1 }, 'a person traces';
    do_put('at a terminal');
    ok $trace->shows(qr/put +at a terminal$/m), 'a line is there as the request is';
    $trace->key('Ctrl-C');
    is $trace->finish, 0, '^C ends it with status 0';
}

{
    my $stats = Sole::Terminal->new({ rows => 160, columns => 140 }, 'sole', '-o', 't', 'stats');
    is $stats->finish, 0, 'sole stats at a terminal';
    like $stats->text, qr/^requests:\nreads +\d+ +operations +queries.*^latencies:\noperation +kind +count +p50 /ms, '... titles, numbers, latencies';
    my $slow = Sole::Terminal->new({ rows => 20, columns => 140 }, 'sole', '-o', 't', 'slow', '--reset');
    is $slow->finish, 0, 'sole slow at a terminal';
    like $slow->text, qr/^(?:no request has run|\d+ requests have run) for 1\.00ms or longer/, '... says what slow is';
}

# ---- sole top ----

my $supervisor = Sole::Supervised::supervised('watched', Sole::Supervised::child('clock', 'ready', ready => 'notify'));
ok wait_until { ((Sole::Supervised::status_of('watched', 'clock'))[1] // '') eq 'ready' }, 'a supervisor has a child';

{
    my $session = open_session($client);
    my $sequence = 0;
    my $top = Sole::Terminal->new({ rows => 40, columns => 110 }, 'sole', '-o', 't', 'top', '--every', '200ms');
    my $working = sub {
        ask($client, map { item(RUN, op(PUT, 'hot', \$_), session => $session, sequence => ++$sequence, window => 0) } 1 .. 20);
        ask($client, item(RUN, op(GET, "cold$sequence"), flags => QUERY));
        return $_[0]->text;
    };
    ok $top->shows(sub { $working->($_[0]) =~ qr/^t: serving, table, memory, up .*, revision \d+, start 1 /m }), 'the owner\'s state';
    ok $top->shows(sub { $working->($_[0]) =~ qr/^put +command +[1-9]\S* +\S+ +[\d.]+[um]s +[\d.]+[um]s +[\d.]+[um]s$/m }), 'an operation with its rate, p50, p99 and longest';
    ok $top->shows(sub { $working->($_[0]) =~ qr/^hot +[\d.]+%  put$/m }), 'a hot key';
    ok $top->shows(sub { $working->($_[0]) =~ qr/^$$ +\S+ +\S+ +[1-9]\S* +\S+ +1 /m }), 'a client by pid, name, user, rate, requests and sessions';
    ok $top->shows(qr/^$top->{pid} +sole /m), '... the command name is the system\'s';
    ok $top->shows(qr/^CHILD +PID +STATE.*\nclock +\d+ +ready /m), 'the supervisor\'s children';
    $top->type('s');
    ok $top->shows(qr/sorted by p99/), 's sorts another way';
    $top->type('?');
    ok $top->shows(qr/q: leave  s: sort/), '? lists the keys';
    $top->resize(12, 60);
    ok $top->shows(sub { my @lines = $_[0]->lines; @lines == 12 && $lines[0] =~ /^t: serving/ && $lines[-1] =~ /^q: leave/ }), 'it fits a terminal that has become smaller';
    is scalar(grep { length > 60 } $top->lines), 0, '... with no line too long';
    $top->resize(40, 110);
    ok $top->shows(qr/^PID +CLIENT/m), '... and larger';
    # The owner goes away and comes back.
    $client->close;
    is $owner->stop, 0, 'the owner ends';
    ok $top->shows(qr/^no answer: /m, 20), 'that nobody answers is told';
    ok $top->shows(qr/^clock +\d+ +ready /m), '... beside the supervisor\'s word';
    $owner  = start_owner('t');
    $client = dealer(endpoint('t'));
    ok $top->shows(qr/^t: serving/m, 20), 'and goes on when it is back';
    $top->type('q');
    is $top->finish, 0, 'q leaves with status 0';
    is_deeply $top->{screen}{unknown} // [], [], 'what it wrote is what a terminal understands' if ref $top->{screen}{unknown};
}

{
    my $top = Sole::Terminal->new({ rows => 24, columns => 80 }, 'sole', '-o', 't', 'top');
    ok $top->shows(qr/^t: serving/m), 'on 24 lines of 80';
    is scalar(grep { length > 80 } $top->lines), 0, '... nothing is cut by the terminal';
    $top->key('Ctrl-C');
    is $top->finish, 0, '^C leaves with status 0';
    my $odd = Sole::Terminal->new({ rows => 24, columns => 80, env => { TERM => 'none-such' } }, 'sole', '-o', 't', 'top', '--every', '100ms');
    is $odd->finish, 0, 'a terminal that nobody knows gets one table';
    like $odd->out, qr/^t: serving/m, '... plain';
}

{
    do_put("\e[31mred");
    ask($client, item(HELLO, list(\1, \1, "\e]0;title\a"), flags => NOTICES));
    do_get("\e[31mred") for 1 .. 400;
    my $ran = sole('top', '--once', '--every', '100ms');
    is $ran->{status}, 0, 'sole top --once';
    like $ran->{out}, qr/\At: serving, .*^OPERATION .*^HOT KEY .*^PID .*^CHILD /ms, 'prints one table';
    unlike $ran->{out}, qr/\e|\a/, 'nothing of a client reaches a terminal as it came';
    is sole('top', '--every', '1ms')->{status}, 64, 'looking a thousand times a second is too much';
    my $nobody = run({ name => 'sole' }, 'sole', '-o', 'nobody', '-t', '100ms', 'top', '--once');
    is $nobody->{status}, 69, 'nobody there: status 69';
    like $nobody->{err}, qr/unreachable/, '... and why';
}

is $supervisor->stop, 0, 'the supervisor ends well';
like sole('top', '--once', '--every', '100ms')->{out}, qr/\At: serving(?!.*^CHILD)/ms, 'without a supervisor there is no table of children';
$client->close;
is $owner->stop, 0, 'the owner ends well';
done_testing;
