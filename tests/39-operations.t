#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# Each operation that an owner describes, and each item of the protocol, asked for through the C
# library, the command line and Python, has the same answer.
#
# Six ways to ask, each with an owner of its own that only it changes:
#   library, call, python   any operation by its name: sole_call; `sole call` and `sole txn`; Request.call
#   sole.h, sole, sole.py   what each has for an operation beside that: sole_get; `sole get`; Client.get.
#                           Where there is nothing, the one above.
# A row of the table is a request, its answer by the first three, and what the last three ask and
# hear. The table is measured against DESCRIBE, protocol.h, and what sole(1), sole.h and
# sole.Client offer: what has no row fails, and so does a row that is for nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use Sole::Test;
use Sole::Wire qw(ADD HELLO GOODBYE RUN QUERY NOTICES LOCK UNLOCK HOLDER PUT
    dealer endpoint ask item op list open_session status counters);
use Test::More;

my $top    = "$FindBin::Bin/..";
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my $has_python = run({ name => 'python' }, '/usr/bin/env', $python, '-c', 'import zmq')->{status} == 0;
my $bin    = program('.');
my $driver = $bin =~ m{/build/[^/]+/bin/\.$} ? "$bin/../tests/matrix/driver" : "$top/build/plain/tests/matrix/driver";
die "$driver is not built: make check builds it\n" if !-x $driver;
my $json = JSON::PP->new->utf8->allow_nonref;

# ---- values, as the drivers write them ----

# undef is none, a reference to a number an integer, one to a name what was kept under it; all else bytes.
sub word {
    my ($way, $value) = @_;
    return 'n' if !defined $value;
    return 'b' . unpack 'H*', $value if !ref $value;
    return 'i' . ($$value =~ /^-?\d+$/ ? $$value : $way->{kept}{$$value} // die "nothing is kept as $$value\n");
}

# The same as an argument of the command line.
sub operand {
    my ($way, $value) = @_;
    return !defined $value ? '--none' : ref $value ? substr(word($way, $value), 1) : $value;
}

# And as a word of a script of `sole txn`.
sub script_word {
    my ($way, $value) = @_;
    return operand($way, $value) if !defined $value || ref $value;
    return '"' . $value =~ s/([^a-z0-9])/sprintf '\\x%02x', ord $1/ger . '"';
}

# What `--json` printed, in the words of the drivers.
sub told_json {
    my ($value) = @_;
    return 'n' if !defined $value;
    return join ' ', '(', (map { told_json($_) } @$value), ')' if ref $value eq 'ARRAY';
    return 'b' . unpack 'H*', decode_base64($value->{base64}) if ref $value;
    return "i$value" if $json->encode($value) !~ /^"/;
    utf8::encode(my $bytes = $value);
    return 'b' . unpack 'H*', $bytes;
}

# What is expected, where 'text' stands for bytes.
sub expected { return $_[0] =~ s/'([^']*)'/'b' . unpack 'H*', $1/ger }

# ---- the ways ----

sub say_driver {
    my ($way, $line) = @_;
    my $before = () = $way->{process}->out =~ /\n/g;
    $way->{process}->say("$line\n");
    my @lines;
    wait_until { (@lines = $way->{process}->out =~ /(.*)\n/g) > $before || !$way->{process}->running };
    return $lines[$before] // 'nothing: ' . $way->{process}->err;
}

sub sole { my ($way, @arguments) = @_; return run({ name => 'sole' }, 'sole', '-o', $way->{owner}, @arguments) }

