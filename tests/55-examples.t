# SPDX-License-Identifier: MIT
#
# The behaviours of owner/examples, each loaded by a real owner and asked over its socket: their
# rules, their refusals, waiting, time, death. And what is said of a file that is no behaviour.
use strict;
use warnings;
use lib 'tests/lib';
use Cwd qw(abs_path);
use Sole::Test;
use Sole::Wire;
use POSIX ();
use Test::More;
use Time::HiRes ();

use constant { OK => 0, INVALID => 4, CANCELLED => 8, CONFLICT => 9, OVERFLOW => 13, WAITING => 17 };

# ---- a client with a session, which takes notices ----

package Client;

sub new {
    my ($class, $name) = @_;
    my $self = bless { socket => Sole::Wire::dealer(Sole::Wire::endpoint($name)), sequence => 0, heard => {}, replies => {} }, $class;
    my $nonce = join '', map { chr int rand 256 } 1 .. 16;
    $self->send(Sole::Wire::item(Sole::Wire::HELLO, Sole::Wire::list(\1, \1, 'test'), flags => Sole::Wire::NOTICES),
        Sole::Wire::item(Sole::Wire::OPEN, Sole::Wire::list($nonce, \0)));
    my $reply = $self->receive;
    $self->{session} = $reply->{items}[1]{session};
    return $self;
}

sub send { my ($self, @items) = @_; return Sole::Wire::send_body($self->{socket}, Sole::Wire::message(@items)) }

