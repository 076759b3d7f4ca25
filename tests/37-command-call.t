#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# `sole ops`, `sole call` and `sole txn`: any operation of an owner, by the name, the types and the
# help that the owner tells; several as one request.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Sole::Command;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory', '--max-operations', '100');
my $json  = JSON::PP->new;

# ---- ops ----

my $list = sole('ops')->{out};
like($list, qr/^query    get +key:key -> value:integer, bytes or none\n {10,}\S.*none$/m,
    'ops tells kind, name, types and help');
like($list, qr/^command  put +key:key, value:integer or bytes -> existed:integer$/m, '... of commands too');
like($list, qr/^query    count +-> keys:integer$/m, '... and of an operation without arguments');
answers('ops of one operation', 0, "command  delete  key:key -> existed:integer\n                 removes a key; tells whether it was there\n",
    undef, 'ops', 'delete');
answers('ops of one that does not exist', 1, '', qr/not found: the owner has no operation 'frob'/, 'ops', 'frob');
my %operation = map { $_->{name} => $_ } map { $json->decode($_) } split /\n/, sole('ops', '--json')->{out};
is(scalar keys %operation, scalar(() = $list =~ /^(?:query|command) /mg), 'ops --json has an object for each');
is_deeply(
    $operation{cas}{arguments},
    [{ name => 'key', type => 'key' }, map { { name => $_, type => 'integer, bytes or none' } } 'expected', 'new'],
    '... with the types of arguments, commas and all'
);
is_deeply($operation{scan}{results}, [{ name => 'entries', type => 'list' }, { name => 'cursor', type => 'integer, bytes or none' }],
    '... and of results');
is($operation{get}{kind}, 'query', '... the kind');
is($operation{add}{number}, 4, '... and the number');

# ---- call ----

answers('call of a command', 0, "0\n", undef, 'call', 'put', 'a', '12');
answers('call of a query', 0, "12\n", undef, 'call', 'get', 'a');
answers('an integer where integers or bytes go', 0, "13\n", undef, 'call', 'add', 'a', '1');
answers('call -b', 0, "1\n", undef, 'call', '-b', 'put', 'a', '12');
answers('... made bytes', 2, '', qr/^sole: refused: wrong-type/, 'call', 'add', 'a', '1');
answers('a negative integer without --', 0, "-5\n", undef, 'call', 'add', 'n', '-5');
answers('+5 as an integer', 0, "0\n", undef, 'call', 'add', 'n', '+5');
answers('a key that looks like an integer stays bytes', 0, "0\n", undef, 'call', 'put', '7', 'x');
is(sole('call', 'cas', 'c', '--none', '1')->{status}, 0, '--none stands for no value');
answers('... and did', 0, "1\n", undef, 'get', 'c');
answers('a conflict', 1, "1\n", qr/^sole: conflict: cas: the value is not the expected one$/, 'call', 'cas', 'c', '--none', '1');
answers('... quietly', 1, "1\n", undef, 'call', '-q', 'cas', 'c', '--none', '1');
answers('--none as the new value removes', 0, '', undef, 'call', 'cas', 'c', '1', '--none');
answers('behind -- it is text', 0, "0\n", undef, 'call', '--', 'put', 'text', '--none');
answers('... that can be read', 0, "--none\n", undef, 'get', 'text');
answers('standard input as an argument', 0, "0\n", undef, { input => "a\0b" }, 'call', 'put', 'binary', '-');
answers('... arrived whole', 0, "a\0b", undef, 'get', '-n', 'binary');
answers('several keys are several arguments', 0, "x\n\n--none\n", undef, 'call', 'get-many', '7', 'absent', 'text');
answers('several results have names', 0, "session\t\ntoken\t\nwaiting\t0\n", undef, 'call', 'holder', 'l');
like(sole('call', 'scan', 'te', '--none', '5')->{out}, qr/\Aentries\ttext\t--none\t\d+\ncursor\t\n\z/,
    'a list is a line with tabs');
is(sole('call', '--json', 'holder', 'l')->{out}, "[null,null,0]\n", 'call --json prints an array');
like(sole('call', '-j', 'scan', 'te', '--none', '5')->{out}, qr/\A\[\["text","--none",\d+\],null\]\n\z/, '... with lists in it');
is(sole('call', '-j', 'cas', 'x', '--none', '--none')->{out}, "[]\n", '... or nothing');
answers('an operation that does not exist', 2, '', qr/^sole: refused: no-operation: .*'frob': `sole ops` lists them$/, 'call',
    'frob', '1');
