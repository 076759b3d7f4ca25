# SPDX-License-Identifier: MIT
#
# sole-check: behaviours that keep the contract pass, each way of breaking it is found, and what is
# found can be seen again.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use Cwd qw(abs_path);
use Test::More;

my $cc = $ENV{CC} || 'cc';
my $include = abs_path('owner/include');

# Builds NAME.so of this text; returns its path.
sub build {
    my ($name, $text) = @_;
    my $source = spew("$name.c", $text);
    my $to = path("$name.so");
    my $built = run({ limit => 60 }, '/bin/sh', '-c', "exec $cc -Wall -shared -fPIC -I'$include' -o '$to' '$source'");
    is($built->{status}, 0, "$name builds") or diag($built->{err});
    return $to;
}

sub check { return run({ limit => 300 }, 'sole-check', @_) }

# ---- what keeps it ----

for my $file ('table', map { program("$_.so") } qw(ledger queue limiter)) {
    my $checked = check('--seed', 1, '--runs', 30, $file);
    my $name = $file =~ s{.*/}{}r;
    is($checked->{status}, 0, "$name keeps the contract") or diag($checked->{err});
    like($checked->{out}, qr/30 runs of 1000 steps from seed 1 on, and nothing found/, '... and says what was tried');
}
my $queue = check('--seed', 1, '--runs', 30, program('queue.so'));
my ($done, $waited, $late) = $queue->{out} =~ /(\d+) done, \d+ refused, (\d+) waited \((\d+) answered late/;
cmp_ok($done // 0, '>', 1000, 'random input reaches what a queue does');
cmp_ok($late // 0, '>', 10, '... also what it answers late');

# ---- what does not ----

# A sound behaviour with places for faults: FILE-scope text, the body of `set`, of `get`, and more of the table.
sub behaviour {
    my (%part) = @_;
    $part{$_} //= '' for qw(top set get invariant more hooks);
    return <<"END";
#include <sole/behaviour.h>
#include <stdlib.h>
#include <string.h>
struct state { struct sole_map *map, *sums, *line; int64_t calls; };
$part{top}
static int run_set(struct sole_call *call)
{
    struct state *state = sole_call_context(call);
    struct sole_value key = sole_argument(call, 0), value = sole_argument(call, 1), old = sole_integer(0), sum = old;
    (void)state;
    if (value.integer < 0 || value.integer > 1000000)
        return sole_refuse(call, SOLE_INVALID, "0 to 1000000");
    $part{set}
    sole_map_get(state->map, key, &old);
    sole_map_get(state->sums, sole_text("sum"), &sum);
    sole_map_put(state->map, key, value);
    sole_emit(call, "set", key, value);
    return sole_map_put(state->sums, sole_text("sum"), sole_integer(sum.integer - old.integer + value.integer));
}
static int run_get(struct sole_call *call)
{
    struct state *state = sole_call_context(call);
    struct sole_value value = sole_none();
    $part{get}
    sole_map_get(state->map, sole_argument(call, 0), &value);
    sole_answer(call, value);
    return SOLE_OK;
}
static const char *invariant(void *context)
{
    struct state *state = context;
    struct sole_value key = sole_none(), value, sum = sole_integer(0);
    int64_t total = 0;
    $part{invariant}
    while (sole_map_seek(state->map, key, 1, &key, &value))
        total += value.integer;
    sole_map_get(state->sums, sole_text("sum"), &sum);
    return total == sum.integer ? NULL : "the sum is not that of the values";
}
static void *create(struct sole_store *store)
{
    struct state *state = calloc(1, sizeof *state);
    state->map = sole_store_map(store, "map");
    state->sums = sole_store_map(store, "sums");
    state->line = sole_store_map(store, "line");
    return state;
}
static const struct sole_operation_entry operations[] = {
    { 1, SOLE_IS_COMMAND, "set", "sets", { { "key", SOLE_FIELD_KEY }, { "value", SOLE_FIELD_INTEGER } }, { { 0 } }, run_set },
    { 2, SOLE_IS_QUERY, "get", "gets", { { "key", SOLE_FIELD_KEY } }, { { "value", SOLE_FIELD_OPTIONAL } }, run_get },
    $part{more}
};
const struct sole_behaviour sole_behaviour = {
    .abi = SOLE_BEHAVIOUR_ABI, .name = "trial", .version = 1, .operations = operations,
    .operation_count = sizeof operations / sizeof *operations, .create = create, .destroy = free, .invariant = invariant,
    $part{hooks}
};
END
}

my $sound = check('--seed', 1, '--runs', 20, build('sound', behaviour()));
is($sound->{status}, 0, 'the behaviour that the faults are put into is sound') or diag($sound->{err});

# name => what is found, parts
my @faults = (
    ['a variable that outlives the call' => qr/differs? between two runs of the same input/,
        top => 'static int64_t calls;', set => 'value.integer += ++calls % 3;'],
    ['a variable that only queries change' => qr/differs? (between two runs|when only what was recorded)/,
        top => 'static int64_t asked;', get => 'asked++;', set => 'if (asked % 2) value.integer = 7;'],
    ['state beside the maps that a refusal does not undo' => qr/differs? when only what was recorded is run/,
        set => 'if (++state->calls % 5 == 0) return SOLE_CONFLICT; value.integer += state->calls % 5;'],
    ['an answer made of an address' => qr/the reply differs between two runs/,
        get => 'if (sole_map_get(state->map, sole_argument(call, 0), &value)) { sole_answer(call, sole_integer((int64_t)(uintptr_t)'
            . 'state->map)); return SOLE_OK; }'],
    ['an order of addresses' => qr/(the state|the events) differs? /,
        top => 'static uintptr_t place(struct state *s, const char *k) { struct sole_value a, b; return sole_map_seek(s->map, '
            . 'sole_text(k), 0, &a, &b) ? (uintptr_t)a.bytes : 0; }',
        set => 'if (place(state, "k1") > place(state, "k2")) value = sole_integer(5);'],
    ['a query that writes' => qr/get is a query and changed something/,
        get => 'sole_map_put(state->map, sole_argument(call, 0), sole_integer(0));'],
    ['a query that tells watchers' => qr/get is a query and changed something/,
        get => 'sole_emit(call, "get", sole_argument(call, 0), value);'],
    ['a query that takes a token' => qr/get is a query and changed something/, get => 'sole_call_token(call);'],
    ['an overrun that goes on' => qr/went on when sole_checkpoint had refused/, set => 'for (int i = 0; i < 20; i++) sole_checkpoint(call);'],
    ['a loop that counts no work' => qr/a loop does not count its work/,
        get => 'struct sole_value k = sole_none(), v; while (sole_map_seek(state->map, k, 1, &k, &v)) {}'],
    ['an invariant that does not hold' => qr/the invariant does not hold: the sum is not that of the values/,
        set => 'if (value.integer == 9) return sole_map_put(state->map, key, value);'],
    ['an invariant that writes' => qr/the invariant changes the state/,
        invariant => 'sole_map_put(state->map, sole_text("seen"), sole_integer(0));'],
    ['a code that is the owner\'s' => qr/returned the code 6, which is none that an operation may return/,
        set => 'if (value.integer == 9) return SOLE_BUSY;'],
    ['a code that does not exist' => qr/returned the code -1/, set => 'if (value.integer == 9) return -1;'],
    ['results that the table does not tell' => qr/get answers 2 results, and its table says 1/, get => 'sole_answer(call, sole_none());'],
    ['a list that does not end' => qr/get began a list and did not end it/, get => 'sole_answer_list(call);'],
    ['waiting where it may not' => qr/set waits and sole_later had refused|a query and changed/, set => 'return SOLE_WAITING;'],
    ['an end of a session that is refused' => qr/refused by the behaviour, which nobody hears/,
        top => 'static int ended(struct sole_call *call) { return sole_refuse(call, SOLE_CONFLICT, "no"); }',
        hooks => '.session_ended = ended,'],
    ['a line that nobody leaves' => qr/answers a request that does not wait any more/,
        top => 'static int later(struct sole_call *call) { struct state *state = sole_call_context(call); uint64_t s = sole_call_session(call);'
            . ' sole_map_put(state->line, SOLE_NUMBERS((uint64_t)sole_call_token(call)), SOLE_NUMBERS(s, sole_call_sequence(call)));'
            . ' return sole_later(call); }'
            . ' static void serve(struct sole_call *call) { struct state *state = sole_call_context(call); struct sole_value key, who;'
            . ' if (!sole_map_seek(state->line, sole_none(), 0, &key, &who)) return;'
            . ' uint64_t s = sole_number(who, 0), n = sole_number(who, 1); sole_map_remove(state->line, key); sole_answer_later(call, s, n, 0, 0); }',
        set => 'serve(call);', more => '{ 3, SOLE_IS_COMMAND, "wait", "waits", { { 0 } }, { { 0 } }, later },'],
    ['a crash' => qr/set .*: it crashes \(a bad address\)/, set => 'if (value.integer == 9) *(volatile int *)8 = 1;'],
    ['an operation that never returns' => qr/set .*: it does not come back/, set => 'while (value.integer == 9) {}'],
);
my $number = 0;
for (@faults) {
    my ($title, $says, %part) = @$_;
    my $file = build('bad' . ++$number, behaviour(%part));
    my $checked = check('--seed', 1, '--limit', '2s', $file);
    is($checked->{status}, 1, "$title: found");
    line_like($checked->{err}, qr/seed \d+.*$says/, '... and told in a line');
    next if $title =~ /order of addresses/;    # which no seed brings back
    my ($seed) = $checked->{err} =~ /seed (\d+)/;
    my $again = check('--seed', $seed // 0, '--limit', '2s', $file);
    is($again->{err} =~ s/\d+ times/n times/gr, $checked->{err} =~ s/\d+ times/n times/gr, '... and seen again with its seed');
}

# ---- what it must not call ----

my %calls = (
    'time' => ['#include <time.h>', '(int64_t)time(NULL)', qr/a clock \(take sole_call_now\)/],
    'clock_gettime' => ['#include <time.h>', '({ struct timespec t; clock_gettime(0, &t); (int64_t)t.tv_sec; })', qr/a clock/],
    'rand' => ['', 'rand()', qr/randomness/],
    'getrandom' => ['#include <sys/random.h>', '(int64_t)getrandom(&old, 1, 0)', qr/randomness/],
    'getenv' => ['', 'getenv("HOME") != NULL', qr/the environment/],
    'getpid' => ['#include <unistd.h>', 'getpid()', qr/the environment/],
    'open' => ['#include <fcntl.h>', 'open("/dev/null", 0)', qr/input or output/],
    'socket' => ['#include <sys/socket.h>', 'socket(1, 1, 0)', qr/input or output/],
    'printf' => ['#include <stdio.h>', 'printf("%d", 1)', qr/input or output/],
    'usleep' => ["#include <unistd.h>\nint usleep(unsigned);", 'usleep(1)', qr/waiting/],
    'pthread_mutex_trylock' => ['#include <pthread.h>', 'pthread_mutex_trylock((pthread_mutex_t *)state)', qr/threads/],
    'exit' => ['', '(exit(1), 1)', qr/the end of the owner/],
);
for my $call (sort keys %calls) {
    my ($top, $expression, $says) = @{ $calls{$call} };
    my $file = build("calls-$call", behaviour(top => $top, set => "if (value.integer == -5) value.integer = $expression;"));
    my $checked = check($file);
    is($checked->{status}, 1, "a behaviour that calls $call: found, although it never does");
    line_like($checked->{err}, qr/it calls $call: $says/, '... and told what it is');
}
my $fine = build('fine', behaviour(
    top => "#include <stdio.h>\nstatic int order(const void *a, const void *b) { return memcmp(a, b, 1); }",
    set => 'char text[32]; snprintf(text, sizeof text, "%lld", (long long)value.integer); char *copy = strdup(text);'
        . 'qsort(copy, strlen(copy), 1, order); value.integer = strtoll(copy, NULL, 10); free(copy);'));
my $checked = check('--seed', 1, '--runs', 10, $fine);
is($checked->{status}, 0, 'memory, sorting and text are no sins') or diag($checked->{err});

# ---- what cannot be tried ----

my $none = check();
is($none->{status}, 64, 'without a file: status 64');
line_like($none->{err}, qr/give a shared object; see sole-check --help/, '... and a line that says what to do');
my $missing = check(path('missing.so'));
is($missing->{status}, 78, 'a file that is not there: status 78');
line_like($missing->{err}, qr/missing\.so.*No such file/, '... and a line that says so');

done_testing;