# Why `sole` did nothing: the name of the code.
sub reason { my ($ran) = @_; return $ran->{err} =~ /^sole: (?:refused: ([\w-]+)|(conflict)):/m ? $1 // $2 : "status $ran->{status}: $ran->{err}" }

sub ask_driver {
    my ($way, $word, @operations) = @_;
    return say_driver($way, join ' ', $word, join ' ; ', map { my ($name, @values) = @$_; join ' ', $name, map { word($way, $_) } @values } @operations);
}

sub ask_call {
    my ($way, @operations) = @_;
    if (@operations == 1) {
        my ($name, @values) = @{ $operations[0] };
        my $ran = sole($way, 'call', '--json', $name, map { operand($way, $_) } @values);
        my $told = $ran->{out} eq '' ? undef : $json->decode($ran->{out});
        return 'ok [ ' . join('', map { told_json($_) . ' ' } @$told) . ']' if $ran->{status} == 0;
        return reason($ran) ne 'conflict' ? reason($ran) : 'conflict ' . told_json($told->{found});
    }
    my $ran = sole($way, 'txn', '--json', map { my ($name, @values) = @$_; join ' ', $name, map { script_word($way, $_) } @values } @operations);
    my $told = $ran->{out} eq '' ? undef : $json->decode($ran->{out});
    return reason($ran) if !$told || $told->{error};
    my @lists = map { told_json($_) =~ s/^\(/[/r =~ s/\)$/]/r } @{ $told->{results} };
    unshift @lists, "[ i$told->{half} ]" if grep { $_->[0] eq 'otherwise' } @operations;
    return join ' ', 'ok', @lists;
}

# One of the six: its owner, somebody else who speaks to that raw and holds a lock, and how it asks.
sub way {
    my ($name, $kind, $own) = @_;
    my $way = { name => $name, kind => $kind, own => $own, owner => "o$kind" . ($own ? 'own' : ''), kept => {} };
    $way->{process_of_owner} = start_owner($way->{owner}, '--drain', '100ms');
    my $other = $way->{other} = dealer(endpoint($way->{owner}));
    ask($other, item(HELLO, list(\1, \1, 'other'), flags => NOTICES));
    $way->{kept}{S} = open_session($other, 600_000);    # silent for long, while the other ways are tried
    $way->{sequence} = 0;
    $way->{kept}{T} = other_asks($way, LOCK, 'held')->{lists}[0][0];
    $way->{process} = start({ stdin => 'pipe', notify => 0, name => 'driver' }, $driver, $way->{owner}) if $kind eq 'library';
    $way->{process} = start({ stdin => 'pipe', notify => 0, name => 'driver' }, '/usr/bin/env', $python, '-B', "$FindBin::Bin/matrix/driver.py", $way->{owner})
        if $kind eq 'python';
    return $way;
}

# The other one's command.
sub other_asks {
    my ($way, @operation) = @_;
    return scalar ask($way->{other}, item(RUN, op(@operation), session => $way->{kept}{S}, sequence => ++$way->{sequence}));
}

my @ways = (way('library', 'library', 0), way('call', 'call', 0), way('sole.h', 'library', 1), way('sole', 'call', 1));
push @ways, way('python', 'python', 0), way('sole.py', 'python', 1) if $has_python;

# ---- the table of requests ----

my %asked;       # operations that have a row
my %commands;    # what of `sole`, of sole.h and of sole.Client was used
my (%functions, %methods);

# row(TITLE, [[NAME, VALUE ...] ...], ANSWER, also ...). Also:
#   call => ANSWER        where it is another through `sole call`
#   library => WHAT       what the function of sole.h answers, where the request is one operation that has one
#   sole => [[ARGUMENT ...], STATUS, OUTPUT]
#   python => [EXPRESSION, WHAT IT IS]
#   keep => [NAME, REGEX] keeps what the regex captures, of any of these, for \'NAME' in later rows
#   hide => [REGEX, TEXT] what differs from owner to owner
#   first => CODE         is run before, with the way
# An answer, and an output, may be a regex.
sub row {
    my ($title, $operations, $answer, %also) = @_;
    $asked{ $_->[0] } = 1 for @$operations;
    for my $way (@ways) {
        $also{first}->($way) if $also{first};
        my ($got, $wanted) = $way->{own} && $also{ own_column($way) } ? ask_own($way, $operations, \%also) : (ask_way($way, @$operations), $way->{kind} eq 'call' && $also{call} || $answer);
        # What a refusal found is not told of a request of several operations by `sole txn`.
        $got =~ s/^(conflict) .*/$1/ if @$operations > 1;
        check($way, $got, $wanted, $title, \%also);
    }
    return;
}

sub own_column { my ($way) = @_; return { library => 'library', call => 'sole', python => 'python' }->{ $way->{kind} } }

sub ask_way {
    my ($way, @operations) = @_;
    return $way->{kind} eq 'call' ? ask_call($way, @operations) : ask_driver($way, 'run', @operations);
}

sub ask_own {
    my ($way, $operations, $also) = @_;
    if ($way->{kind} eq 'library') {
        $functions{ $operations->[0][0] } = 1;
        return (ask_driver($way, 'own', $operations->[0]), $also->{library});
    }
    if ($way->{kind} eq 'python') {
        my ($expression, $is) = @{ $also->{python} };
        $methods{$_} = 1 for $expression =~ /client\.(\w+)/g;
        return (say_driver($way, 'own ' . $expression =~ s/\$(\w+)/$way->{kept}{$1}/gr), $is);
    }
    my ($arguments, $status, $output) = @{ $also->{sole} };
    $commands{ $arguments->[0] } = 1;
    my $ran = sole($way, map { s/\$([A-Z])\b/$way->{kept}{$1}/gr } @$arguments);
    return ("$ran->{status} $ran->{out}" =~ s/\n$//r, ref $output ? qr/^$status $output$/ : "$status $output");
}

sub check {
    my ($way, $got, $wanted, $title, $also) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    if (my ($name, $regex) = @{ $also->{keep} // [] }) {
        $way->{kept}{$name} = $1 if $got =~ $regex;
    }
    $got =~ s/$also->{hide}[0]/$also->{hide}[1]/g if $also->{hide} && !ref $wanted;
    return like($got, $wanted, "$title: $way->{name}") if ref $wanted;
    $wanted = expected($wanted) if $wanted =~ /^(ok|conflict)\b/ && !($way->{own} && $way->{kind} eq 'python');
    $wanted =~ s/\$([A-Z])\b/$way->{kept}{$1}/g;
    return is($got, $wanted, "$title: $way->{name}");
}

# ---- keys and values ----

row 'get: a key that is not there', [[get => 'k']], 'ok [ n ]',
    library => 'ok n', sole => [['get', '-jq', 'k'], 1, 'null'], python => ["client.get('k')", 'None'];
row 'put: a new key', [[put => 'k', \12]], 'ok [ i0 ]',
    library => 'ok n', sole => [['put', 'k', '12'], 0, ''], python => ["client.put('k', 12)", 'False'];
row 'put: a key that is there', [[put => 'k', \13]], 'ok [ i1 ]',
    library => 'ok n', sole => [['put', 'k', '13'], 0, ''], python => ["client.put('k', 13)", 'True'];
row 'get: an integer', [[get => 'k']], 'ok [ i13 ]',
    library => 'ok i13', sole => [['get', 'k'], 0, '13'], python => ["client.get('k')", '13'];
row 'put: bytes that are no text', [[put => "\xfe\xff", "a\xff'"]], 'ok [ i0 ]',
    library => 'ok n', sole => [['put', "\xfe\xff", "a\xff'"], 0, ''], python => [q{client.put(b'\xfe\xff', b"a\xff'")}, 'False'];
row 'get: bytes that are no text', [[get => "\xfe\xff"]], 'ok [ b61ff27 ]',
    library => 'ok b61ff27', sole => [['get', "\xfe\xff"], 0, "a\xff'"], python => [q{client.get(b'\xfe\xff')}, q{b"a\xff'"}];
row 'put: no value', [[put => 'k', '']], 'ok [ i1 ]',
    library => 'ok n', sole => [['put', 'k', ''], 0, ''], python => ["client.put('k', '')", 'True'];
row 'get: no bytes are a value', [[get => 'k']], 'ok [ b ]',
    library => 'ok b', sole => [['get', '-j', 'k'], 0, '""'], python => ["client.get('k')", "b''"];
row 'put: a key that is too long', [[put => 'k' x 1025, \1]], 'too-large',
    library => 'too-large', sole => [['put', 'k' x 1025, '1'], 2, ''], python => ["client.put('k' * 1025, 1)", 'too-large'];
row 'delete: a key that is there', [[delete => 'k']], 'ok [ i1 ]',
    library => 'ok i1', sole => [['del', 'k'], 0, ''], python => ["client.delete('k')", 'True'];
row 'delete: a key that is not', [[delete => 'k']], 'ok [ i0 ]',
    library => 'ok i0', sole => [['del', '-q', 'k'], 1, ''], python => ["client.delete('k')", 'False'];
row 'add: from nothing', [[add => 'n', \-7]], 'ok [ i-7 ]',
    library => 'ok i-7', sole => [['add', 'n', '-7'], 0, '-7'], python => ["client.add('n', -7)", '-7'];
row 'add: to what is there', [[add => 'n', \9]], 'ok [ i2 ]',
    library => 'ok i2', sole => [['add', 'n', '9'], 0, '2'], python => ["client.add('n', 9)", '2'];
row 'add: beyond 64 bits', [[add => 'n', \'9223372036854775807']], 'overflow',
    library => 'overflow', sole => [['add', 'n', '9223372036854775807'], 2, ''], python => ["client.add('n', 2**63 - 1)", 'overflow'];
row 'add: to bytes', [[add => "\xfe\xff", \1]], 'wrong-type',
    library => 'wrong-type', sole => [['add', "\xfe\xff"], 2, ''], python => [q{client.add(b'\xfe\xff')}, 'wrong-type'];
row 'cas: the value is as expected', [[cas => 'n', \2, \3]], 'ok [ ]',
    library => 'ok n', sole => [['cas', 'n', '2', '3'], 0, ''], python => ["client.cas('n', 2, 3)", 'None'];
row 'cas: it is another', [[cas => 'n', \2, \4]], 'conflict i3',
    library => 'conflict i3', sole => [['cas', '-jq', 'n', '2', '4'], 1, '3'], python => ["client.cas('n', 2, 4)", 'conflict i3'];
row 'cas: from absent', [[cas => 'new', undef, 'v']], 'ok [ ]',
    library => 'ok n', sole => [['cas', '--absent', 'new', 'v'], 0, ''], python => ["client.cas('new', None, 'v')", 'None'];
row 'cas: to absent', [[cas => 'new', 'v', undef]], 'ok [ ]',
    library => 'ok n', sole => [['cas', '--remove', 'new', 'v'], 0, ''], python => ["client.cas('new', 'v', None)", 'None'];
row 'insert: a key that is not there', [[insert => 'i', \1]], 'ok [ ]',
    sole => [['put', '--if-absent', 'i', '1'], 0, ''], python => ["client.insert('i', 1)", 'None'];
row 'insert: a key that is', [[insert => 'i', \2]], 'conflict i1',
    sole => [['put', '-q', '--if-absent', 'i', '2'], 1, '1'], python => ["client.insert('i', 2)", 'conflict i1'];
row 'replace: a key that is there', [[replace => 'i', \3]], 'ok [ ]',
    sole => [['put', '--if-present', 'i', '3'], 0, ''], python => ["client.replace('i', 3)", 'None'];
row 'replace: a key that is not', [[replace => 'absent', \3]], 'conflict n',
    sole => [['put', '-qj', '--if-present', 'absent', '3'], 1, 'null'], python => ["client.replace('absent', 3)", 'conflict n'];
row 'count', [['count']], 'ok [ i3 ]', sole => [['count'], 0, '3'], python => ['client.count()', '3'];
row 'get-many', [['get-many' => 'i', 'absent', 'n']], 'ok [ i3 n i3 ]',
    sole => [['mget', 'i', 'absent', 'n'], 1, "i\t3\nn\t3"], python => ["client.get_many(['i', 'absent', 'n'])", '[3, None, 3]'];

# ---- in order ----

row 'several operations at once', [map { [put => "p/$_", \$_] } 1 .. 3], 'ok [ i0 ] [ i0 ] [ i0 ]',
    sole => [['txn', '-j', map { "put p/$_ $_" } 1 .. 3], 0, qr/\{"half":1,"revision":\d+,"results":\[\[0\],\[0\],\[0\]\]\}/],
    python => ["client.run(sole.Request().put('p/1', 1).put('p/2', 2).put('p/3', 3)).results", '[[0], [0], [0]]'];
row 'scan: a part', [[scan => 'p/', undef, \2]], q(ok [ ( 'p/1' i1 iR 'p/2' i2 iR ) 'p/2' ]),
    hide => [qr/(?<=i1 |i2 )i\d+/, 'iR'], sole => [['scan', '--limit', 2, 'p/'], 0, "p/1\t1\np/2\t2"],
    python => ["[(e.key, e.value) for e in client.scan('p/', limit=2).entries]", "[(b'p/1', 1), (b'p/2', 2)]"];
row 'scan: behind the cursor', [[scan => 'p/', 'p/2', \2]], q(ok [ ( 'p/3' i3 iR ) n ]), hide => [qr/(?<=i3 )i\d+/, 'iR'],
    python => ["client.scan('p/', after=b'p/2', limit=2).cursor", 'None'];
row 'scan: over all parts', [[scan => 'p', undef, \0]], q(ok [ ( 'p/1' i1 iR 'p/2' i2 iR 'p/3' i3 iR ) n ]),
    hide => [qr/(?<= i[123] )i\d+/, 'iR'], sole => [['scan', 'p'], 0, "p/1\t1\np/2\t2\np/3\t3"],
    python => ["[e.value for e in client.items('p')]", '[1, 2, 3]'];
row 'scan: a limit that is too large', [[scan => '', undef, \10001]], 'invalid', python => ['client.scan(limit=10001)', 'invalid'];

# ---- revisions and conditions ----

row 'revision: of what is not there', [[revision => 'absent']], 'ok [ n i0 ]',
    sole => [['get', '-rjq', 'absent'], 1, 'null'],
    python => ["client.revision('absent')[1:]", '(None, 0)'];
row 'revision: of an entry', [[revision => 'i']], 'ok [ i3 iR ]', keep => [R => qr/(?:i3 i|, |3,"revision":|^0 )(\d+)/], hide => [qr/(?<=i3 i)\d+/, 'R'],
    sole => [['get', '-r', 'i'], 0, qr/\d+\t3/], python => ["client.revision('i')[1:]", qr/^\(3, \d+\)$/];
row 'check-revision: it is that', [['check-revision' => 'i', \'R']], 'ok [ ]', python => ["client.check_revision('i', \$R)", 'None'];
row 'check-revision: it is another', [['check-revision' => 'i', \1]], 'conflict i$R', python => ["client.check_revision('i', 1)", 'conflict i$R'];
row 'cas-revision: it is another', [['cas-revision' => 'i', \0, \4]], 'conflict i$R',
    sole => [['put', '-q', '--revision', '0', 'i', '4'], 1, '$R'], python => ["client.cas_revision('i', 0, 4)", 'conflict i$R'];
row 'cas-revision: it is that', [['cas-revision' => 'i', \'R', \4]], 'ok [ ]',
    sole => [['put', '--revision', '$R', 'i', '4'], 0, ''], python => ["client.cas_revision('i', \$R, 4)", 'None'];
row 'check: the value is as expected', [[check => 'i', \4]], 'ok [ ]', python => ["client.check('i', 4)", 'None'];
row 'check: it is another', [[check => 'i', undef]], 'conflict i4', python => ["client.check('i', None)", 'conflict i4'];
row 'otherwise: the condition holds', [[check => 'i', \4], [add => 'i', \1], ['otherwise'], [get => 'n']], 'ok [ i1 ] [ ] [ i5 ]',
    sole => [['txn', 'check i 4', 'add i 1', 'otherwise', 'get n'], 0, "check\nadd\t5"],
    python => ["client.run(sole.Request().check('i', 4).add('i', 1).otherwise().get('n')).results", '[[], [5]]'];
row 'otherwise: it does not', [[add => 'i', \1], [check => 'i', \4], ['otherwise'], [get => 'i']], 'ok [ i2 ] [ i5 ]',
    sole => [['txn', '-q', 'add i 1', 'check i 4', 'otherwise', 'get i'], 1, "otherwise\nget\t5"],
    python => ["client.run(sole.Request().add('i', 1).check('i', 4).otherwise().get('i')).half", '2'];
row 'a condition without otherwise undoes all', [[add => 'i', \1], [check => 'i', \4]], 'conflict',
    sole => [['txn', '-q', 'add i 1', 'check i 4'], 1, ''],
    python => ["client.run(sole.Request().add('i', 1).check('i', 4))", 'conflict'];
row '... as can be seen', [[get => 'i']], 'ok [ i5 ]';

# ---- what goes by itself ----

row 'put-for', [['put-for' => 'e', \1, \60000]], 'ok [ i0 ]', sole => [['put', '--for', '1min', 'e', '1'], 0, ''],
    python => ["client.put_for('e', 1, 60000)", 'False'];
row 'ttl: of what expires', [[ttl => 'e']], 'ok [ iMS ]', hide => [qr/\bi(5\d{4}|60000)\b/, 'iMS'], sole => [['ttl', '-j', 'e'], 0, qr/5\d{4}|60000/],
    python => ["50000 < client.ttl('e') <= 60000", 'True'];
row 'expire: never', [[expire => 'e', undef]], 'ok [ i1 ]', sole => [['expire', 'e', 'never'], 0, ''], python => ["client.expire('e', None)", 'True'];
row 'ttl: of what stays', [[ttl => 'e']], 'ok [ n ]', sole => [['ttl', 'e'], 0, 'never'], python => ["client.ttl('e')", 'None'];
row 'expire: a key that is not there', [[expire => 'absent', \1]], 'ok [ i0 ]', sole => [['expire', '-q', 'absent', '1s'], 1, ''],
    python => ["client.expire('absent', 1000)", 'False'];
row 'expire: soon', [[expire => 'e', \1]], 'ok [ i1 ]', sole => [['expire', 'e', '1ms'], 0, ''], python => ["client.expire('e', 1)", 'True'];
row '... and it goes', [[get => 'e']], 'ok [ n ]',
    first => sub { my ($way) = @_; wait_until { !defined Sole::Wire::get($way->{other}, 'e') } };
row 'bind', [[bind => 'b', 'v'], [get => 'b']], q(ok [ i0 ] [ 'v' ]), python => ["client.bind('b', 'v')", 'False'];
row '... goes with the session', [[get => 'b']], 'ok [ n ]',
    first => sub { my ($way) = @_; say_driver($way, 'close') if $way->{process}; wait_until { !defined Sole::Wire::get($way->{other}, 'b') } };

# ---- locks ----

row 'lock: what is free', [[lock => 'l']], 'ok [ i$L ]', keep => [L => qr/(\d+)(?: \])?$/], library => 'ok i$L',
    sole => [['lock', 'l', '--', '/bin/sh', '-c', 'echo $SOLE_TOKEN'], 0, '$L'],
    python => ["keep.update(lock=client.lock('l')) or keep['lock'].token", '$L'];
row 'lock: a higher token each time', [[lock => 'l2']], 'ok [ i$M ]', keep => [M => qr/(\d+)(?: \])?$/],
    python => ["client.lock('l2').token", '$M'];
ok $_->{kept}{L} > $_->{kept}{T} && $_->{kept}{M} > $_->{kept}{L}, "... grows: $_->{name}" for @ways;
row 'unlock: what this session holds', [[unlock => 'l']], 'ok [ ]', call => 'conflict n',    # the session of `sole call lock` has ended
    library => 'ok n', python => ["keep['lock'].release()", 'None'];
row 'unlock: what another holds', [[unlock => 'held']], 'conflict n', library => 'conflict n';
row 'try-lock: what is free', [['try-lock' => 'l'], [unlock => 'l'], [holder => 'l']], 'ok [ i$X ] [ ] [ n n i0 ]', keep => [X => qr/(\d+)(?: \] \[ \].*)?$/],
    python => ["client.try_lock('l').token", '$X'];