for (
    [['call'], qr/missing.*usage: sole call NAME/, 'call without a name'],
    [['call', 'put', 'a'], qr/^sole: something is missing: usage: put KEY VALUE/, 'too few arguments'],
    [['call', 'get', 'a', 'b'], qr/^sole: that is too much: usage: get KEY/, 'too many arguments'],
    [['call', 'get-many'], qr/^sole: something is missing: usage: get-many KEYS\.\.\./, 'no keys'],
    [['call', 'count', 'a'], qr/^sole: that is too much: usage: count/, 'an argument for what takes none'],
    [['call', 'add', 'a', 'x'], qr/^sole: add: delta is 'x', and takes a (decimal |whole )?/, 'a word for an integer'],
    [['call', 'add', 'a', '9223372036854775808'], qr/^sole: add: delta is '9223372036854775808'/, 'an integer of 65 bits'],
    [['call', 'add', 'a', '--none'], qr/^sole: add: delta is '--none', and takes integer/, '--none for an integer'],
    [['call', 'get', '--none'], qr/^sole: get: key is '--none', and takes key/, '--none for a key'],
    [['call', 'cas', '-', '-', '1'], qr/'-' stands twice/, 'standard input twice'],
) {
    my ($arguments, $says, $title) = @$_;
    answers($title, 64, '', $says, @$arguments);
}

# ---- txn ----

sole('put', 'stock', '7');
answers('a transaction', 0, "check\nadd\t4\nput\t0\n", undef, 'txn', 'check stock 7', 'add stock -3', 'put taken yes');
answers('... took effect', 0, "4\n", undef, 'get', 'stock');
answers('a condition that does not hold', 1, '', qr/^sole: conflict: line 2: check: the value is not the expected one$/,
    'txn', 'put taken no', 'check stock 7', 'add stock 1');
answers('... nothing took effect', 0, "yes\n", undef, 'get', 'taken');
answers('... quietly', 1, '', undef, 'txn', '-q', 'check stock 7');
answers('a refusal undoes what came before', 2, '', qr/^sole: refused: wrong-type: line 2: add: /, 'txn', 'put taken no', 'add taken 1');
answers('... all of it', 0, "yes\n", undef, 'get', 'taken');
answers('the first half', 0, "check\nput\t1\n", undef, 'txn', 'check stock 4', 'put taken 1', 'otherwise', 'get stock');
answers('the second half', 1, "otherwise\nget\t4\nput\t0\n", undef, 'txn', 'put taken 2', 'check stock 7', 'otherwise',
    'get stock', 'put second 1');
answers('... in place of the first', 0, "1\n", undef, 'get', 'taken');
answers('a second half that is refused', 2, '', qr/^sole: refused: conflict: line 4: /, 'txn', 'put taken 2', 'check stock 7',
    'otherwise', 'check stock 8');
answers('... leaves nothing either', 0, "1\n", undef, 'get', 'taken');
answers('a condition alone, which holds', 0, "check\n", undef, 'txn', 'check stock 4', 'otherwise');
answers('... or does not', 1, "otherwise\n", undef, 'txn', 'check stock 5', 'otherwise');
answers('a refusal is no condition', 2, '', qr/wrong-type: line 1/, 'txn', 'add text 1', 'otherwise', 'get stock');
is_deeply($json->decode(sole('txn', '-j', 'get stock', 'get none', 'get-many stock text')->{out})->{results},
    [[4], [undef], [4, '--none']], 'txn --json has an array for each operation');
my $second = $json->decode(sole('txn', '-j', 'check stock 5', 'otherwise', 'count')->{out});
is($second->{half}, 2, '... and tells the half');
cmp_ok($second->{revision}, '>', 0, '... and the revision');
is(sole('call', 'revision', 'stock')->{out}, sole('call', 'revision', 'stock')->{out}, 'queries alone change no revision');