# The next message that is no notice; what was told unasked is kept by sequence.
sub receive {
    my ($self) = @_;
    for (;;) {
        my $message = Sole::Wire::read_message(Sole::Wire::receive_body($self->{socket}) // die "no answer in time\n");
        return $message if $message->{kind} != 3;
        $self->{heard}{ $_->{sequence} } = $_ for grep { $_->{kind} == Sole::Wire::RUN } @{ $message->{items} };
    }
}

# Sends one request of operations; [number, argument ...] each. Returns its sequence.
sub submit {
    my ($self, @operations) = @_;
    $self->send(Sole::Wire::item(Sole::Wire::RUN, join('', map { Sole::Wire::op(@$_) } @operations),
        session => $self->{session}, sequence => ++$self->{sequence}));
    return $self->{sequence};
}

sub run { my ($self, @operations) = @_; $self->submit(@operations); return $self->receive->{items}[0] }

# Asks for queries.
sub query {
    my ($self, @operations) = @_;
    $self->send(Sole::Wire::item(Sole::Wire::RUN, join('', map { Sole::Wire::op(@$_) } @operations), flags => Sole::Wire::QUERY,
        session => $self->{session}));
    return $self->receive->{items}[0];
}

# The late answer to a sequence, waited for.
sub late {
    my ($self, $sequence) = @_;
    while (!$self->{heard}{$sequence}) {
        my $message = Sole::Wire::read_message(Sole::Wire::receive_body($self->{socket}) // return);
        $self->{heard}{ $_->{sequence} } = $_ for @{ $message->{items} };
    }
    return delete $self->{heard}{$sequence};
}

sub goodbye { my ($self) = @_; $self->send(Sole::Wire::item(Sole::Wire::GOODBYE, '', session => $self->{session})); return $self->receive }

package main;

sub is_done { my ($reply, $lists, $title) = @_; is_deeply([@$reply{qw(code lists)}], [OK, $lists], $title) or diag explain $reply }

# refused(REPLY, CODE, TEXT, DETAIL, TITLE)
sub refused {
    my ($reply, $code, $says, $detail, $title) = @_;
    is($reply->{code}, $code, $title);
    like($reply->{lists}[0][1], $says, '... with a sentence');
    is($reply->{lists}[0][2], $detail, '... and what was found') if defined $detail;
}

sub behaviour_owner { my ($behaviour, $name) = @_; return start_owner('--behaviour', program("$behaviour.so"), '--drain', '100ms', $name) }

# ---- ledger ----

my $owner = behaviour_owner('ledger', 'bank');
my $teller = Client->new('bank');
is_done($teller->run([1, 'alice'], [1, 'bob'], [3, 'alice', \100]), [[], [], [100]], 'ledger: two accounts open, and one gets 100');
is_done($teller->run([5, 'alice', 'bob', \30]), [[]], '... of which 30 are transferred');
is_done($teller->query([6, 'alice'], [6, 'bob'], [7]), [[70], [30], [100, 2]], '... and all together is what it was');
refused($teller->run([5, 'alice', 'bob', \71]), CONFLICT, qr/holds 70, which is less/, 70, 'nobody is overdrawn by a transfer');
refused($teller->run([4, 'bob', \31]), CONFLICT, qr/holds 30/, 30, 'nor by a withdrawal');
refused($teller->run([5, 'alice', 'bob', \0]), INVALID, qr/1 or more/, undef, 'an amount is positive');
refused($teller->run([5, 'alice', 'bob', \-5]), INVALID, qr/1 or more/, undef, 'a negative transfer takes nothing');
refused($teller->run([3, 'carol', \1]), CONFLICT, qr/no such account/, undef, 'no money goes to an account that is not open');
refused($teller->run([5, 'alice', 'carol', \1]), CONFLICT, qr/no such account/, undef, 'nor by transfer: what was paid comes back');
refused($teller->run([1, 'alice']), CONFLICT, qr/open already/, undef, 'an account opens once');
refused($teller->run([3, 'alice', \'9223372036854775807']), OVERFLOW, qr/64 bits/, undef, 'the total stays within 64 bits');
refused($teller->run([3, 'alice', \50], [5, 'alice', 'bob', \120], [5, 'alice', 'bob', \1]), CONFLICT, qr/holds 0/, 0,
    'a request of which the last operation is refused');
is_done($teller->query([6, 'alice'], [6, 'bob'], [7]), [[70], [30], [100, 2]], '... has moved nothing');
is_done($teller->run([5, 'alice', 'alice', \70], [6, 'alice']), [[], [70]], 'a transfer to oneself changes nothing');
is_done($teller->run([4, 'alice', \70]), [[0]], 'an account can be emptied');
is($owner->stop, 0, 'the owner of the ledger leaves well');

# ---- queue ----

$owner = behaviour_owner('queue', 'jobs');
my ($boss, $one, $two) = map { Client->new('jobs') } 1 .. 3;
my $pushed = $boss->run([1, 'first', \3], [1, 'second', \1]);
my @id = map { $_->[0] } @{ $pushed->{lists} };
cmp_ok($id[1], '>', $id[0], 'queue: jobs get growing ids');
is_done($boss->query([5]), [[2, 0, 0, 0]], '... and are ready');
my $taken = $one->run([2, \60000]);
is_deeply([@{ $taken->{lists}[0] }[1, 2]], [$id[0], 'first'], 'the first is taken first');
my $receipt = $taken->{lists}[0][0];
refused($two->run([3, \$receipt]), CONFLICT, qr/no job of that receipt/, undef, 'nobody else can be done with it');
is_done($one->run([3, \$receipt]), [[]], 'who took it can');
refused($one->run([3, \$receipt]), CONFLICT, qr/no job of that receipt/, undef, '... once');

$taken = $one->run([2, \60000]);
is($taken->{lists}[0][2], 'second', 'a job of one attempt is taken');
is_done($one->run([4, \$taken->{lists}[0][0]]), [[]], '... and fails');
is_done($boss->query([5]), [[0, 0, 1, 0]], '... and is a dead letter');
my $dead = $boss->run([6, \1000]);
is_deeply([@{ $dead->{lists}[0] }[1, 2]], [$id[1], 'second'], 'a dead letter can be looked at');
is_done($boss->run([3, \$dead->{lists}[0][0]]), [[]], '... and be done with');
refused($boss->run([6, \1000]), CONFLICT, qr/no dead letters/, undef, '... and then there are none');

my $waiting = $one->submit([2, \60000]);
is($one->receive->{items}[0]{code}, WAITING, 'who finds no job waits');
my $second = $two->submit([2, \60000]);
$two->receive;
is_done($boss->query([5]), [[0, 0, 0, 2]], '... in line');
$boss->run([1, 'third', \2]);
my $late = $one->late($waiting);
is($late->{lists}[0][2], 'third', 'the next job goes to who has waited longest');
$boss->run([1, 'fourth', \1]);
my $fourth = $two->late($second);
is($fourth->{lists}[0][2], 'fourth', '... and the next to the next');
is_done($two->run([3, \$fourth->{lists}[0][0]]), [[]], '... who is done with it');
refused($one->run([2, \0]), INVALID, qr/a job is taken for 1 to 86400000 milliseconds/, undef, 'a job is taken for some time');
my @alone = Sole::Wire::ask($one->{socket}, Sole::Wire::item(Sole::Wire::RUN, Sole::Wire::op(2, \5)));
is($alone[0]{code}, INVALID, '... and without a session there is nobody to have it');
like($alone[0]{lists}[0][1], qr/a job is taken by a session: open one/, '... which is another reason');
refused($boss->run([1, 'x', \0]), INVALID, qr/1 to 1000 attempts/, undef, 'and has an attempt at least');
refused(Client->new('jobs')->query([2, \5]), INVALID, qr/command/, undef, 'taking is no query');

is_done($one->run([4, \$late->{lists}[0][0]]), [[]], 'a failed job of two attempts');
$taken = $one->run([2, \50]);
is($taken->{lists}[0][2], 'third', '... comes back');
my $old = $taken->{lists}[0][0];
ok((wait_until { $boss->query([5])->{lists}[0][2] == 1 }), 'one that is not done in time and has no attempt left is a dead letter');
refused($one->run([3, \$old]), CONFLICT, qr/not any more/, undef, '... and who was too slow is told');

$boss->run([1, 'slow', \5]);
$taken = $one->run([2, \50]);
my $wait = $boss->submit([2, \60000]);
$boss->receive;
$late = $boss->late($wait);
is($late->{lists}[0][2], 'slow', 'a job that is not done in time goes to who waits for one');
cmp_ok($late->{lists}[0][0], '>', $taken->{lists}[0][0], '... with a new receipt');
refused($one->run([3, \$taken->{lists}[0][0]]), CONFLICT, qr/not any more/, undef, '... and the old one is void');
is_done($boss->run([3, \$late->{lists}[0][0]]), [[]], '... and the new one counts');

# The end of a session.
$boss->run([1, 'left behind', \5]);
$taken = $one->run([2, \60000]);
$wait = $boss->submit([2, \60000]);
$boss->receive;
$one->goodbye;
is($boss->late($wait)->{lists}[0][2], 'left behind', 'the job of a session that ends goes to who waits');
my $gone = $two->submit([2, \60000]);
$two->receive;
$two->goodbye;
is_done($boss->query([5]), [[0, 1, 1, 0]], 'who waits and goes is out of the line');

# Cancelling.
my $three = Client->new('jobs');
$wait = $three->submit([2, \60000]);
$three->receive;
$three->send(item(CANCEL, '', session => $three->{session}, sequence => $wait));
is($three->receive->{items}[0]{lists}[0][0], 0, 'who waits can withdraw');
is_done($boss->query([5]), [[0, 1, 1, 0]], '... and is out of the line');
$wait = $three->submit([1, 'a', \1], [2, \1000], [2, \1000]);
refused($three->receive->{items}[0], INVALID, qr/other operations stand in the request/, undef, 'one that would wait stands alone');
is_done($boss->query([5]), [[0, 1, 1, 0]], '... and what stood before it is undone');

# A worker that is killed.
my $worker = start({ notify => 0, name => 'worker' }, $^X, '-e', <<'END', endpoint('jobs'));
use ZMQ::FFI;
use ZMQ::FFI::Constants qw(:all);
my $context = ZMQ::FFI->new;
my $socket = $context->socket(ZMQ_DEALER);
$socket->connect($ARGV[0]);
sub item {
    my ($kind, $payload, %f) = @_;
    return pack 'L< C C S< Q< Q< Q< a*', 32 + length $payload, $kind, 0, 0, $f{session} // 0, $f{sequence} // 0, 0, $payload;
}
my @items = (item(2, pack 'C C L< a16 C q<', 2, 2, 16, $$, 1, 0),
    item(4, pack('S< C C q<', 2, 1, 1, 3600000), session => ~0, sequence => 1));
$socket->send('', ZMQ_SNDMORE);
$socket->send(pack('a4 C C S< Q< Q< Q<', 'SOLE', 1, 1, scalar @items, 1, 0, 0) . join '', @items);
sleep 1000;
END
$boss->run([1, 'of the dead', \9]);
ok((wait_until { $boss->query([5])->{lists}[0][1] == 2 }), 'a process takes a job for an hour');
$wait = $boss->submit([2, \60000]);
$boss->receive;
my $start = Time::HiRes::time();
$worker->signal('KILL');
is($boss->late($wait)->{lists}[0][2], 'of the dead', '... and is killed: its job goes to who waits');
cmp_ok(Time::HiRes::time() - $start, '<', seconds(5), '... at once, not when its time is up');
is($owner->stop, 0, 'the owner of the queue leaves well');

# ---- limiter ----

$owner = behaviour_owner('limiter', 'limits');
my $client = Client->new('limits');
refused($client->run([3, 'mail', \1]), CONFLICT, qr/configure it first/, undef, 'limiter: a bucket is configured first');
refused($client->run([1, 'mail', \-1, \5]), INVALID, qr/the rate is 0 to/, undef, 'a rate is not negative');
refused($client->run([1, 'mail', \1, \0]), INVALID, qr/the burst 1 to/, undef, 'nor a burst nothing');
is_done($client->run([1, 'mail', \0, \5], [3, 'mail', \3], [4, 'mail']), [[], [2], [0, 5, 2]], 'a bucket is full at first');
refused($client->run([3, 'mail', \3]), CONFLICT, qr/gains none/, undef, 'more than it holds is refused, and where it gains nothing, for ever');
refused($client->run([3, 'mail', \6]), INVALID, qr/gives 1 to 5 at once/, undef, 'more than its burst can never be');
is_done($client->run([3, 'mail', \2]), [[0]], 'what it holds is given');
is_done($client->run([1, 'mail', \1000, \5], [4, 'mail']), [[], [1000, 5, 0]], 'a bucket that is changed keeps what it holds');
ok((wait_until { $client->query([4, 'mail'])->{lists}[0][2] == 5 }), '... and fills up by its rate');
is_done($client->run([1, 'mail', \10, \5], [3, 'mail', \5]), [[], [0]], 'all at once');
my $refusal = $client->run([3, 'mail', \2]);
is($refusal->{code}, CONFLICT, 'too few tokens');
my $us = $refusal->{lists}[0][2];
ok($us > 0 && $us <= 200000, "... and how long to wait: $us microseconds of 200000 at the most");
Time::HiRes::usleep($us);
is($client->run([3, 'mail', \2])->{code}, OK, '... after which there are enough');
is_done($client->run([2, 'mail'], [2, 'mail']), [[1], [0]], 'a bucket is removed once');
is($owner->stop, 0, 'the owner of the limiter leaves well');

# ---- what is no behaviour ----

my $cc = $ENV{CC} || 'cc';
my $include = abs_path('owner/include');

sub build {
    my ($name, $text, $how) = @_;
    my $source = spew("$name.c", $text);
    my $to = path("$name.so");
    $how //= '-shared -fPIC';
    my $built = run({ limit => 60 }, '/bin/sh', '-c', "exec $cc $how -I'$include' -o '$to' '$source'");
    is($built->{status}, 0, "$name builds") or diag($built->{err});
    return $to;
}

# A behaviour of these rows of operations, and more members.
sub odd {
    my ($name, $rows, $more) = @_;
    return build($name, <<"END");
#include <sole/behaviour.h>
static int run(struct sole_call *call) { (void)call; return SOLE_OK; }
static void *create(struct sole_store *store) { return sole_store_map(store, "map"); }
static const struct sole_operation_entry operations[] = { $rows };
const struct sole_behaviour sole_behaviour = { .abi = SOLE_BEHAVIOUR_ABI, .name = "odd", .version = 1, .operations = operations,
    .operation_count = sizeof operations / sizeof *operations, .create = create, @{[$more // '']} };
END
}
my $row = '{ 1, SOLE_IS_QUERY, "get", "gets", { { 0 } }, { { 0 } }, run },';

# A whole object with these bytes in another place's stead.
my $whole = slurp(build('whole', 'int nothing_here;'));
sub patched { my ($name, $at, $bytes) = @_; return spew("$name.so", substr($whole, 0, $at) . $bytes . substr $whole, $at + length $bytes) }
mkdir path('folder.so') or die "no folder: $!\n";
POSIX::mkfifo(path('fifo.so'), 0600) or die "no fifo: $!\n";
my $no_object = qr/it is no shared object: build one with -shared -fPIC$/;
my $cut_short = qr/cannot load the behaviour: \S+: it ends before its code does: build or copy it again$/;
build('program', 'int main(void) { return 0; }', '-c');
rename path('program.so'), path('program.o') or die "no object: $!\n";
my $program = build('program', 'int main(void) { return 0; }', '-no-pie');
my @wrong = (
    ['', qr/the name of the behaviour's file is empty: give a shared object/, 'no name'],
    ['x' x 4095, qr/the path of the behaviour is too long/, 'a name longer than a path'],
    [path('nothing.so'), qr/cannot load the behaviour: .*nothing\.so: No such file/, 'a file that is not there'],
    [path('folder.so'), qr/folder\.so: it is a directory: give the shared object in it/, 'a directory'],
    [path('fifo.so'), qr/fifo\.so: it is no regular file: give a shared object/, 'a FIFO'],
    ['/dev/zero', qr{/dev/zero: it is no regular file}, 'a device'],
    [spew('void.so', ''), qr/void\.so: it is empty: build or copy it again/, 'an empty file'],
    [spew('text.so', "no object\n"), $no_object, 'a text'],
    [$program, $no_object, 'a program'],
    [path('program.o'), $no_object, 'an object file'],
    [patched('machine', 18, "\xff\xfe"), qr/it was built for another machine: build it on, or for, this one$/, 'an object for another machine'],
    [patched('class', 4, "\x07"), qr/for another machine/, 'an object of another word size'],
    [patched('order', 5, "\x07"), qr/for another machine/, 'an object of another byte order'],
    [patched('headers', 32, "\xff" x 8), $cut_short, 'headers that are nowhere'],
    [patched('sizes', 54, "\x07\0"), $no_object, 'headers of another size'],
    [build('empty', 'int nothing_here;'), qr/empty\.so defines no 'const struct sole_behaviour sole_behaviour'/, 'an object without a behaviour'],
    [build('undefined', "#include <sole/behaviour.h>\nint not_there(void);\nint use(void) { return not_there(); }\n"),
        qr/cannot load the behaviour: .*undefined symbol: not_there/, 'an object that calls what is not there'],
    [odd('abi', $row, '.abi = 7'), qr/abi\.so: it was built against another sole\/behaviour\.h: build it again/, 'another contract'],
    [odd('nameless', $row, '.name = "a b"'), qr/no name made of letters/, 'a behaviour without a proper name'],
    [odd('long', $row, '.name = "' . 'n' x 65 . '"'), qr/the name of the behaviour has more than 64 characters/, 'a behaviour of too long a name'],
    [odd('uncreated', $row, '.create = 0'), qr/no function to create it/, 'one that cannot be created'],
    [odd('half', $row, '.due = (int64_t (*)(void *))run'), qr/'due' and 'tick' of the behaviour go together/, 'one that is due and does not tick'],
    [odd('none', $row, '.operation_count = 0'), qr/has no operations/, 'one without operations'],
    [odd('twice', $row . '{ 1, SOLE_IS_QUERY, "put", "puts", { { 0 } }, { { 0 } }, run },'), qr/the operation 'put' has the number of another/, 'a number that is used twice'],
    [odd('again', $row . '{ 2, SOLE_IS_QUERY, "get", "gets", { { 0 } }, { { 0 } }, run },'), qr/the operation 'get' has the name of another/, 'a name that is used twice'],
    [odd('zero', '{ 0, SOLE_IS_QUERY, "get", "gets", { { 0 } }, { { 0 } }, run },'), qr/'get' has no number from 1 to 65000/, 'an operation without a number'],
    [odd('spaced', '{ 1, SOLE_IS_QUERY, "g t", "gets", { { 0 } }, { { 0 } }, run },'), qr/at place 0 of the table has no name made of/, 'an operation without a proper name'],
    [odd('idle', '{ 1, SOLE_IS_QUERY, "get", "gets", { { 0 } }, { { 0 } }, 0 },'), qr/'get' has no function or no line of help/, 'an operation that does nothing'],
    [odd('lists', '{ 1, SOLE_IS_QUERY, "get", "gets", { { "x", SOLE_FIELD_LIST } }, { { 0 } }, run },'), qr/'get' takes a list, and only results can be lists/, 'a list as an argument'],
    [odd('behind', '{ 1, SOLE_IS_QUERY, "get", "gets", { { "x", SOLE_FIELD_KEYS }, { "y", SOLE_FIELD_KEY } }, { { 0 } }, run },'), qr/takes arguments behind its keys/, 'arguments behind any number of keys'],
    [odd('many', '{ 1, SOLE_IS_QUERY, "get", "gets", { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 }, { "f", 1 }, { "g", 1 }, { "h", 1 }, { "i", 1 } }, { { 0 } }, run },'), qr/more fields than SOLE_FIELDS_MAX/, 'too many arguments'],
);
for (@wrong) {
    my ($file, $says, $title) = @$_;
    my $got = run('sole-owner', '--behaviour', $file, 'odd');
    is($got->{status}, 78, "$title: status 78");
    line_like($got->{err}, $says, '... and one line that says what is wrong');
    ok(!-e path('odd.sock'), '... before anything is made');
    $got = run('sole-check', $file);
    is($got->{status}, 78, '... and sole-check finds the same');
    line_like($got->{err}, $says, '... in the same words');
}

# What is copied just now is there in part: of no length is it mapped and died of.
$whole = slurp(program('queue.so'));
my ($size, @amiss) = length $whole;
for my $length (1 .. 4, 16, 63 .. 65, 500, (map { int $size * $_ / 24 } 1 .. 23), $size - 1) {
    my $file = spew('short.so', substr $whole, 0, $length);
    for my $command (['sole-owner', '--check-config', 'odd', '--behaviour'], ['sole-check']) {
        my $got = run(@$command, $file);
        push @amiss, "$command->[0], $length bytes: status " . ($got->{status} // 'none') . ", $got->{err}"
            if ($got->{status} // -1) != 78 || $got->{err} !~ ($length < 4 ? $no_object : $cut_short) || $got->{err} =~ /\n./;
    }
}
is("@amiss", '', "a file that was cut short, at whatever length of $size: status 78, and one line");
my $checked = run('sole-owner', '--behaviour', path('abi.so'), '--check-config', 'odd');
is($checked->{status}, 78, '--check-config looks at the behaviour, too');
$checked = run('sole-owner', '--behaviour', program('queue.so'), '--check-config', 'odd');
is($checked->{status}, 0, '... and is content with a sound one');
like($checked->{out}, qr/^behaviour = .*queue\.so$/m, '... which it names');
my $create = 'static void *many(struct sole_store *store) { static char names[17][3]; for (int i = 0; i < 17; i++) '
    . '{ names[i][0] = (char)(97 + i); sole_store_map(store, names[i]); } return store; }';
my $many = build('maps', slurp(path('abi.c')) =~ s/^(static const struct)/$create\n$1/mr =~ s/\.abi = 7/.create = many/r);
my $got = run('sole-owner', '--behaviour', $many, 'odd');
isnt($got->{status}, 0, 'a behaviour of more maps than may be is not run');
line_like($got->{err}, qr/more maps than a behaviour may have/, '... and told so');

done_testing;