row 'try-lock: what another holds', [['try-lock' => 'held']], 'conflict i$T', sole => [['lock', '-q', '--try', 'held', '--', 'true'], 1, ''],
    python => ["client.try_lock('held')", 'conflict i$T'];
row 'holder: of what is free', [[holder => 'free']], 'ok [ n n i0 ]', python => ["client.holder('free')[:]", '(None, None, 0)'];
row 'holder: of what another holds', [[holder => 'held']], 'ok [ i$S i$T i0 ]', python => ["client.holder('held')[:]", '($S, $T, 0)'];
row 'check-lock: it is held so', [['check-lock' => 'held', \'T']], 'ok [ ]',
    sole => [['lock', 'l', '--', '/bin/sh', '-c', 'exec "' . program('sole') . '" -o $SOLE_OWNER call check-lock l $SOLE_TOKEN'], 0, ''],
    first => sub { $ENV{SOLE_OWNER} = $_[0]{owner} }, python => ["client.check_lock('held', \$T)", 'None'];
row 'check-lock: it is not', [['check-lock' => 'held', \1]], qr/^conflict\b/, python => ["client.check_lock('held', 1)", qr/^conflict\b/];

# ---- what all that has come to ----

# Keys and values: those of Sole::Wire, which reads no lists within results, are asked one by one.
for my $way (@ways[1 .. $#ways]) {
    my @keys = ('k', "\xfe\xff", 'n', 'new', 'i', 'absent', 'p/1', 'p/2', 'p/3', 'e', 'b');
    is_deeply [ map { Sole::Wire::get($way->{other}, $_) } @keys ], [ map { Sole::Wire::get($ways[0]{other}, $_) } @keys ],
        "the owner of $way->{name} has come to hold what that of $ways[0]{name} holds";
}

# ---- what is not an operation of a behaviour ----

my %items = (RUN => 'every row above');

sub each_way {
    my ($item, $title, $code) = @_;
    $items{$_} = $title for split ' ', $item;
    for my $way (grep { !$_->{own} } @ways) {
        subtest "$title: $way->{name}" => sub { $code->($way) };
    }
    return;
}

# How many wait for the lock. A library sends while it is called: the ping is for that.
sub waiting { my ($way) = @_; say_driver($way, 'ping') if $way->{process}; return ask($way->{other}, item(RUN, op(HOLDER, 'held'), flags => QUERY))->{lists}[0][2] }

my %told;
each_way 'DESCRIBE STATUS STATS PING', 'what an owner tells of itself' => sub {
    my ($way) = @_;
    if ($way->{kind} eq 'call') {
        my @operations = map { $json->decode($_) } split /\n/, sole($way, 'ops', '-j')->{out};
        my $fields = sub { join ', ', map { "$_->{name}:$_->{type}" } @{ $_[0] } };
        $told{describe}{call} = join ' ', 'ok', map { "[ $_ ]" } map { join ' ', told_json($_->{number}),
            map { 'b' . unpack 'H*', $_ } $_->{name}, $_->{kind}, $fields->($_->{arguments}), $fields->($_->{results}), $_->{help} } @operations;
        $told{status}{call} = join ' ', sort keys %{ $json->decode(sole($way, 'status', '-j')->{out}) };
        my $stats = $json->decode(sole($way, 'stats', '-j')->{out});
        $told{stats}{call} = join ' ', sort grep { $_ ne 'latencies' } keys %$stats;
        cmp_ok $json->decode(sole($way, 'ping', '-j')->{out})->{nanoseconds}, '>', 0, 'the owner answers a ping';
        @commands{qw(ops status stats ping)} = (1) x 4;
    } else {
        $told{describe}{ $way->{kind} } = say_driver($way, 'describe');
        my @pairs = say_driver($way, 'status') =~ /\b(?:b([0-9a-f]+) (?:n|[ib]\S*)(?= ))/g;
        $told{status}{ $way->{kind} } = join ' ', sort map { pack 'H*', $_ } @pairs;
        my @rows = map { [ map { pack 'H*', $_ } /b(\w+)/g ] } say_driver($way, 'stats') =~ /\[ ([^\]]*) \]/g;
        $told{stats}{ $way->{kind} } = join ' ', sort map { $_->[0] } @rows;
        $told{rows}{ $way->{kind} } = join "\n", map { join ' ', @$_ } @rows;
        like say_driver($way, 'ping'), qr/^ok\b/, 'the owner answers a ping';
    }
    @methods{qw(operations status stats ping)} = (1) x 4 if $way->{kind} eq 'python';
    like $told{status}{ $way->{kind} }, qr/\bbehaviour\b.*\brevision\b.*\bstate\b/, 'status has names';
    is $told{$_}{ $way->{kind} }, $told{$_}{library}, "$_: the same as through the library" for qw(describe status stats);
};
my %described = map { my ($name) = /^i\d+ b(\w+)/; pack('H*', $name) => 1 } $told{describe}{library} =~ /\[ ([^\]]*) \]/g;
my @counters = slurp("$top/owner/core/counters.def") =~ /^COUNTER\((\w+)/mg;
my @gauges   = slurp("$top/owner/core/gauges.def") =~ /^GAUGE\(\w+, "([\w-]+)"/mg;
my @codes    = map { my ($number, $outcome, $name) = @$_; ($outcome eq 'UNKNOWN' ? 'unknown_' : 'refused_') . $name =~ tr/-/_/r }
    grep { $_->[0] < 128 && $_->[1] =~ /REFUSED|UNKNOWN/ }
    map { [/\((\d+), \w+, (\w+), "([\w-]+)"/] } slurp("$top/common/codes.def") =~ /^CODE.*$/mg;
is $told{stats}{library}, join(' ', sort @counters, @gauges, @codes), 'stats are those of counters.def, gauges.def and codes.def';
is $told{rows}{python} // $told{rows}{library}, $told{rows}{library}, 'with unit, sentence, kind and title';

each_way 'HELLO RECEIVED' => 'a late answer comes to who has said hello, who says that it was received' => sub {
    my ($way) = @_;
    my $before = counters($way->{other})->{answers_late};
    my $background;
    if ($way->{process}) {
        say_driver($way, 'close');
        is say_driver($way, 'begin lock b' . unpack 'H*', 'held'), 'ok', 'a lock is asked for';
    } else {
        $background = start({ notify => 0, name => 'sole' }, 'sole', '-o', $way->{owner}, '-t', '0', 'call', '-j', 'lock', 'held');
    }
    ok wait_until { waiting($way) == 1 }, 'it waits in the line';
    other_asks($way, UNLOCK, 'held');
    my $answer = $background ? ($background->finish == 0 ? 'ok [ i' . $json->decode($background->{out})->[0] . ' ]' : $background->{err}) : say_driver($way, 'finish');
    my ($token) = $answer =~ /^ok \[ i(\d+) \]$/;
    cmp_ok $token // 0, '>', $way->{kept}{X}, 'and has it when the other lets go';
    is counters($way->{other})->{answers_late}, $before + 1, 'which the owner counts';
    if (!$background) {
        my ($session) = @{ ask($way->{other}, item(RUN, op(HOLDER, 'held'), flags => QUERY))->{lists}[0] };
        # The first command of a session: asked for again, its answer is not kept any more.
        ok wait_until {
            say_driver($way, 'ping');
            return ask($way->{other}, item(RUN, op(LOCK, 'held'), session => $session, sequence => 1))->{code} == 101;
        }, 'the owner need not keep the answer';
        say_driver($way, 'close');
    }
    ok wait_until { !defined ask($way->{other}, item(RUN, op(HOLDER, 'held'), flags => QUERY))->{lists}[0][0] }, 'the lock is free when the session has ended';
    $way->{kept}{T} = other_asks($way, LOCK, 'held')->{lists}[0][0];
};

each_way 'CANCEL' => 'what waits is withdrawn' => sub {
    my ($way) = @_;
    my $before = counters($way->{other});
    if ($way->{process}) {
        say_driver($way, 'begin lock b' . unpack 'H*', 'held');
        ok wait_until { waiting($way) == 1 }, 'it waits in the line';
        is say_driver($way, 'cancel'), 'cancelled', 'it is told that it did not run';
    } else {
        my $ran = sole($way, '-t', seconds(0.4), 'call', 'lock', 'held');
        is_deeply [ $ran->{status}, reason($ran) ], [ 2, 'expired' ], 'its time is up: it did not run';
    }
    is waiting($way), 0, 'nobody stands in the line any more';
    my $now = counters($way->{other});
    is $now->{waits_withdrawn}, $before->{waits_withdrawn} + 1, 'the owner counts that';
    is $now->{answers_late}, $before->{answers_late}, 'and that it was not answered';
    $methods{submit} = 1 if $way->{kind} eq 'python';
};

each_way 'OPEN GOODBYE' => 'a session is opened and said goodbye to' => sub {
    my ($way) = @_;
    say_driver($way, 'close') if $way->{process};
    ok wait_until { status($way->{other})->{sessions} == 1 }, 'there is no session but the other one\'s';
    my $before = counters($way->{other});
    is ask_way($way, [put => 'k', \1]), 'ok [ i0 ]', 'a command runs';
    is counters($way->{other})->{sessions_opened}, $before->{sessions_opened} + 1, 'in a session';
    say_driver($way, 'close') if $way->{process};
    ok wait_until { status($way->{other})->{sessions} == 1 }, 'which ends';
    is counters($way->{other})->{sessions_goodbye}, $before->{sessions_goodbye} + 1, '... with a goodbye';
    ask_way($way, [delete => 'k']);
    $methods{close} = 1 if $way->{kind} eq 'python';
};

each_way 'WATCH UNWATCH' => 'a watch hears what happens' => sub {
    my ($way) = @_;
    my $background;
    if ($way->{process}) {
        is say_driver($way, 'watch w/'), 'ok', 'it has begun';
    } else {
        $background = start({ notify => 0, name => 'sole' }, 'sole', '-o', $way->{owner}, 'watch', '--count', 2, 'w/');
        $commands{watch} = 1;
    }
    ok wait_until { status($way->{other})->{watches} == 1 }, 'the owner knows of it';
    other_asks($way, PUT, $_, 'v') for 'v/1', 'w/1', 'w/2';
    my @heard = $background ? ($background->finish == 0 ? map { s/\tv$//r =~ tr/\t/ /r } split /\n/, $background->{out} : $background->{err}) : map { say_driver($way, 'hear') } 1, 2;
    is_deeply \@heard, [ 'put w/1', 'put w/2' ], 'it hears each, in order';
    is say_driver($way, 'unwatch'), 'ok', 'and no more' if $way->{process};
    ok wait_until { status($way->{other})->{watches} == 0 }, 'the owner has forgotten it';
    $methods{watch} = 1 if $way->{kind} eq 'python';
};

each_way 'OUTCOME' => 'what became of a command' => sub {
    my ($way) = @_;
    my $fate = sub {
        return say_driver($way, "outcome @_") if $way->{process};
        my $told = $json->decode(sole($way, 'outcome', '-j', @_)->{out});
        my $lists = $told->{fate} eq 'ran' ? $told->{results} : [];
        return join ' ', $told->{fate}, map { told_json($_) =~ s/^\(/[/r =~ s/\)$/]/r } @$lists;
    };
    my $session = $way->{kept}{S};
    my $sum = other_asks($way, ADD, 'sum', \7)->{lists}[0][0];
    is $fate->($session, $way->{sequence}), "ran [ i$sum ]", 'it ran, with these results';
    is $fate->($session, $way->{sequence} + 1), 'not-come', 'it has not come';
    is other_asks($way, ADD, $_, \1)->{code}, 14, 'bytes' for "\xfe\xff";
    is $fate->($session, $way->{sequence}), 'refused', 'it was refused';
    is $fate->(12345, 1), 'unknown', 'no such session';
    my $ended = open_session($way->{other});
    ask($way->{other}, item(GOODBYE, '', session => $ended));
    is $fate->($ended, 1), 'unknown', 'an owner in memory knows no session that has ended';
    $commands{outcome} = $methods{outcome} = 1;
};

each_way 'LATENCIES CLIENTS HOT SLOW' => 'what the owner measures' => sub {
    my ($way) = @_;
    other_asks($way, ADD, 'measured', \1) for 1 .. 200;
    if ($way->{kind} eq 'call') {
        my %series = map { $_->{name} => $_ } @{ $json->decode(sole($way, 'stats', '-j')->{out})->{latencies} };
        cmp_ok $series{add}{count}, '>=', 200, 'how long operations took';
        cmp_ok $series{round}{p99}, '>=', $series{round}{p50}, 'and rounds';
        my $top = sole($way, 'top', '--once', '--every', '100ms');
        like $top->{out}, qr/^measured +[\d.]+%  add$/m, 'which keys are hot';
        like $top->{out}, qr/^$$ .* \d+ +\d+ /m, 'who is connected';
        like sole($way, 'slow', '--reset')->{out}, qr/^(?:no request has run|\d+ requests have run) for 1.00ms/, 'which requests were slow';
        @commands{qw(top slow)} = (1) x 2;
        return;
    }
    my ($add) = map { /\[ b616464 b636f6d6d616e64 b6e73 i(\d+) / } say_driver($way, 'latencies');
    cmp_ok $add // 0, '>=', 200, 'how long operations took';
    like say_driver($way, 'clients'), qr/\bi$$ i$< n b\w+ i\d+ i\d+ i1 /, 'who is connected';
    like say_driver($way, 'hot'), qr/\[ b${\ unpack 'H*', 'measured'} i8 b616464 i\d+ i\d+ \]/, 'which keys are hot';
    like say_driver($way, 'slow'), qr/^ok \[ i1000000 i128 i\d+ \]/, 'which requests were slow';
    @methods{qw(latencies clients hot slow)} = (1) x 4 if $way->{kind} eq 'python';
};

each_way 'TRACE UNTRACE' => 'a trace hears of requests as they run' => sub {
    my ($way) = @_;
    my $background;
    if ($way->{process}) {
        is say_driver($way, 'trace t/'), 'ok', 'it has begun';
    } else {
        $background = start({ notify => 0, name => 'sole' }, 'sole', '-o', $way->{owner}, 'trace', '-j', '--count', 2, '--key', 't/');
        $commands{trace} = 1;
    }
    ok wait_until { status($way->{other})->{traces} == 1 }, 'the owner knows of it';
    other_asks($way, PUT, $_, 'v') for 'u/1', 't/1', 't/2';
    my @heard = $background ? ($background->finish == 0 ? map { my $line = $json->decode($_); "$line->{pid} $line->{operation} $line->{key}" } split /\n/, $background->{out} : $background->{err}) : map { say_driver($way, 'traced') } 1, 2;
    is_deeply \@heard, [ "$$ put t/1", "$$ put t/2" ], 'it hears of each, in order';
    is say_driver($way, 'untrace'), 'ok', 'and no more' if $way->{process};
    ok wait_until { status($way->{other})->{traces} == 0 }, 'the owner has forgotten it';
    $methods{trace} = 1 if $way->{kind} eq 'python';
};

each_way 'BACKUP' => 'a backup' => sub {
    my ($way) = @_;
    $commands{backup} = $methods{backup} = 1;
    plan skip_all => 'valgrind has no pidfd_open' if ($ENV{SOLE_WRAPPER} // '') =~ /valgrind/;
    my $file = path("$way->{owner}.snapshot");
    $way->{process} ? is say_driver($way, "backup $file"), 'ok', 'is made' : is sole($way, 'backup', $file)->{status}, 0, 'is made';
    my $made = run('sole-owner', '--restore', $file, path("$way->{owner}.state"));
    is $made->{status}, 0, 'and can be made a state of' or diag $made->{err};
};

each_way 'SESSIONS END_SESSION' => 'sessions are listed, and one is ended' => sub {
    my ($way) = @_;
    $commands{sessions} = @methods{qw(sessions end_session)} = (1) x 2;
    my $session = open_session($way->{other}, 600_000);
    my $listed  = sub {
        return say_driver($way, 'sessions') if $way->{process};
        return join ' ', 'ok', map { my $one = $json->decode($_); "[ i$one->{session} i$one->{pid} i$one->{commands} ]" } split /\n/, sole($way, 'sessions', '-j')->{out};
    };
    my $end = sub {
        return say_driver($way, "end_session $_[0]") =~ s/ n$//r if $way->{process};
        my $ran = sole($way, 'sessions', 'end', $_[0]);
        return $ran->{status} == 0 ? 'ok' : $ran->{status} == 1 ? 'conflict' : $ran->{err};
    };
    like $listed->(), qr/^ok\b.*\[ i$session i$$ i0 \]/, 'it is among them, with its process';
    like $listed->(), qr/\[ i$way->{kept}{S} i$$ i$way->{sequence} \]/, '... and another with its commands';
    is $end->($session), 'ok', 'it is ended';
    unlike $listed->(), qr/\bi$session\b/, 'and is there no more';
    is $end->($session), 'conflict', 'nor to be ended again';
};

each_way 'READ_ONLY' => 'commands are refused for a while' => sub {
    my ($way) = @_;
    $commands{'read-only'} = $methods{read_only} = 1;
    my $read_only = sub {
        return say_driver($way, join ' ', 'read_only', @_) if $way->{process};
        my $ran = sole($way, 'read-only', '-j', map { $_ ? 'on' : 'off' } @_);
        return $ran->{status} == 0 ? 'ok ' . ($json->decode($ran->{out})->{read_only} ? 1 : 0) : $ran->{err};
    };
    is $read_only->(), 'ok 0', 'at first it takes them';
    is $read_only->(1), 'ok 1', 'it is told not to';
    is ask_way($way, [put => 'ro', \1]), 'read-only', 'and refuses them';
    is ask_way($way, [get => 'ro']), 'ok [ n ]', '... and answers queries';
    is $read_only->(0), 'ok 0', 'until it is told to take them';
    is ask_way($way, [put => 'ro', \1]), 'ok [ i0 ]', 'again';
    is $read_only->(), 'ok 0', 'as it says';
};

# ---- whether that was all ----

delete $asked{otherwise};
is_deeply [ sort keys %asked ], [ sort keys %described ], 'each operation has a row, and each row is for one';
my @items = slurp("$top/common/protocol.h") =~ /ITEM\((?:\d|[12]\d), (\w+), /g;
is_deeply [ sort keys %items ], [ sort @items ], 'each item that can be asked has one';

my ($synopsis) = slurp("$top/clients/sole.1") =~ /^\.Sh SYNOPSIS\n(.*?)^\.Sh /ms;
my %has = map { $_ => 1 } map { split / \| / } $synopsis =~ /^\.Cm ([a-z][a-z |-]*)$/mg;
delete @has{qw(start stop restart never call keygen)};    # of the supervisor; a word of expire; what all rows use; asks nobody
delete @has{qw(doctor help shell)};    # for a person: see 75-*.t
is_deeply [ sort keys %commands ], [ sort keys %has ], 'each command of sole(1) was used';
my $about_table = slurp("$top/clients/sole.h") =~ s/.*the built-in behaviour `table`//sr;
my %declared = map { $_ => 1 } $about_table =~ /^SOLE_API int sole_(\w+)\(/mg;
is_deeply [ sort keys %functions ], [ sort keys %declared ], 'each function of sole.h for an operation was used';
if ($has_python) {
    my $listed = say_driver($ways[-1], 'own " ".join(n for n in dir(sole.Client) if n[0] != "_" and callable(getattr(sole.Client, n)))');
    is_deeply [ sort keys %methods ], [ sort grep { $_ ne 'call' } $listed =~ /\w+/g ], 'each method of sole.Client was used';
}

for my $way (@ways) {
    $way->{process}->close_input if $way->{process};
    is $way->{process}->finish, 0, "the driver ends well: $way->{name}" if $way->{process};
    $way->{other}->close;
    is $way->{process_of_owner}->stop, 0, "its owner ends well: $way->{name}";
}
done_testing;
