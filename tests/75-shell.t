# SPDX-License-Identifier: MIT
#
# `sole shell`: a person at a terminal, and a script in a pipe. Every subcommand and every operation on one
# connection, errors that end nothing, ^C that ends one request, a history, and completion.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Terminal;
use Sole::Test;
use Test::More;

my $owner = start_owner('inventory', '-q');
my $prompt = qr/^inventory> \z/m;

# The environment of a person whose home is the test's folder.
my %home = (HOME => path('home'), XDG_STATE_HOME => undef, EDITRC => undef);
mkdir path('home') or die "mkdir: $!\n";

sub at_terminal {
    my ($options, @arguments) = @_;
    my $terminal = Sole::Terminal->new({ rows => 24, columns => 80, env => \%home, %$options }, 'sole', 'shell', @arguments);
    ok($terminal->shows(sub { ($_[0]->lines)[($_[0]->cursor)[0]] =~ /^\S+>$/ && $_[0]->takes_keys }), 'the shell asks for a line');
    return $terminal;
}

# The screen as far as the cursor's line.
sub upper_part {
    my ($terminal) = @_;
    return join "\n", ($terminal->lines)[0 .. ($terminal->cursor)[0]];
}

# Keys that mean something to the terminal itself (Tab, ^C, Backspace) go wrong while a line runs: wait for is_back.