# Words
answers('comments, empty lines and blanks', 0, "put\t0\n", undef, { input => "# one\n\n  \t\r\n  put   w\t12  \r\n#put w 3" }, 'txn');
answers('... an integer without quotes', 0, "13\n", undef, 'add', 'w', '1');
answers('a quoted integer is bytes', 0, "put\t1\n", undef, 'txn', q(put w "12"));
answers('... as add sees', 2, '', qr/wrong-type/, 'add', 'w', '1');
my $quoted = sole({ input => qq(put "q\\"k" 'a "b" \\n'\nput \\#e a\\ b\\x00\\x41\\t"c d"'e'\nput e ""\n) }, 'txn');
is($quoted->{status}, 0, 'quotes and escapes') or diag($quoted->{err});
is(sole('get', '-n', 'q"k')->{out}, 'a "b" \n', '... single quotes take all as it is');
is(sole('get', '-n', '#e')->{out}, "a b\0A\tc de", '... escapes, and parts of a word side by side');
is(sole('get', '-n', 'e')->{out}, '', '... an empty word');
answers('--none in quotes is text', 0, "put\t0\n", undef, 'txn', q(put minus '--none'));
answers('--none without is no value', 0, "cas\n", undef, 'txn', 'cas fresh --none 1');
my $lines = sole('scan', '#')->{out};
sole({ input => "delete \\#e\nput " . $lines =~ s/^#/\\#/r =~ s/(?<=a) (?=b)/\\ /r =~ s/(?<=c) (?=d)/\\ /r }, 'txn');
is(sole('scan', '#')->{out}, $lines, 'what scan printed can be read back');

# What is wrong with a script
for (
    ["put a 'b", qr/^sole: line 1: a quote is not closed/, 'an open quote'],
    ["get a\nput a \"b\nc\"\n", qr/^sole: line 2: a quote is not closed/, 'a quote over two lines'],
    ["put a b\\q", qr/^sole: line 1: a backslash stands before/, 'an unknown escape'],
    ["put a \\x4", qr/^sole: line 1: a backslash stands before/, 'half an escape'],
    ["put a b\\", qr/^sole: line 1: a backslash stands before/, 'a backslash at the end'],
    ["\n# nothing\n", qr/^sole: the script has no operation/, 'no operation'],
    ["get a\notherwise\nget b\notherwise\nget c", qr/^sole: line 4: 'otherwise' stands alone on a line, and once/, 'two halves too many'],
    ["otherwise get a", qr/^sole: line 1: 'otherwise' stands alone/, 'otherwise with more on its line'],
    ["\nput a", qr/^sole: line 2: something is missing: usage: put KEY VALUE/, 'an argument that is missing'],
    ["add a x", qr/^sole: line 1: add: delta is 'x'/, 'a word for an integer'],
    ["get --none", qr/^sole: line 1: get: key is '--none', and takes key/, '--none for a key'],
) {
    my ($input, $says, $title) = @$_;
    answers("standard input with $title", 65, '', $says, { input => $input }, 'txn');
}
answers('arguments with an open quote', 64, '', qr/^sole: line 2: a quote is not closed/, 'txn', 'get a', 'put a "');
answers('an operation that does not exist', 2, '', qr/^sole: refused: no-operation: line 2: the owner has no operation 'frob': `sole ops` lists them$/,
    'txn', 'get a', 'frob b');
answers('... in a script', 2, '', qr/no-operation: line 4: /, { input => "\n# first\nget a\nfrob b\n" }, 'txn');

# Milliseconds
sole('put', 'lease', '1');
for (['1h', 3_600_000], ['1.5s', 1500], ['90000', 90_000], ['"2min"', 120_000]) {
    my ($word, $ms) = @$_;
    my $got = sole('txn', "expire lease $word", 'ttl lease');
    my ($left) = $got->{out} =~ /^expire\t1\nttl\t(\d+)\n\z/;
    ok(defined $left && $left <= $ms && $left > $ms - 1500, "a time of $word in a script") or diag($got->{err});
}
answers('put-for with a unit', 0, "1\n", undef, 'call', 'put-for', 'lease', 'x', '1min');
answers('--none is no time', 0, "1\n", undef, 'call', 'expire', 'lease', '--none');
for ('soon', '1x', '1.5', '0.5ms', '1s ', '', 'ms') {
    answers("'$_' is no time", 64, '', qr/^sole: expire: ms is '\Q$_\E', and takes whole milliseconds, or a time with its unit such as 1500ms or 30s; see/,
        'call', 'expire', 'lease', $_);
}
answers('... in a script', 65, '', qr/^sole: line 1: expire: ms is 'soon', and takes whole milliseconds/, { input => 'expire lease soon' }, 'txn');
answers('a time below nothing is the owner\'s to refuse', 2, '', qr/positive number of milliseconds/, 'call', 'expire', 'lease', '-5');

# What goes with the session
for (
    [['call', 'lock', 'gone'], qr/\A\d+\n\z/, qr/^sole: lock: the session ends with this command, and the lock is let go: `sole lock NAME/],
    [['call', 'try-lock', 'gone'], qr/\A\d+\n\z/, qr/^sole: try-lock: the session ends .*`sole lock --try NAME/],
    [['call', 'bind', 'gone', '1'], qr/\A0\n\z/, qr/^sole: bind: the session ends .*the key is gone: `sole put KEY VALUE --for TIME`/],
    [['txn', 'get a', 'bind gone 1', 'lock gone'], qr/^bind\t0\nlock\t\d+$/m, qr/^sole: bind: the session ends/],
    [['txn', 'check a none', 'otherwise', 'lock gone'], qr/^lock\t\d+$/m, qr/^sole: lock: the session ends/],
) {
    my ($arguments, $out, $says) = @$_;
    my $got = sole(@$arguments);
    like($got->{out}, $out, "@$arguments is done");
    line_like($got->{err}, $says, '... and a line warns that nothing is left of it');
    is(sole($arguments->[0], '-q', @$arguments[1 .. $#$arguments])->{err}, '', '... unless with -q');
    is(sole('call', '-j', 'holder', 'gone')->{out} . sole('get', '-q', 'gone')->{out}, "[null,null,0]\n", '... and so it is');
}
is(sole('txn', 'get a', 'otherwise', 'lock gone')->{err}, '', 'what did not run warns of nothing');

# JSON of failures: the line stays, and an object says the same
sub fails {
    my ($title, $status, $err, $object, @arguments) = @_;
    my $got = sole(@arguments);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($got->{status}, $status, "$title with --json: status $status");
    line_like($got->{err}, $err, '... the line on standard error');
    my $told = eval { $json->decode($got->{out}) } // {};
    $told->{text} = 'text' if ($told->{text} // '') =~ /\w \w/;
    delete @$told{qw(session sequence)};    # see 62-outcome-backup
    is_deeply($told, { outcome => 'refused', text => 'text', %$object }, '... and one object') or diag($got->{out});
}
sole('put', 'word', 'one');
fails('a refusal', 2, qr/^sole: refused: wrong-type: /, { error => 'wrong-type' }, 'add', '-j', 'word', '1');
fails('a refused call', 2, qr/^sole: refused: wrong-type: /, { error => 'wrong-type' }, 'call', '-j', 'add', 'word', '1');
fails('a conflict of call', 1, qr/^sole: conflict: /, { error => 'conflict', found => 'one' }, 'call', '-j', 'cas', 'word', '1', '2');
fails('a conflict that finds nothing', 1, qr/^sole: conflict: /, { error => 'conflict', found => undef }, 'call', '-j', 'cas', 'nowhere', '1', '2');
fails('an unknown operation', 2, qr/no-operation/, { error => 'no-operation' }, 'call', '-j', 'frob');
fails('... in a script', 2, qr/no-operation: line 2/, { error => 'no-operation', line => 2 }, 'txn', '-j', 'get a', 'frob');
fails('a condition of a script', 1, qr/^sole: conflict: line 2/, { error => 'conflict', line => 2 }, 'txn', '-j', 'get a', 'check word 1');
fails('a refused script', 2, qr/wrong-type: line 1/, { error => 'wrong-type', line => 1 }, 'txn', '-j', 'add word 1');
fails('a script that is too long', 2, qr/too-large/, { error => 'too-large', line => 101 }, 'txn', '-j', ('get a') x 101);
fails('nobody there', 69, qr/unreachable/, { error => 'unreachable' }, '-o', 'nobody', '-t', '100ms', $_, '-j') for 'count', 'ping', 'ops', 'scan', 'watch', 'stats';
is(sole('cas', '-j', 'word', '1', '2')->{out}, qq("one"\n), 'a no of a command of the table is its value alone');
answers('an error of the command line with --json', 64, '', qr/usage/, 'call', '-j', 'get');
answers('... and of a script', 65, '', qr/line 1: a quote/, { input => '"' }, 'txn', '-j');
answers('100 operations, the limit', 0, "count\t" . sole('count')->{out} x 1 . "get\t\n" x 99, undef, 'txn', 'count', ('get absent') x 99);
answers('101 operations', 2, '', qr/^sole: refused: too-large: .*max-operations/, 'txn', ('get a') x 101);
answers('a script larger than a message', 65, '', qr/larger than 1048576 bytes/, { input => '#' x 1048577 }, 'txn');
is(sole({ input => 'put a ' . 'x' x 1_000_000 }, 'txn')->{status}, 2, 'a request larger than the owner takes: status 2');

# Nobody there
is(run('sole', '-o', 'nobody', '-t', '100ms', @$_)->{status}, 69, "@$_ without an owner: status 69")
    for ['ops'], ['call', 'get', 'a'], ['txn', 'get a'];
is(run({ stdout => '/dev/full' }, 'sole', '-o', 'inventory', @$_)->{status}, 74, "@$_ to a full device: status 74")
    for ['ops'], ['call', 'get', 'a'], ['txn', 'get a'];

done_testing;
