#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# An owner on tcp: whoever has a key that it was given is let in and known by it, whoever has not is told
# why, and keys come and go while it runs. Each door is tried from the wrong side.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use FFI::Platypus;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Sole::Remote;
use Sole::Test;
use Sole::Wire;
use Test::More;
use Time::HiRes qw(time);
use ZMQ::FFI::Constants qw(:all);

use constant { SESSIONS => 15, DENIED => 5, FORGOTTEN => 100 };

sub mode { return sprintf '%04o', (stat $_[0])[2] & 07777 }

# A command that cannot reach its owner: status 69 and one line, in time.
sub told_why {
    my ($why, $title, @command) = @_;
    my $start = time;
    my $asked = run(@command, '-t', '2s');
    is $asked->{status}, 69, "$title: nobody answers";
    cmp_ok time - $start, '<', seconds(6), 'in time';
    line_like $asked->{err}, $why, 'and the line says what is likely wrong';
}

sub code_of { my ($socket, @item) = @_; return ask($socket, item(@item))->{code} }

# Does a raw client get an answer? One that is not let in does not.
sub answered {
    my ($socket, $limit) = @_;
    $socket->set(ZMQ_RCVTIMEO, 'int', 1000 * seconds($limit // 10));
    send_body($socket, message(item(PING, '')));
    return defined receive_body($socket);
}

# ---- keys ----

subtest 'sole keygen makes a pair of files, and never writes over one' => sub {
    my $file = path('pair');
    my $made = run('sole', 'keygen', $file);
    is $made->{status}, 0, 'made' or diag $made->{err};
    is $made->{out}, "$file: the public key, for those who are to know this one\n${file}_secret: the secret key, which stays here\n",
        'it says which is which';
    is mode($file), '0644', 'the public one may be read';
    is mode("${file}_secret"), '0600', 'and the secret one by its user only';
    unlike slurp($file), qr/secret-key/, 'the public one holds no secret';
    my ($public, $secret) = keys_of('pair');
    ok length $public == 40 && length $secret == 40 && $public ne $secret, 'the other holds both keys';
    my ($before, $before_secret) = (slurp($file), slurp("${file}_secret"));
    my $again = run('sole', 'keygen', $file);
    is $again->{status}, 73, 'once more: refused';
    line_like $again->{err}, qr/\Q$file\E: it is there already, and is not written over/, 'with a line that says why';
    unlink $file;
    $again = run('sole', 'keygen', $file);
    is $again->{status}, 73, 'also where only the secret one is there';
    ok !-e $file && slurp("${file}_secret") eq $before_secret, 'and nothing was written';
    spew('pair', $before);
    symlink path('elsewhere'), path('link_secret');
    is run('sole', 'keygen', path('link'))->{status}, 73, 'a link that leads nowhere is not followed';
    ok !-e path('elsewhere') && !-e path('link'), 'nor is anything made';
    is run('sole', 'keygen', path('none/pair'))->{status}, 73, 'in a folder that is not there: refused';
    my $told = run('sole', 'keygen', '--json', path('other'));
    is decode_json($told->{out})->{'public-key'}, (keys_of('other'))[0], '--json tells the public key';
};

subtest 'the files are those of CZMQ and of pyzmq' => sub {
    my $czmq = FFI::Platypus->new(api => 1, lib => [ map { glob "$_/*/libczmq.so.4" } '/usr/lib' ]);
    my $call = sub { my ($name, $result, @types) = @_; return $czmq->function($name, \@types => $result) };
    my $ours = $call->('zcert_load', 'opaque', 'string')->call(keygen('pair'));
    is $call->('zcert_public_txt', 'string', 'opaque')->call($ours), (keys_of('pair'))[0], 'CZMQ reads what sole keygen wrote';
    is $call->('zcert_secret_txt', 'string', 'opaque')->call($ours), (keys_of('pair'))[1], 'with its secret';
    my $theirs = $call->('zcert_new', 'opaque')->call;
    $call->('zcert_set_meta', 'void', 'opaque', 'string', 'string')->call($theirs, 'curve', 'public-key = "x"');
    is $call->('zcert_save', 'int', 'opaque', 'string')->call($theirs, path('czmq')), 0, 'CZMQ writes a pair';
    my $made = run({ name => 'python' }, -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3', '-c',
        'import sys, zmq.auth; zmq.auth.create_certificates(sys.argv[1], "pyzmq", {"name": "curve"})', folder());
    is $made->{status}, 0, 'and so does pyzmq' or diag $made->{err};
    rename path('pyzmq.key'), path('pyzmq');
    rename path('pyzmq.key_secret'), path('pyzmq_secret');
    chmod 0600, path('czmq_secret'), path('pyzmq_secret');
    let_in('theirs', 'czmq', 'pyzmq');
    my ($owner, $at) = remote_owner('foreign', '--client-keys', path('theirs'), '--key', path('czmq_secret'));
    for my $name (qw(czmq pyzmq)) {
        my $put = run('sole', 'put', $name, 1, '-e', $at, '--server-key', path('czmq'), '--client-key', path($name));
        is $put->{status}, 0, "a client with the keys of $name is let in" or diag $put->{err} . $owner->err;
    }
    is $owner->stop, 0, 'the owner ends well';
};

# ---- one owner for most ----

let_in('keys', 'alice', 'bob');
my $rules = rules('rules', 'key alice' => 'admin', 'any key' => 'command');
my ($owner, $at) = remote_owner('remote', '--access', $rules);
my $local = dealer(endpoint('remote'));

subtest 'who has a key is served as on a Unix socket' => sub {
    my @bob = with_keys($at, 'bob');
    is run('sole', 'put', 'apples', 12, @bob)->{status}, 0, 'put';
    is run('sole', 'get', 'apples', @bob)->{out}, "12\n", 'get';
    is run('sole', 'get', 'apples', '-o', 'remote')->{out}, "12\n", 'and the Unix socket is there as before';
    is run('sole', 'add', 'apples', 3, @bob)->{out}, "15\n", 'add';
    my $environment = { SOLE_SERVER_KEY => keygen('owner'), SOLE_CLIENT_KEY => keygen('bob'), SOLE_ENDPOINT => $at };
    is run({ env => $environment }, 'sole', 'get', 'apples')->{out}, "15\n", 'keys may stand in the environment';
    is run('sole', 'get', 'apples', '-e', $at, '--server-key', keygen('owner') . '_secret', '--client-key', keygen('bob') . '_secret')->{out},
        "15\n", 'and in files that hold both keys';
    my $reader = run('sole-reader', @bob, '--duration', '200ms', '--actors', 5);
    is $reader->{status}, 0, 'sole-reader reads' or diag $reader->{err};
    my $writer = run('sole-writer', @bob, '--duration', '200ms', '--actors', 5);
    like $writer->{out}, qr/^writes: [1-9]/, 'sole-writer writes';
    my $lock = run('sole', 'lock', 'nightly', @bob, '--', '/bin/sh', '-c', 'echo locked');
    is $lock->{out}, "locked\n", 'a lock is held';
    my $watch = start('sole', 'watch', @bob, '--count', 1, 'pears');
    ok wait_until { run('sole', 'put', 'pears', 1, '-o', 'remote'); !$watch->running }, 'a watch hears';
    like $watch->out, qr/pears/, 'of what happens';
};

subtest 'the largest message goes through, and no larger one' => sub {
    my $bob  = keyed($at, 'bob');
    my $room = (1 << 20) - length message(item(RUN, op(PUT, 'a', '')), item(RUN, op(PUT, 'b', '')), item(PING, ''), item(PING, ''));
    my @values = ('v' x 262_144, 'w' x 262_144);
    my $body = message(item(RUN, op(PUT, 'a', $values[0])), item(RUN, op(PUT, 'b', $values[1])));
    $body .= "\0" x ((1 << 20) - length $body);    # garbage behind: answered as such
    send_body($bob, $body);
    is read_message(receive_body($bob) // '')->{items}[0]{code}, 1, 'a message of 1 MiB is read';
    ok answered($bob), 'and its connection goes on';
    cmp_ok $room, '>', 0, 'there was room';
    my $kept = keyed($at, 'bob');
    send_body($kept, message(item(RUN, op(PUT, 'a', $values[0]))));
    is receive_message($kept)->{items}[0]{code}, 0, 'a large value is put';
    is get($kept, 'a'), $values[0], 'and comes back';
    my $opened = counters($local)->{connections_opened};
    send_body($bob, 'x' x ((1 << 20) + 1));
    ok wait_until { counters($local)->{connections_opened} > $opened }, 'one of a byte more ends its connection';
    $_->close for $bob, $kept;
};

subtest 'who may not come is told why' => sub {
    keygen('mallory');
    my $before = counters($local);
    told_why qr/does not let this client's key in: its public certificate belongs into the owner's folder of client keys/,
        'a key that is not known', 'sole', 'get', 'apples', with_keys($at, 'mallory');
    told_why qr/the owner has another key than the server key says/, 'the key of another owner',
        'sole', 'get', 'apples', '-e', $at, '--server-key', keygen('mallory'), '--client-key', keygen('bob');
    told_why qr/it may want keys \(--server-key and --client-key\)|to clients with keys only: give --server-key and --client-key/,
        'no key', 'sole', 'get', 'apples', '-e', $at;
    my $reader = run('sole-reader', with_keys($at, 'mallory'), '--connect-timeout', '1s');
    is $reader->{status}, 69, 'a reader whose key is not known ends with 69';
    line_like $reader->{err}, qr/does not let this client's key in/, 'and says why';
    my $after = counters($local);
    cmp_ok $after->{keys_refused} - $before->{keys_refused}, '>=', 2, 'keys that were refused are counted';
    cmp_ok $after->{handshakes_failed} - $before->{handshakes_failed}, '>=', 2, 'and so are other handshakes that failed';
    cmp_ok $after->{handshakes_failed} - $before->{handshakes_failed}, '<', 60, 'of which a client does not make more and more';
    my ($public) = keys_of('mallory');
    like $owner->err, qr/refused a connection from 127\.0\.0\.1: its key, \Q$public\E, is not among the client keys/,
        'the owner tells of the key';
    like $owner->err, qr/refused a connection from 127\.0\.0\.1:\d+: it takes this owner for one with another key/,
        'of another owner\'s key, with address and port';
    like $owner->err, qr/refused a connection from 127\.0\.0\.1:\d+: it speaks in the clear, and here is spoken CURVE/,
        'and of who speaks in the clear';
    my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp');
    my $child = fork // die "fork: $!\n";
    if (!$child) { while (my $peer = $server->accept) { print {$peer} "HTTP/1.1 400 Bad Request\r\n\r\n"; close $peer } POSIX::_exit(0) }
    told_why qr/it is no owner|what listens there is no owner|hung up/, 'what is no owner', 'sole', 'get', 'apples', '-e',
        'tcp://127.0.0.1:' . $server->sockport, '--server-key', keygen('owner'), '--client-key', keygen('bob');
    kill KILL => $child;
    waitpid $child, 0;
    ok !answered(keyed($at, 'mallory'), 1), 'a raw client without a known key hears nothing';
    ok !answered(dealer($at), 1), 'nor does one in the clear';
};

subtest 'what is wrong with the files of keys is told before anything is asked' => sub {
    my @most = ('sole', 'get', 'apples', '-e', $at);
    my $open = keygen('open');
    chmod 0644, "${open}_secret";
    spew('garbage', "curve\n    public-key = \"too short\"\n");
    spew('mixed_secret', slurp(keygen('bob') . '_secret') =~ s/public-key = ".*"/'public-key = "' . (keys_of('alice'))[0] . '"'/er);
    chmod 0600, path('mixed_secret');
    spew('alone', slurp(keygen('bob')));
    mkdir path('folder');
    for ([ 'one key without the other', qr/a server key is given and a client key is not/, '--server-key', keygen('owner') ],
        [ 'a file that is not there', qr/none: No such file or directory/, '--server-key', path('none'), '--client-key', keygen('bob') ],
        [ 'a secret that others may read', qr/others may get at the secret key: chmod 600/, '--server-key', keygen('owner'), '--client-key', $open ],
        [ 'a file of something else', qr/it is no CURVE certificate \(sole keygen makes one\)/, '--server-key', path('garbage'), '--client-key', keygen('bob') ],
        [ 'a folder', qr/it is no ordinary file/, '--server-key', path('folder'), '--client-key', keygen('bob') ],
        [ 'keys of two pairs', qr/not of one pair/, '--server-key', keygen('owner'), '--client-key', path('mixed') ],
        [ 'a public key alone', qr/the secret one is not beside it/, '--server-key', keygen('owner'), '--client-key', path('alone') ]) {
        my ($title, $line, @options) = @$_;
        my $asked = run(@most, @options);
        is $asked->{status}, 64, "$title: a usage error";
        line_like $asked->{err}, $line, 'one line says what';
    }
};

subtest 'Python has keys, too' => sub {
    my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
    plan skip_all => 'no pyzmq' if run({ name => 'python' }, $python, '-c', 'import zmq')->{status} != 0;
    my $ask = sub {
        my ($server, $own, $text) = @_;
        return run({ name => 'python', env => { PYTHONPATH => "$FindBin::Bin/../clients/python", PYTHONDONTWRITEBYTECODE => 1 } },
            $python, '-c', "import sys, asyncio, sole\nat, server, own = (word or None for word in sys.argv[1:4])\n$text", $at,
            map { length $_ ? keygen($_) : '' } $server, $own);
    };
    my $simple = "with sole.Client(endpoint=at, server_key=server, client_key=own, timeout=2) as c:\n    print(c.add('python'))\n";
    my $told = $ask->('owner', 'bob', $simple);
    is $told->{out}, "1\n", 'a client with a key is served' or diag $told->{err};
    like $ask->('owner', 'mallory', $simple)->{err}, qr/unreachable: the owner does not let this client's key in/, 'one that is not known is told';
    like $ask->('mallory', 'bob', $simple)->{err}, qr/unreachable: what listens there hung up: the owner has another key/,
        'and so is one with the key of another owner';
    like $ask->('', '', $simple)->{err}, qr/unreachable: .*server_key and client_key/, 'and one without';
    like $ask->('owner', '', $simple)->{err}, qr/ValueError: CURVE takes both/, 'one key alone is no good';
    like $ask->('owner', 'open', $simple)->{err}, qr/ValueError: .*others may get at the secret key/, 'nor a secret that others may read';
    my $later = "async def main():\n    async with sole.AsyncClient(endpoint=at, server_key=server, client_key=own) as c:\n"
        . "        print(await c.add('python'))\nasyncio.run(main())\n";
    is $ask->('owner', 'bob', $later)->{out}, "2\n", 'AsyncClient takes them as well';
};

# ---- whose session it is ----

subtest 'a session belongs to the key that opened it' => sub {
    my ($alice, $bob) = (keyed($at, 'alice'), keyed($at, 'bob'));
    my $session = open_session($alice);
    is code_of($alice, RUN, op(PUT, 'mine', \1), session => $session, sequence => 1), 0, 'alice uses hers';
    my $replayed = item(RUN, op(PUT, 'mine', \1), session => $session, sequence => 1);
    is ask($bob, $replayed)->{code}, DENIED, 'a replay by bob of what alice has sent is denied';
    is code_of($bob, RUN, op(PUT, 'mine', \2), session => $session, sequence => 2), DENIED, 'and so is a command of his own in it';
    is code_of($bob, PING, '', session => $session), DENIED, 'a ping that would keep it alive';
    is code_of($bob, GOODBYE, '', session => $session), DENIED, 'its end';
    is code_of($local, RUN, op(PUT, 'mine', \3), session => $session, sequence => 2), DENIED, 'a user of the Unix socket is denied, be it root';
    my $locals = open_session($local);
    is code_of($alice, RUN, op(PUT, 'mine', \4), session => $locals, sequence => 1), DENIED, 'and a key the session of a process';
    my $nonce = pack 'a16', 'nonce of alice';
    my $own = ask($alice, item(OPEN, list($nonce, \0)))->{session};
    is ask($bob, item(OPEN, list($nonce, \0)))->{code}, DENIED, 'who repeats the nonce of another does not get the session';
    my $second = keyed($at, 'alice');
    is code_of($second, RUN, op(PUT, 'mine', \5), session => $session, sequence => 2), 0, 'alice goes on by another connection';
    is get($second, 'mine'), 5, 'nothing of all that has run but hers';
    is counters($local)->{sessions_denied} > 0, 1, 'it is counted';
    my $hers = run('sole', 'sessions', with_keys($at, 'alice'), '--json');
    like $hers->{out}, qr/"alice"/, 'sole sessions tells the name of the key';
    is code_of($bob, GOODBYE, '', session => $own), DENIED, 'bob ends none of hers';
    is code_of($alice, GOODBYE, '', session => $own), 0, 'she does';
    $_->close for $alice, $bob, $second;
};

subtest 'rights go by the name of the key' => sub {
    is run('sole', 'sessions', with_keys($at, 'alice'))->{status}, 0, 'alice, who is admin, lists sessions';
    my $bob = run('sole', 'sessions', with_keys($at, 'bob'));
    is $bob->{status}, 2, 'bob is refused';
    like $bob->{err}, qr/denied/, 'denied';
};

subtest 'behind a broker a key is nobody\'s' => sub {
    my $context = ZMQ::FFI->new;
    my $front = $context->socket(ZMQ_ROUTER);
    $front->bind('ipc://' . path('broker'));
    my $back = keyed($at, 'alice');
    my $client = dealer('ipc://' . path('broker'));
    send_body($client, message(item(RUN, op(PUT, 'relayed', \1))));
    my @frames = $front->recv_multipart;
    $back->send_multipart([ @frames ]);
    my @reply = $back->recv_multipart;
    is read_message($reply[-1])->{items}[0]{code}, DENIED, 'what alice relays has not alice\'s rights';
    $_->close for $front, $back, $client;
};

# ---- keys come and go ----

subtest 'a key that is put into the folder counts a moment later' => sub {
    my $waiting = start('sole', 'put', 'carol', 1, with_keys($at, 'carol'), '-t', '30s');
    ok $owner->wait_output('err', qr/its key, \Q@{[ (keys_of('carol'))[0] ]}\E,/), 'carol is refused at first';
    let_in('keys', 'carol');
    is $waiting->finish, 0, 'and let in when her key is there, without asking again' or diag $waiting->err;
    like $owner->err, qr/client keys: carol may come now/, 'the owner says so';
};

subtest 'a key that is taken away ends what it had' => sub {
    my ($carol, $other) = (keyed($at, 'carol'), dealer(endpoint('remote')));
    my $session = open_session($carol);
    is code_of($carol, RUN, op(LOCK, 'door'), session => $session, sequence => 1), 0, 'carol holds a lock';
    my $quiet = keyed($at, 'carol');
    ok answered($quiet), 'and has another connection';
    my $locals = open_session($local);
    ask($local, item(HELLO, list(\1, \1, 'local'), flags => NOTICES));
    send_body($local, message(item(RUN, op(LOCK, 'door'), session => $locals, sequence => 1, deadline => 0)));
    my $waits = receive_message($local);
    is $waits->{items}[0]{code}, 17, 'somebody waits for it';
    my $revoked = counters($other)->{keys_revoked};
    unlink path('keys/carol');
    my $got = receive_message($local);
    is $got->{items}[0]{code}, 0, 'the lock is theirs at once';
    cmp_ok counters($other)->{keys_revoked} - $revoked, '>=', 2, 'her connections are cut, also the one that says nothing';
    ok !answered($quiet, 1), 'and come to nothing';
    like $owner->err, qr/client keys: carol may not come any more/, 'the owner says so';
    ok wait_until { code_of($local, PING, '', session => $session) == FORGOTTEN }, 'her session is over';
    ok answered(keyed($at, 'bob')), 'bob is served as before';
    $_->close for $carol, $quiet, $other;
};

subtest 'what does not belong into the folder harms nobody' => sub {
    spew(path('keys/broken'), "no certificate\n");
    ok $owner->wait_output('err', qr/client keys: not taken: the key in \S*broken: it is no CURVE certificate/), 'garbage is told';
    spew(path('keys/' . 'n' x 31), slurp(keygen('bob')));
    ok $owner->wait_output('err', qr/client keys: 'n{31}' is not taken: name a key's file with at most 30/), 'so is a name too long';
    spew(path('keys/dave_secret'), slurp(keygen('dave') . '_secret'));
    ok $owner->wait_output('err', qr/dave_secret is a secret key and of no use to an owner/), 'and a secret key';
    ok !answered(keyed($at, 'dave'), 1), 'which lets nobody in';
    spew(path('keys/robert'), slurp(keygen('bob')));
    ok $owner->wait_output('err', qr/client keys: bob and robert hold the same key: it is called bob/), 'a key that is there twice is told';
    mkdir path('keys/folder');
    spew(path('keys/.hidden'), slurp(keygen('dave')));
    ok answered(keyed($at, 'bob')), 'the others are served';
    unlink map { path("keys/$_") } 'broken', 'n' x 31, 'dave_secret', 'robert', '.hidden';
    rmdir path('keys/folder');
};

subtest 'SIGHUP reads the folder anew, another one in its place, too' => sub {
    ok answered(keyed($at, 'bob')), 'bob is let in';
    let_in('new', 'alice', 'erin');
    rename path('keys'), path('old') or die "rename: $!\n";
    rename path('new'), path('keys') or die "rename: $!\n";
    $owner->signal('HUP');
    ok $owner->wait_output('err', qr/client keys: erin may come now/), 'erin may come';
    ok answered(keyed($at, 'erin')), 'and comes';
    ok !answered(keyed($at, 'bob'), 1), 'bob does not any more';
    let_in('keys', 'bob');
    ok answered(keyed($at, 'bob')), 'the new folder is watched';
    chmod 0757, path('keys');
    ok $owner->wait_output('err', qr/everybody may write to the folder of client keys/), 'a folder that everybody may write to is told';
    spew(path('keys/mallory'), slurp(keygen('mallory')));
    ok $owner->wait_output('err', qr/(?:everybody may write.*){2}/s), 'and not read';
    ok !answered(keyed($at, 'mallory'), 1), 'so nobody lets themselves in';
    ok answered(keyed($at, 'bob')), 'who was in before stays';
    unlink path('keys/mallory');
    chmod 0755, path('keys');
    rename path('keys'), path('gone') or die "rename: $!\n";
    ok $owner->wait_output('err', qr/client keys: bob may not come any more/), 'without a folder there are no keys';
    ok !answered(keyed($at, 'bob'), 1), 'and nobody comes';
    rename path('gone'), path('keys') or die "rename: $!\n";
    $owner->signal('HUP');
    ok answered(keyed($at, 'bob')), 'until it is back and SIGHUP told so';
};

$local->close;
is $owner->stop, 0, 'the owner ends well';
unlike $owner->{err}, qr/secret-key|\Q@{[ (keys_of('owner'))[1] ]}\E/, 'no secret stands in its log';

# ---- over a restart ----

subtest 'a session and its key outlive a restart' => sub {
    my @state = ('--state', path('state'), '--access', $rules);
    my ($first, $where) = remote_owner('durable', @state);
    my ($port) = $where =~ /:(\d+)$/;
    my $alice = keyed($where, 'alice');
    my $session = open_session($alice);
    is code_of($alice, RUN, op(ADD, 'n', \1), session => $session, sequence => 1), 0, 'alice adds one';
    $first->signal('KILL');
    $first->finish;
    my ($second, $there) = remote_owner('durable', @state, '--listen', "tcp://127.0.0.1:$port");
    is $there, $where, 'the next owner listens at the same port';
    my $again = keyed($there, 'alice');
    my $answer = ask($again, item(RUN, op(ADD, 'n', \1), session => $session, sequence => 1));
    is_deeply [ $answer->{code}, $answer->{lists} ], [ 0, [ [ 1 ] ] ], 'asked again, her command has its answer and has run once';
    is code_of(keyed($there, 'bob'), RUN, op(ADD, 'n', \1), session => $session, sequence => 1), DENIED, 'and bob does not';
    is $second->stop, 0, 'it ends well, with a snapshot';
    unlink path('keys/alice');
    my ($third, $last) = remote_owner('durable', @state);
    ok wait_until { code_of(keyed($last, 'bob'), PING, '', session => $session) == FORGOTTEN }, 'a key that went meanwhile has no session any more';
    is $third->stop, 0, 'it ends well';
    let_in('keys', 'alice');
    my $log = run('sole-owner', '--log', path('state'));
    like $log->{out}, qr/open session=$session key=[0-9a-f]{16}/, 'the log says which key opened it';
    like $log->{out}, qr/run session=$session sequence=1 key=[0-9a-f]{16} add/, 'and which asked';
    my $json = run('sole-owner', '--log', path('state'), '--json');
    like $json->{out}, qr/"key":"[0-9a-f]{16}"/, 'in JSON, too';
};

# ---- how to be told to listen ----

subtest 'never in the clear unless told in as many words' => sub {
    my @none = ('sole-owner', 'told', '--listen', 'tcp://127.0.0.1:*');
    my ($key, $folder) = (keygen('owner'), path('keys'));
    spew('file', '');
    mkdir path('wide');
    chmod 0777, path('wide');
    my $open = keygen('open');
    for ([ 78, 'no word about keys', qr/--in-the-clear/, @none ],
        [ 78, 'a key without client keys', qr/needs --key FILE .* and --client-keys DIR/, @none, '--key', $key ],
        [ 78, 'client keys without a key', qr/needs --key FILE/, @none, '--client-keys', $folder ],
        [ 78, 'keys, and in the clear', qr/--in-the-clear uses no keys/, @none, '--key', $key, '--client-keys', $folder, '--in-the-clear' ],
        [ 78, 'in the clear, and nowhere to listen', qr/give --listen/, 'sole-owner', 'told', '--in-the-clear' ],
        [ 78, 'keys, and nowhere to listen', qr/give --listen/, 'sole-owner', 'told', '--key', $key ],
        [ 78, 'a place without a port', qr/is no place to listen: give tcp:/, 'sole-owner', 'told', '--listen', 'tcp://127.0.0.1', '--in-the-clear' ],
        [ 78, 'a port that is none', qr/is no place to listen/, 'sole-owner', 'told', '--listen', 'tcp://127.0.0.1:65536', '--in-the-clear' ],
        [ 78, 'another transport', qr/is no place to listen/, 'sole-owner', 'told', '--listen', 'ipc:///tmp/x', '--in-the-clear' ],
        [ 66, 'a key that is not there', qr/No such file/, @none, '--key', path('none'), '--client-keys', $folder ],
        [ 77, 'a key that others may read', qr/chmod 600/, @none, '--key', $open, '--client-keys', $folder ],
        [ 66, 'no folder of client keys', qr/none: No such file/, @none, '--key', $key, '--client-keys', path('none') ],
        [ 66, 'a file for it', qr/is no folder/, @none, '--key', $key, '--client-keys', path('file') ],
        [ 77, 'a folder that everybody may write to', qr/chmod o-w/, @none, '--key', $key, '--client-keys', path('wide') ]) {
        my ($status, $title, $line, @command) = @$_;
        my $told = run(@command);
        is $told->{status}, $status, "$title: refused";
        line_like $told->{err}, $line, 'with a line that says what to do';
        is run(@command, '--check-config')->{status}, $status, 'also by --check-config';
    }
    my $checked = run(@none, '--key', $key, '--client-keys', $folder, '--check-config');
    is $checked->{status}, 0, 'a sound configuration is printed';
    like $checked->{out}, qr{^listen = tcp://127\.0\.0\.1:\*\nkey = \Q$key\E\nclient-keys = \Q$folder\E$}m, 'with where it listens and the keys';
    my $file = spew('remote.zpl', "listen = \"tcp://127.0.0.1:*\"\nkey = $key\nclient-keys = $folder\n");
    is run('sole-owner', 'told', '--config', $file, '--check-config')->{status}, 0, 'a file may say it, too';
};

subtest 'in the clear, and told so' => sub {
    my ($clear, $where) = remote_owner('clear', '--in-the-clear');
    like $clear->err, qr/in the clear: whoever reaches it can read, change and forge/, 'the owner warns';
    is run('sole', 'put', 'apples', 1, '-e', $where)->{status}, 0, 'a client without keys is served';
    told_why qr/speaks in the clear: leave out --server-key and --client-key if that is meant|hung up/,
        'one with keys does not speak in the clear by mistake', 'sole', 'get', 'apples', with_keys($where, 'bob');

    # The peer says of itself that it is root on this machine, and alice.
    my ($public) = keys_of('alice');
    my $property = sub { return pack 'C/a* N/a*', @_ };
    my $claim = pack('C/a*', 'READY') . $property->('Socket-Type', 'DEALER') . $property->('Peer-Address', 'localhost:0:0:' . $$)
        . $property->('User-Id', $public) . $property->('__fd', '3');
    my $socket = tcp_connect($where);
    my $frame  = sub { my ($flags, $bytes) = @_; return length $bytes < 256 ? pack('C C/a*', $flags, $bytes) : pack('C Q>/a*', $flags | 2, $bytes) };
    syswrite $socket, pack('C x8 C C C a20 C x31', 0xff, 0x7f, 3, 0, 'NULL', 0) . $frame->(4, $claim);
    my $heard = '';
    my $hear = sub {
        my ($what) = @_;
        $socket->blocking(0);
        return wait_until { sysread $socket, $heard, 65536, length $heard; $heard =~ $what };
    };
    $hear->(qr/READY.*Socket-Type/s);
    syswrite $socket, $frame->(1, '') . $frame->(0, message(item(SESSIONS, list(undef, \0)), item(BACKUP, list(\1, \0)), item(PING, '')));
    $hear->(qr/SOLE/);
    my $reply = read_message(substr $heard, index $heard, 'SOLE');
    is $reply->{items}[0]{code}, DENIED, 'a peer that claims to be root is nobody: it may not list sessions';
    is $reply->{items}[1]{code}, DENIED, 'nor take a backup';
    is $reply->{items}[2]{code}, 0, 'though it is answered';
    is $clear->stop, 0, 'the owner ends well';
};

subtest 'without rules of access nobody on tcp may do anything, and the owner says so' => sub {
    my ($bare, $where) = remote_owner('bare', '--access', spew('empty', "# none\n"));
    like $bare->err, qr/no rule of access says what those who come by tcp may do/, 'at its start';
    my $asked = run('sole', 'get', 'apples', with_keys($where, 'bob'));
    is $asked->{status}, 2, 'a known key is refused';
    like $asked->{err}, qr/denied/, 'denied';
    is $bare->stop, 0, 'the owner ends well';
};

subtest 'a port that is taken is told' => sub {
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', Proto => 'tcp');
    my $place = 'tcp://127.0.0.1:' . $taken->sockport;
    my $told  = run('sole-owner', 'taken', '--listen', $place, '--in-the-clear');
    isnt $told->{status}, 0, 'the owner does not start';
    line_like $told->{err}, qr/cannot serve the socket \Q$place\E: Address already in use/, 'and says why';
    ok !-e path('taken.sock'), 'nothing is left behind';
};

done_testing;