# The last line is the prompt alone again, below `line` (or "^C"): it has been dealt with.
sub is_back {
    my ($terminal, $title, $line) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $line = quotemeta(($line // $terminal->{asked}) =~ s/ +\z//r);
    ok($terminal->shows(sub { upper_part($_[0]) =~ /\Qinventory> \E$line\n(?:.*\n)*inventory>\z/ && $_[0]->takes_keys }), $title);
}

# Types a line, which is not yet on the screen.
sub ask {
    my ($terminal, $line) = @_;
    $terminal->enter($terminal->{asked} = $line);
}

# ... and waits until it runs.
sub ask_for_long {
    my ($terminal, $line) = @_;
    ask($terminal, $line);
    $terminal->shows(sub { upper_part($_[0]) =~ /\Qinventory> $line\E\n\z/ });
}

sub counter {
    my ($name) = @_;
    my ($value) = run('sole', 'status', '-o', 'inventory')->{out} =~ /^$name: +(\d+)$/m;
    return $value;
}

# ---- a script in a pipe ----

my $script = run({ input => <<'EOS', env => \%home }, 'sole', 'shell', '-o', 'inventory');
# a comment, and an empty line

put apples 12
get apples
get nothing
frobnicate
get
get apples --frob
put "my key" "a \"b\""
get my\ key
add apples -2
try-lock stock
holder stock
txn "check apples 10" "put pears 3"
get pears -j
get pears -o other
put k -
put k "unclosed
EOS
is($script->{status}, 64, 'a script goes on after a line that fails, and its status is that of the last one that did');
my @out = split /\n/, $script->{out};
is($out[0], '12', 'a subcommand prints what it prints elsewhere');
is($out[1], 'a "b"', 'words in quotes are split as txn splits them');
is($out[2], '10', 'a number below zero is an operand');
like($out[3], qr/^\d+$/, 'a word that is no subcommand is an operation of the owner');
is($out[4] =~ s/\d+/N/r, "session\tN", 'what it took for the session it has in the next line');
is($out[5], "token\t$out[3]", '... with the same token: it is one session');
like($script->{out}, qr/^check\nput\t0\n3\n\z/m, 'txn and options work');
my @err = split /\n/, $script->{err};
my @told = (
    qr/^sole: not found: there is no key 'nothing'$/,
    qr/no-operation: the owner has no operation 'frobnicate'/,
    qr/something is missing: usage: sole get KEY/,
    qr/option '--frob' is not known/,
    qr/a shell asks one owner: leave out --owner/,
    qr/'-' is standard input, .*: give the value itself/,
    qr/^sole: a quote is not closed/,
);
is(scalar @err, scalar @told, 'each line that failed is told in one line') or diag($script->{err});
like($err[$_], $told[$_], '... which says what is wrong') for 0 .. $#told;
ok(!-e path('home/.local'), 'a script leaves no history');

for (['exit', 0], ['quit', 0], ["get apples\nexit\nget nothing", 0], ["get nothing\nexit", 1], ['get apples', 0], ['', 0]) {
    my ($input, $status) = @$_;
    is(run({ input => $input, env => \%home }, 'sole', 'shell', '-o', 'inventory')->{status}, $status, '"' . $input =~ s/\n/; /gr . "\" ends with $status");
}
is(run({ input => 'shell', env => \%home }, 'sole', 'shell', '-o', 'inventory')->{status}, 64, 'there is no shell in a shell');
line_like(run({ input => 'x' x (3 << 20) . "\nget apples\n", env => \%home }, 'sole', 'shell', '-o', 'inventory')->{err},
    qr/too long to be a command/, 'a line without an end is told, and skipped');
is(run({ input => "get apples\n", stdout => '/dev/full', env => \%home }, 'sole', 'shell', '-o', 'inventory')->{status}, 74,
    'output that cannot be written ends it');
line_like(run({ input => '', env => \%home }, 'sole', 'shell')->{err}, qr/no owner and no endpoint/, 'without an owner it says so');

# ---- every subcommand ----

# Those that need no operand, but for what goes on until somebody ends it or asks for standard input.
my %goes_on = map { $_ => 1 } qw(shell help doctor txn watch top trace);
my @plain = grep { !$goes_on{$_} } run('sole', '--help-all')->{out} =~ /^  ([a-z-]+)(?: \[.*?\])?  +[A-Z]/mg;
cmp_ok(scalar @plain, '>=', 6, "commands without an operand: @plain");
my $every = run({ input => join("\n", 'try-lock stock', @plain, 'holder stock'), env => \%home }, 'sole', 'shell', '-o', 'inventory');
is($every->{status}, 0, 'each of them works in the shell') or diag($every->{err});
my ($token) = $every->{out} =~ /\A(\d+)\n/;
like($every->{out}, qr/^token\t$token$/m, '... and leaves its connection and session as they were');

# ---- one connection ----

my $before = counter('sessions');
my $piped = start({ stdin => 'pipe', env => \%home }, 'sole', 'shell', '-o', 'inventory');
$piped->say("lock counter\nget apples\nput apples 1\n");
ok($piped->wait_output(out => qr/^\d+\n10\n\z/), 'a lock is held by the shell');
is(run('sole', 'lock', '--try', '-o', 'inventory', 'counter', '--', 'true')->{status}, 1, '... and by nobody else');
is(counter('sessions'), $before + 1, '... in one session, of however many commands');
$piped->say("lock other -- sh -c 'echo token \$SOLE_TOKEN'\n");
ok($piped->wait_output(out => qr/^token \d+$/m), 'lock runs a command in the shell, too');
$piped->say("watch --count 1 app\n");
ok(wait_until { run('sole', 'status', '-o', 'inventory')->{out} =~ /^watches: +1$/m }, 'a watch is held over the same connection');
run('sole', 'put', '-o', 'inventory', 'apples', '2');
ok($piped->wait_output(out => qr/^put\tapples\t2\n\z/m), '... and prints');
$piped->say("count\n");
ok($piped->wait_output(out => qr/^\d+\n\z/m), '... and ends, and the next line has its turn');
ok(wait_until { run('sole', 'status', '-o', 'inventory')->{out} =~ /^watches: +0$/m }, '... and the owner has forgotten it');
$piped->close_input;
is($piped->finish, 0, 'the end of the pipe ends it');
is(run('sole', 'lock', '--try', '-o', 'inventory', 'counter', '--', 'true')->{status}, 0, '... and lets the lock go at once');

# ---- a person ----

my $terminal = at_terminal({}, '-o', 'inventory');
like($terminal->text, qr/help tells what can be asked/, 'a person is told where to begin');
ask($terminal, 'get apples');
ok($terminal->shows(qr/^inventory> get apples\n2\ninventory>$/m), 'an answer stands below its line');
ask($terminal, 'frob');
ok($terminal->shows(qr/no-operation/), 'an error is shown');
is_back($terminal, '... and the shell goes on');
ask($terminal, 'help');
ok($terminal->shows(qr/Ctrl-D\s+leaves/), 'help fits on the screen');
ask($terminal, 'help count');
ok($terminal->shows(qr/Usage: sole count/), 'help of a subcommand');
is_back($terminal, '... does not end the shell');
ask($terminal, 'help holder');
ok($terminal->shows(qr/session and token of a lock's holder/), '... and of an operation');
ask($terminal, 'put ghost 1 --for 1h');
is_back($terminal, 'options work');
$terminal->type('get applesss');
$terminal->key('Backspace', 'Backspace');
$terminal->key('Home', 'Right', 'Right', 'Right');
$terminal->type(' ');
$terminal->key('Enter');
ok($terminal->shows(qr/^inventory> get  apples\n2\ninventory>$/m), 'a line is edited');
is_back($terminal, '... and run', 'get  apples');
$terminal->key('Up', 'Up', 'Enter');
ok($terminal->shows(qr/(?:put ghost 1 --for 1h.*){2}/s), 'lines before it come back');
is_back($terminal, '... and run again', 'put ghost 1 --for 1h');
$terminal->type("get na\xc3\xafve");
$terminal->key('Backspace', 'Backspace', 'Backspace');
ok($terminal->shows(qr/^inventory> get na$/m), 'a character of two bytes is one to the cursor');
$terminal->key('Ctrl-C');
is_back($terminal, '^C drops a line', 'get na');
unlike($terminal->text, qr/not found: .*na/, '... which is not run');

# ^C ends a request, not the shell
my $other = start({ stdin => 'pipe', env => \%home }, 'sole', 'shell', '-o', 'inventory', '-t', '0');
$other->say("lock door\n");
ok($other->wait_output(out => qr/^\d+$/m), 'somebody else holds a lock');
ask($terminal, 'lock door -t 0');
ok(wait_until { run('sole', 'call', '-o', 'inventory', 'holder', 'door')->{out} =~ /^waiting\t1$/m }, 'a request waits');
$terminal->key('Ctrl-C');
ok($terminal->shows(qr/^sole: refused: cancelled/m), '^C withdraws it');
is_back($terminal, '... and the shell goes on');
like(run('sole', 'call', '-o', 'inventory', 'holder', 'door')->{out}, qr/^waiting\t0$/m, '... and nobody waits at the owner any more');
ask($terminal, 'watch');
ok(wait_until { run('sole', 'status', '-o', 'inventory')->{out} =~ /^watches: +1$/m }, 'a watch listens');
$terminal->key('Ctrl-C');
is_back($terminal, '^C ends it');
ask($terminal, 'lock door -- true');
ok(wait_until { run('sole', 'call', '-o', 'inventory', 'holder', 'door')->{out} =~ /^waiting\t1$/m }, 'lock with a command waits');
$terminal->key('Ctrl-C');
ok($terminal->shows(qr/cancelled.*\n.*cancelled/s), '^C withdraws it as well');
is_back($terminal, '... and the shell goes on');
$other->close_input;
is($other->finish, 0, 'the other one leaves');

# What takes the terminal over
$terminal->enter('top');
ok($terminal->shows(qr/\bOPERATION\b/), 'top has the screen');
$terminal->type('q');
ok($terminal->shows(sub { upper_part($_[0]) =~ /inventory>\z/ && $_[0]->takes_keys }), '... and gives it back');
ask_for_long($terminal, 'trace --operation get-many');
ok(wait_until { run('sole', 'status', '-o', 'inventory')->{out} =~ /^traces: +1$/m }, 'trace listens');
$terminal->key('Ctrl-C');
is_back($terminal, '... until ^C, and the shell goes on');

# The owner goes and comes
ask($terminal, 'try-lock door');
is_back($terminal, 'a lock is taken');
$owner->stop('KILL');
ask_for_long($terminal, 'get apples -t 0');
$terminal->key('Ctrl-C');
ok($terminal->shows(qr/get apples -t 0\n.*refused: cancelled/s), '^C ends the wait for an owner that is not there');
ask_for_long($terminal, 'ping -t 0');
$terminal->key('Ctrl-C');
ok($terminal->shows(qr/ping -t 0\n.*refused: cancelled/s), '... and for its ping');
$owner = start_owner('inventory', '-q');
ok($terminal->shows(qr/the session is lost/), 'a person who types nothing hears that another owner runs');
ask($terminal, 'put apples 5');
is_back($terminal, 'another owner is found');
ask($terminal, 'get apples');
ok($terminal->shows(qr/^5\ninventory>$/m), '... by the same shell');

# Size
$terminal->resize(24, 20);
$terminal->type('put apples 1234567890123');
ok($terminal->shows(qr/^inventory> put apple\ns 1234567890123$/m), 'a narrower terminal wraps the line where it ends now');
$terminal->key('Ctrl-C');
ok($terminal->shows(sub { upper_part($_[0]) =~ /\ninventory>\z/ && $_[0]->takes_keys }), '... and goes on');
$terminal->resize(24, 80);

$terminal->key('Ctrl-D');
is($terminal->finish, 0, '^D leaves, with status 0');
is_deeply($terminal->{screen}{unknown}, [], 'what it wrote is what terminals understand');

# ---- history ----

my $file = path('home/.local/state/sole/history');
like(slurp($file), qr/^get\\040apples$/m, 'the history stands in the folder for state');
is((stat $file)[2] & 0777, 0600, '... for nobody else to read');
is((stat path('home/.local/state/sole'))[2] & 0777, 0700, '... in a folder for nobody else');
$terminal = at_terminal({ env => { %home, XDG_STATE_HOME => path('state') } }, '-o', 'inventory');
ask($terminal, ' put secret 1');
is_back($terminal, 'a line that begins with a blank runs');
ask($terminal, 'count');
is_back($terminal, '... and so does the next one');
my $second = at_terminal({ env => { %home, XDG_STATE_HOME => path('state') } }, '-o', 'inventory');
ask($second, 'get first');
is_back($second, 'two shells at once');
ask($terminal, 'get second');
is_back($terminal, '... keep what each was told');
$terminal->signal('HUP');
$terminal->finish;
is($terminal->{signal}, 1, 'a terminal that is gone ends it');
$second->key('Ctrl-D');
$second->finish;
my $kept = slurp(path('state/sole/history'));
like($kept, qr/\A_HiStOrY_V2_\ncount\nget\\040first\nget\\040second\n\z/, '$XDG_STATE_HOME is heeded, the blank too, and nobody overwrites anybody');
$terminal = at_terminal({ env => { %home, XDG_STATE_HOME => path('state') } }, '-o', 'inventory');
$terminal->key('Up', 'Up', 'Enter');
is_back($terminal, 'the next shell has the lines of all before it', 'get first');
$terminal->key('Ctrl-R');
$terminal->type('cou');
$terminal->key('Enter');
ok($terminal->shows(qr/^\d+\ninventory>$/m), '^R finds one');
$terminal->key('Ctrl-D');
$terminal->finish;
spew(path('state/sole/history'), "_HiStOrY_V2_\n" . join '', map {"get\\040k$_\n"} 1 .. 4500);
$terminal = at_terminal({ env => { %home, XDG_STATE_HOME => path('state') } }, '-o', 'inventory');
is(slurp(path('state/sole/history')) =~ tr/\n//, 1001, 'a long history is cut to its last thousand lines');
$terminal->key('Up');
ok($terminal->shows(qr/get k4500/), '... the last ones');
$terminal->key('Ctrl-C');
is_back($terminal, '... and may be dropped', 'get k4500');
$terminal->key('Ctrl-D');
$terminal->finish;
chmod 0500, path('state/sole');
chmod 0400, path('state/sole/history');
SKIP: {
    skip 'root may write everywhere', 2 if $> == 0;
    $terminal = at_terminal({ env => { %home, XDG_STATE_HOME => path('state') } }, '-o', 'inventory');
    ask($terminal, 'count');
    ok($terminal->shows(qr/the history is not kept: cannot write/), 'a history that cannot be written is told');
    is_back($terminal, '... once');
}
$terminal = at_terminal({ env => { %home, XDG_STATE_HOME => '/proc/nowhere' } }, '-o', 'inventory');
ask($terminal, 'count');
ok($terminal->shows(qr/the history is not kept: cannot write/), 'a history without a place is told');
ask($terminal, 'get apples');
is_back($terminal, '... and the shell works');
like($terminal->text, qr/get apples\n5\n/, '... as it should');
is(() = $terminal->text =~ /history is not kept/g, 1, '... told once');
$terminal->key('Ctrl-D');
$terminal->finish;

# ---- completion ----

# On a busy machine an owner may take longer than completion waits: who is offered nothing asks again.
sub completes {
    my ($typed, $condition, $title) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $met = ref $condition eq 'CODE' ? sub { $condition->($terminal) } : sub { $terminal->text =~ $condition };
    $terminal->type($typed);
    for (1 .. 20) {
        last if wait_until { $met->() } 1;
        $terminal->type("\t");
    }
    ok($terminal->shows($condition), $title);
}

run('sole', 'put', '-o', 'inventory', $_, '1') for 'apricots', 'user/ann', 'user/bob', 'with blank';
run('sole', 'put', '-o', 'inventory', 'apples', '1');
$terminal = at_terminal({}, '-o', 'inventory');
my $sessions = counter('sessions');
completes("restar\t", qr/^inventory> restart$/m, 'Tab completes a subcommand');
$terminal->key('Ctrl-C');
is_back($terminal, '... and it may be dropped', 'restart ');
completes("get us\t", qr{^inventory> get user/$}m, '... and a key as far as it is clear');
completes("\t", qr{^user/ann +user/bob\ninventory> get user/$}m, '... and lists how it may go on');
completes("b\t", sub { $_[0]->line(($_[0]->cursor)[0]) eq 'inventory> get user/bob' && ($_[0]->cursor)[1] == 24 }, '... and ends it with a blank');
$terminal->key('Enter');
ok($terminal->shows(qr{^inventory> get user/bob\n1\ninventory>$}m), '... and the line runs');
is_back($terminal, '... and the shell goes on', 'get user/bob');
completes("get wi\t", qr{^inventory> get with\\ blank$}m, 'a key with a blank is completed');
$terminal->key('Enter');
ok($terminal->shows(qr{^inventory> get with\\ blank\n1\ninventory>$}m), 'a key with a blank is quoted');
is_back($terminal, '... and the shell goes on', 'get with\\ blank');
completes("hol\t", qr/^inventory> holder$/m, 'an operation of the owner is completed');
$terminal->key('Ctrl-C');
is_back($terminal, '... and dropped', 'holder');
completes("revision apr\t", qr/^inventory> revision apricots$/m, '... and its key is');
$terminal->key('Enter');
ok($terminal->shows(qr/^inventory> revision apricots\nvalue\t?\s*1$/m), '... which is run');
is_back($terminal, '... and the line runs', 'revision apricots');
completes("put --if-a\t", qr/^inventory> put --if-absent$/m, 'an option is completed');
$terminal->key('Ctrl-C');
is_back($terminal, '... and dropped', 'put --if-absent');
$terminal->type("get nothing-like-it\t");
ok(wait_until { $terminal->look; $terminal->{screen}{bells} > 0 }, 'the bell rings where there is nothing');
$terminal->key('Ctrl-C');
is_back($terminal, '... and nothing is changed', 'get nothing-like-it');
is(counter('sessions'), $sessions, 'completion opens no session');
ask($terminal, 'exit');
is($terminal->finish, 0, 'exit leaves');

is($owner->stop, 0, 'the owner leaves in order');
done_testing;
