#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# `sole` and the entries of a table: conditions, expiry, several keys, scans, and JSON.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Sole::Command;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory');
my $json  = JSON::PP->new->allow_nonref;

# ---- put with a condition ----

answers('--if-absent of an absent key', 0, '', undef, 'put', '--if-absent', 'a', '1');
answers('--if-absent of a key that is there', 1, "1\n", qr/^sole: conflict: the key 'a' is there$/, 'put',
    'a', '2', '--if-absent');
answers('--if-absent -q', 1, "1\n", undef, 'put', '-q', 'a', '2', '--if-absent');
answers('--if-present of a key that is there', 0, '', undef, 'put', '--if-present', 'a', '2');
answers('... changed it', 0, "2\n", undef, 'get', 'a');
answers('--if-present of an absent key', 1, '', qr/^sole: not found: there is no key 'b'$/, 'put', 'b', '1',
    '--if-present');
answers('... did not make it', 1, '', undef, 'get', '-q', 'b');
my ($revision) = sole('get', '-r', 'a')->{out} =~ /\A(\d+)\t2\n\z/;
ok($revision, 'get -r prints the revision before the value');
answers('--revision of another revision', 1, "$revision\n", qr/conflict: .* another revision/, 'put', 'a', '3',
    '--revision', $revision + 1);
answers('--revision of the entry\'s', 0, '', undef, 'put', 'a', '3', '--revision', $revision);
answers('... changed it', 0, "3\n", undef, 'get', 'a');
answers('--revision 0 of a key that is there', 1, sole('get', '-r', 'a')->{out} =~ s/\t.*//r, qr/conflict/, 'put', 'a',
    '4', '--revision', '0');
answers('--revision 0 of an absent key', 0, '', undef, 'put', 'new', '4', '--revision', '0');
answers('--revision of an absent key', 1, "0\n", qr/conflict: there is no key/, 'put', 'b', '4', '--revision', '7');

# ---- expiry ----

answers('ttl of a key that stays', 0, "never\n", undef, 'ttl', 'a');
answers('ttl of an absent key', 1, '', qr/not found/, 'ttl', 'b');
answers('put --for', 0, '', undef, 'put', 'lease', 'x', '--for', '100s');
like(sole('ttl', 'lease')->{out}, qr/\A(?:9\d{4}|100000)ms\n\z/, '... and ttl tells what is left');
cmp_ok($json->decode(sole('ttl', '--json', 'lease')->{out}), '>', 90000, '... as a number with --json');
is(sole('ttl', '--json', 'a')->{out}, "null\n", '... and null for a key that stays');
answers('put ends it', 0, '', undef, 'put', 'lease', 'x');
answers('... now it stays', 0, "never\n", undef, 'ttl', 'lease');
answers('expire', 0, '', undef, 'expire', 'lease', '100s');
answers('expire never', 0, '', undef, 'expire', 'lease', 'never');
answers('... now it stays', 0, "never\n", undef, 'ttl', 'lease');
answers('expire of an absent key', 1, '', qr/not found/, 'expire', 'b', '1s');
answers('expire of milliseconds', 0, '', undef, 'expire', 'lease', '1ms');
ok(wait_until { sole('get', '-q', 'lease')->{status} == 1 }, '... and the key goes');
answers('--if-absent with --for', 0, '', undef, 'put', 'job', 'me', '--if-absent', '--for', '100s');
like(sole('ttl', 'job')->{out}, qr/ms$/, '... expires');
answers('... and holds until then', 1, "me\n", qr/is there/, 'put', 'job', 'you', '--if-absent', '--for', '1s');
like(sole('ttl', 'job')->{out}, qr/\A\d{5,6}ms/, '... with its own time');

# ---- several keys ----

sole('put', "k$_", $_) for 1 .. 3;
answers('mget', 0, "k3\t3\nk1\t1\n", undef, 'mget', 'k3', 'k1');
answers('mget with an absent key', 1, "k1\t1\n", undef, 'mget', 'k1', 'k9');
answers('mget --json', 1, qq({"key":"k1","value":1}\n{"key":"k9","value":null}\n), undef, 'mget', '-j', 'k1', 'k9');
is(sole('mget', map { "k$_" } 1 .. 255)->{status}, 1, 'mget of 255 keys is asked');
answers('mget of 256 keys', 64, '', qr/too much.*usage: sole mget KEY/, 'mget', map { "k$_" } 1 .. 256);

# ---- scan ----

answers('scan by prefix', 0, "k1\t1\nk2\t2\nk3\t3\n", undef, 'scan', 'k');
answers('scan --limit', 0, "k1\t1\nk2\t2\n", undef, 'scan', 'k', '--limit', '2');
answers('scan of what is not there', 0, '', undef, 'scan', 'zzz');
my ($k1) = sole('get', '-r', 'k1')->{out} =~ /^(\d+)/;
answers('scan -r', 0, "k1\t1\t$k1\n", undef, 'scan', '-r', 'k1');
answers('scan --json', 0, qq({"key":"k1","value":1,"revision":$k1}\n), undef, 'scan', '-j', 'k1');
is(sole({ input => "a\tb\nc\\d\0e" }, 'put', "odd\tkey", '-')->{status}, 0, 'a key and a value with control characters');
answers('scan shows them escaped', 0, "odd\\tkey\ta\\tb\\nc\\\\d\\x00e\n", undef, 'scan', 'odd');
is($json->decode(sole('scan', '-j', 'odd')->{out})->{value}, "a\tb\nc\\d\0e", 'scan --json gives them back');

my $count = 2500;
for my $from (0, 1000, 2000) {
    my $last = $from + 999 < $count ? $from + 999 : $count - 1;
    my $got = sole({ input => join '', map { sprintf "put many/%05d %d\n", $_, $_ } $from .. $last }, 'txn');
    is($got->{status}, 0, "keys $from to $last are put in one request") or diag($got->{err});
}
my $all = join '', map { sprintf "many/%05d\t%d\n", $_, $_ } 0 .. $count - 1;
ok(sole('scan', 'many/')->{out} eq $all, "a scan of $count keys follows its cursor and gives each once, in order");
is(scalar(split /\n/, sole('scan', 'many/', '--limit', '1500')->{out}), 1500, '... and stops at a limit beyond a page');
sole({ input => 'x' x 200_000 }, 'put', "large/$_", '-') for 1 .. 8;
is(length sole('scan', 'large/')->{out}, 8 * (200_000 + length "large/1\t\n"),
    'a scan of more than a message can carry is whole');

# ---- JSON ----

for (["text", '"text"'], ["l\xc3\xb6we", "\"l\xc3\xb6we\""], ['7', '7'], ['-9223372036854775808', '-9223372036854775808'],
    ['', '""'], ['"\\', '"\\"\\\\"'], ["\xff", '{"base64":"/w=="}'], ["\xed\xa0\x80", '{"base64":"7aCA"}'],
    ["\xc0\x80", '{"base64":"wIA="}'], ["\xf4\x90\x80\x80", '{"base64":"9JCAgA=="}'],
    ["\xf0\x9f\x90\x9f", "\"\xf0\x9f\x90\x9f\""], ["ab\xc3", '{"base64":"YWLD"}'], ["\x01\x7f", '"\u0001\u007f"']) {
    my ($value, $wanted) = @$_;
    sole('put', '--', 'j', $value);
    is(sole('get', '-j', 'j')->{out}, "$wanted\n", "get --json prints $wanted") or diag(unpack 'H*', $value);
}
sole({ input => "\0" }, 'put', 'j', '-');
is(sole('get', '-j', 'j')->{out}, qq("\\u0000"\n), '... and "\u0000"');
answers('get --json of an absent key', 1, "null\n", qr/not found/, 'get', '-j', 'b');
answers('cas --json of another value', 1, "3\n", qr/conflict/, 'cas', '-j', 'a', '7', '8');
is_deeply([sort keys %{ $json->decode(sole('get', '-jr', 'a')->{out}) }], [qw(key revision value)],
    'get --json -r is an object');
my $status = $json->decode(sole('status', '-j')->{out});
is($status->{name}, 'inventory', 'status --json is an object');
is($status->{pid}, $owner->{pid}, '... with numbers');
cmp_ok($json->decode(sole('stats', '-j')->{out})->{writes}, '>', 2500, 'stats --json is an object of counters');
my $ping = $json->decode(sole('ping', '-j')->{out});
like($ping->{endpoint}, qr{^ipc://.*/inventory\.sock$}, 'ping --json tells the endpoint');
cmp_ok($ping->{nanoseconds}, '>', 0, '... and how long it took');

# ---- what is wrong ----

for (
    [['put', 'a', '1', '--if-absent', '--if-present'], qr/exclude each other/, 'two conditions'],
    [['put', 'a', '1', '--if-absent', '--revision', '1'], qr/exclude each other/, 'a condition and a revision'],
    [['put', 'a', '1', '--for', '0'], qr/--for takes whole milliseconds/, 'an expiry at once'],
    [['put', 'a', '1', '--for', '1500us'], qr/whole milliseconds/, 'an expiry in a part of a millisecond'],
    [['put', 'a', '1', '--for', 'soon'], qr/'soon' is not a time/, 'an expiry that is no time'],
    [['put', 'a', '1', '--revision', '-1'], qr/revision: '-1' is out of range/, 'a negative revision'],
    [['expire', 'a', 'soon'], qr/'soon' is not .*or 'never'/, 'expire with what is no time'],
    [['expire', 'a', '0'], qr/whole milliseconds/, 'expire at once'],
    [['expire', 'a'], qr/missing.*usage: sole expire KEY TIME/, 'expire without a time'],
    [['scan', '--limit', '0'], qr/limit: '0' is out of range/, 'a scan of nothing'],
    [['scan', 'a', 'b'], qr/too much/, 'a scan of two prefixes'],
    [['mget'], qr/missing.*usage: sole mget KEY/, 'mget without a key'],
    [['get', '--none'], qr/option '--none' is not known/, '--none where nothing is optional'],
    [['get', 'a', '--if-absent'], qr/option '--if-absent' is not known; see sole get --help/, 'an option of put'],
) {
    my ($arguments, $says, $title) = @$_;
    answers($title, 64, '', $says, @$arguments);
}
answers('a prefix above the limit', 2, '', qr/^sole: refused: too-large: .*max-key/, 'scan', 'k' x 1025);
answers('a key too long to expire', 2, '', qr/^sole: refused: too-large: /, 'put', 'k' x 1020, '1', '--for', '1s');
is(run({ stdout => '/dev/full' }, 'sole', '-o', 'inventory', 'scan')->{status}, 74, 'scan to a full device: status 74');

done_testing;
