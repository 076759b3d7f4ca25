# SPDX-License-Identifier: MIT
#
# Looking at a state's folder without an owner, or beside one: --verify, --repair, --dump, --log, --replay,
# --restore, --import; what each says, what each refuses, and what is left of a folder that was damaged.
use strict;
use warnings;
use lib 'tests/lib';
use JSON::PP;
use Sole::Test;
use Test::More;

my @small = ('--journal-segment', '64K');

sub owner { my ($name, @more) = @_; return start_owner('--state', path($name), @small, @more, $name) }
sub sole { my ($name, @arguments) = @_; return run('sole', '-o', $name, @arguments) }
sub inspect { return run('sole-owner', @_) }
sub copy { my ($from, $to) = @_; system('cp', '-r', path($from), path($to)) == 0 or die "cp\n"; return path($to) }
sub files { my ($name) = @_; return map { s{.*/}{}r } glob path("$name/*") }
sub segments { return grep { /^journal-[0-9a-f]{16}$/ } files(@_) }
sub snapshots { return grep { /^snapshot-[0-9a-f]{16}$/ } files(@_) }
sub dump_of { my ($name, @more) = @_; return inspect('--dump', path($name), @more)->{out} }

# Changes bytes of a file: "" takes them for zeros.
sub damage {
    my ($file, $offset, $size) = @_;
    my $bytes = slurp($file);
    substr($bytes, $offset, $size) ^= "\x40" x $size;
    spew($file, $bytes);
}

# The state without what changes with each history.
sub entries { return join '', grep { /^["m]/ } split /^/m, $_[0] }

# ---- a life: three owners, the last of which is killed ----

my $first = owner('inv');
sole('inv', 'put', "k$_", $_) for 1 .. 5;
sole('inv', 'put', 'note', "two\nlines \"\xff\"");
is(sole('inv', 'cas', 'k1', '99', '5')->{status} != 0, 1, 'a command that is refused');
my $early = dump_of('inv');
like($early, qr/\Asole-text 1\nbehaviour table \d+\nhistory [0-9a-f]{16}\nrevision \d+\ntime \S+Z\ntoken \d+\n/,
    '--dump beside a running owner begins with its head');
like($early, qr/^map "table"\n"k1" 1 @\d+\n(?:"k\d" \d @\d+\n){4}"note" "two\\nlines \\"\\xff\\"" @\d+\nend\n\z/m,
    '... and has the entries, escaped, in order');
my $beside = inspect('--verify', path('inv'));
is($beside->{status}, 0, '--verify beside a running owner');
like($beside->{out}, qr/^behaviour table, version \d+, incarnation 1\nhistory .*^OK$/ms, '... finds it sound');
my $locked = inspect('--repair', path('inv'));
is($locked->{status}, 69, '--repair beside a running owner: status 69');
line_like($locked->{err}, qr/is in use by process @{[$first->pid]}: stop it first/, '... and names it');
$first->stop;
is(scalar(snapshots('inv')), 1, 'a clean end leaves a snapshot');
my ($revision_early) = dump_of('inv') =~ /^revision (\d+)$/m;

my $second = owner('inv');
sole('inv', 'put', sprintf('big%02d', $_), 'x' x 2000) for 1 .. 45;
$second->stop;
my ($revision_second) = dump_of('inv') =~ /^revision (\d+)$/m;
my $third = owner('inv');
sole('inv', 'put', "late$_", 'y' x 900) for 1 .. 4;
$third->stop('KILL');
is(scalar(snapshots('inv')), 2, 'two snapshots');
cmp_ok(scalar(segments('inv')), '>=', 2, 'segments of the journal');
my $whole = dump_of('inv');
my ($revision) = $whole =~ /^revision (\d+)$/m;

# ---- what there is ----

my $sound = inspect('--verify', path('inv'));
is($sound->{status}, 0, '--verify of a sound folder: status 0');
like($sound->{out}, qr/^snapshot-[0-9a-f]{16}: sound: revision $revision_early, round \d+, 6 entries, 0 sessions/m,
    '... tells the snapshots');
like($sound->{out}, qr/^journal: \d+ segments, .* rounds 1 to \d+, \d+ records, revisions 0 to $revision, 20\S+Z to 20\S+Z$/m,
    '... and the journal');
like($sound->{out}, qr/^OK\n\z/m, '... and ends with OK');
is($sound->{err}, '', '... and nothing on standard error');
my $nothing = inspect('--repair', path('inv'));
is("$nothing->{status} $nothing->{out}", "0 nothing is wrong, and nothing was changed\n", '--repair of it changes nothing');

# ---- looking back ----

is(entries(dump_of('inv', '--at', $revision_early)), entries($early), '--dump --at shows the state as it was');
is(dump_of('inv', '--at', $revision), $whole, '--at the last revision: the state as it is');
like(dump_of('inv', '--at', $revision_second - 1), qr/^revision @{[$revision_second - 1]}$/m, '--at one in between');
my ($history) = $whole =~ /^(history .*)$/m;
like(dump_of('inv', '--at', $revision_early), qr/^\Q$history\E$/m, '... and of which history');
my $future = inspect('--dump', path('inv'), '--at', $revision + 1);
is($future->{status}, 65, '--at a revision that has not been: status 65');
line_like($future->{err}, qr/has not come to revision @{[$revision + 1]}: it is at $revision/, '... and which it is at');
is(inspect('--export', path('inv'))->{out}, $whole, '--export is --dump');

my @log = split /^/m, inspect('--log', path('inv'))->{out};
my $time = qr/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/;
like($log[0], qr/^$time 0 start incarnation=1 behaviour=table version=\d+$/, '--log begins with the first start');
like($log[1], qr/^$time 1 open session=\d+ uid=$> pid=\d+$/, '... then a session');
like($log[2], qr/^$time 2 run session=\d+ sequence=1 uid=$> pid=\d+ put "k1" 1 -> ok$/, '... and what it ran');
my ($refused) = grep { / refused / } @log;
like($refused, qr/ sequence=1 uid=$> pid=\d+ -> conflict: "cas: .*"$/, 'a refused command, who gave it, and why');
is(scalar(grep { / start / } @log), 3, 'three starts');
my @cut = split /^/m, inspect('--log', path('inv'), '--from', 4, '--to', 6)->{out};
is_deeply([map { (split)[1] } @cut], [4, 5, 6], '--from and --to');
my @objects = map { decode_json($_) } split /^/m, inspect('--log', path('inv'), '--json')->{out};
is(scalar(@objects), scalar(@log), '--json: an object for each line');
is_deeply([@{ $objects[2] }{qw(record revision uid code outcome)}], ['run', 2, $>, 'ok', 'done'], '... with what the line says');
is_deeply($objects[2]{operations}, [{ number => 2, name => 'put', arguments => ['k1', 1] }], '... the operations');
is_deeply([map { $_->{operations}[0]{arguments}[1] } grep { ($_->{operations}[0]{arguments}[0] // '') eq 'note' } @objects],
    [{ base64 => 'dHdvCmxpbmVzICL/Ig==' }], '... and bytes that are no text, in base64');
my $unknown = inspect('--log', path('inv'), '--behaviour', program('tests/counts-1.so'));
like($unknown->{out}, qr/ operation-2 "k1" 1 -> ok$/m, 'another behaviour: operations by their numbers');

my $owner = program('sole-owner');
my $pipe = run('/bin/sh', '-c', "'$owner' --log '@{[path('inv')]}' | head -n 1; exit \$?");
is($pipe->{err}, '', 'a pipe that is closed ends --log without a word');
is(run({ stdout => '/dev/full' }, 'sole-owner', '--log', path('inv'))->{status}, 74, 'a full disk for its output: status 74');

# ---- wrong input ----

spew('file', "text\n");
mkdir path('empty');
mkdir path('foreign');
spew('foreign/letter', "dear\n");
for my $option (qw(--verify --repair --dump --log --replay --export)) {
    my %wrong = (
        none => [path('none'), 66, qr/cannot open the folder .*No such file/],
        file => [path('file'), 65, qr/cannot open the folder .*Not a directory/],
        empty => [path('empty'), 66, qr/holds no state/],
        foreign => [path('foreign'), 66, qr/holds no state/],
    );
    for my $kind (sort keys %wrong) {
        my ($what, $status, $says) = @{ $wrong{$kind} };
        my $got = inspect($option, $what);
        is($got->{status}, $status, "$option of $kind: status $status");
        line_like($got->{err}, $says, '... and one line');
    }
}
is_deeply([files('foreign')], ['letter'], 'a foreign folder is left as it was');
my @usage = (
    [['--verify', 'a', 'b'], qr/--verify takes a folder, and nothing behind it/],
    [['--verify', 'a', '--repair', 'b'], qr/--verify and --repair are two things to do: give one/],
    [['--restore', 'a'], qr/--restore takes a file, and behind it one folder/],
    [['--import', 'a', 'b', 'c'], qr/--import takes a file, and behind it one folder/],
    [['--at', '3', 'inv'], qr/go with --dump, --log and --repair: give one of those/],
    [['--log', 'a', '--at', '3'], qr/--at goes with --dump and --export/],
    [['--dump', 'a', '--from', '3'], qr/--from, --to and --json go with --log/],
    [['--verify', 'a', '--yes'], qr/--yes goes with --repair/],
    [['--dump', 'a', '--at', 'x'], qr/at: 'x' is not a whole number|'x' is not/],
    [['--dump', 'a', '--at', '0'], qr/out of range/],
);
for (@usage) {
    my ($arguments, $says) = @$_;
    my $got = inspect(@$arguments);
    is($got->{status}, 64, "@$arguments: status 64");
    line_like($got->{err}, $says, '... and why');
}
line_like(inspect('-c', spew('bad.zpl', "verify = x\n"), 'a')->{err}, qr/.verify. is an option, and no setting for a file/,
    'what is to be done is no setting of a file');
for my $option (qw(--dump --replay)) {
    my $other = inspect($option, path('inv'), '--behaviour', program('tests/counts-1.so'));
    is($other->{status}, 78, "$option with another behaviour: status 78") if $option eq '--dump';
    line_like($other->{err} . $other->{out}, qr/the behaviour (was )?table, and this one is counts/, "$option: ... which is named")
        if $option eq '--dump';
    isnt($other->{status}, 0, "$option with another behaviour fails");
}

# ---- damage ----

my @segments = segments('inv');
my @snapshots = snapshots('inv');

# Damaged, repaired, and what is there then. `loses`: what --repair says of it without --yes.
sub repaired {
    my ($title, $name, %expected) = @_;
    my $bad = inspect('--verify', path($name));
    is($bad->{status}, 65, "$title: --verify: status 65");
    like($bad->{out}, $expected{says}, '... where') if $expected{says};
    line_like($bad->{err}, qr/is damaged; sole-owner --repair tells what can be brought back/, '... and what to do');
    isnt(run('sole-owner', '--state', path($name), @small, 'damaged')->{status}, 0, '... no owner starts from it')
        unless $expected{starts};
    my @before = map { [$_, slurp(path("$name/$_"))] } grep { $_ ne 'lock' } files($name);
    my $got = inspect('--repair', path($name));
    if ($expected{loses}) {
        is($got->{status}, 75, '... --repair: status 75');
        like($got->{out}, $expected{loses}, '... and what would be lost');
        line_like($got->{err}, qr/nothing was changed; with --yes it is/, '... and how to do it');
        is_deeply([map { [$_, slurp(path("$name/$_"))] } grep { $_ ne 'lock' } files($name)], \@before, '... with nothing changed');
        $got = inspect('--repair', path($name), '--yes');
    } else {
        like($got->{out}, qr/^nothing is lost$/m, '... nothing is lost');
    }
    is($got->{status}, 0, '... it is repaired: status 0') or diag($got->{out}, $got->{err});
    is(inspect('--verify', path($name))->{status}, 0, '... and sound');
    ok(scalar(grep { /\.cut\d*$/ } files($name)), '... what was cut is set aside');
    my $again = start_owner('--state', path($name), @small, $name);
    ok($again->running, '... and an owner goes on with it');
    $again->stop;
    return dump_of($name);
}

# The state, whatever a start has added to it.
sub same {
    my ($got, $wanted, $title) = @_;
    my @got = split /^/m, entries($got);
    my %wanted = map { $_ => 1 } split /^/m, entries($wanted);
    my @odd = grep { !delete $wanted{$_} } @got;
    ok(!@odd && !%wanted, $title) or diag(map { substr($_, 0, 60) . "\n" } 'beside:', @odd, 'missing:', sort keys %wanted);
}

damage(copy('inv', 'd1') . "/$snapshots[1]", 100, 1);
same(repaired('the newest snapshot', 'd1', says => qr/^$snapshots[1]: damaged: byte 0: the checksum/m), $whole, '... all is there');
damage(copy('inv', 'd2') . "/$snapshots[0]", 100, 1);
same(repaired('the older snapshot', 'd2', starts => 1), $whole, '... all is there');
copy('inv', 'd3');
damage(path("d3/$_"), 200, 4) for @snapshots;
same(repaired('both snapshots', 'd3'), $whole, '... all is there');
damage(copy('inv', 'd4') . "/$segments[0]", 512 * 3 + 100, 1);
same(repaired('a round before the snapshots', 'd4', starts => 1, says => qr/^journal: damaged: $segments[0]: byte 1536: the checksum of round 3/m),
    $whole, '... all is there');

# The last round ends a session, in one sector; that before it put 900 bytes, in two.
my $last = slurp(path("inv/$segments[-1]"));
$last =~ s/\0+\z//;
my $end = int((length($last) + 511) / 512) * 512;
damage(copy('inv', 'd5') . "/$segments[-1]", $end - 1000, 1);
same(repaired('one of the last rounds', 'd5', loses => qr/^the state will be that of revision \d+, round \d+, of $time\nlost: rounds? \d+/m),
    dump_of('inv', '--at', $revision - 2), '... what was before it is there');

# In the segment of the newest snapshot, but before it: what is behind is copied.
my ($round_second) = hex($snapshots[1] =~ s/snapshot-//r);
my ($holder) = grep { hex(s/journal-//r) <= $round_second + 1 } reverse @segments;
damage(copy('inv', 'd6') . "/$holder", 512 + 300, 1);
same(repaired('a round of the snapshot in a segment that goes on behind it', 'd6'), $whole, '... all is there');

unlink(copy('inv', 'd7') . "/$segments[0]");
my $gone = inspect('--verify', path('d7'));
is($gone->{status}, 65, 'the first segment is gone: damaged');
same(repaired('the first segment is gone', 'd7', starts => 1), $whole, '... all is there') if @segments > 1;
unlink(copy('inv', 'd8') . "/$segments[-1]");
same(repaired('the last segment is gone', 'd8', says => qr/it is missing/, loses => qr/^lost: /m),
    dump_of('inv', '--at', $revision_second), '... what the snapshot has is there');
copy('inv', 'd9');
unlink path("d9/$_") for @segments;
same(repaired('all segments are gone', 'd9', says => qr/no journal: its files are missing/, loses => qr/^lost: whatever came behind/m),
    dump_of('inv', '--at', $revision_second), '... what the snapshot has is there');
damage(copy('inv', 'd10') . "/$segments[-1]", 65536 - 512 * 2 + 9, 1);
same(repaired('something in the zeros', 'd10', loses => qr/^lost: whatever came behind that, of which nothing can be read$/m),
    $whole, '... all is there');
truncate(copy('inv', 'd11') . "/$segments[-1]", $end - 512);
same(repaired('the last segment was cut short', 'd11', says => qr/cut short/, loses => qr/^lost: /m),
    dump_of('inv', '--at', $revision - 2), '... what was before it is there');
copy('inv', 'd12');
unlink path("d12/$_") for @snapshots;
damage(path("d12/$segments[0]"), 512 * 3 + 100, 1);
like(repaired('an early round, and no snapshot', 'd12', loses => qr/^lost: rounds 3 to \d+, revisions 2 to $revision, up to $time: /m),
    qr/^revision 1$|^token/m, '... what was before it is there');
copy('inv', 'd13');
unlink path("d13/$segments[0]");
damage(path("d13/$_"), 200, 4) for @snapshots;
my $hopeless = inspect('--repair', path('d13'), '--yes');
is($hopeless->{status}, 65, 'nothing to begin from: --repair cannot, status 65');
like($hopeless->{err}, qr/no state can be brought back from what is there: restore a backup/, '... and says what is left to do');

# Of the last round but one only the first sector came to the disk, and of the last nothing.
my $torn = copy('inv', 'torn') . "/$segments[-1]";
my $bytes = slurp($torn);
substr($bytes, $end - 1024, 1024) = "\0" x 1024;
spew($torn, $bytes);
my $unfinished = inspect('--verify', path('torn'));
is($unfinished->{status}, 0, 'an unfinished round is no damage');
like($unfinished->{out}, qr/^$segments[-1]: an unfinished round at byte \d+, .* and the next start overwrites it\nOK$/m, '... and is told');
same(dump_of('torn'), dump_of('inv', '--at', $revision - 2), '... and is no part of the state');

# Anywhere: what is left is what the state was at some revision. TRIES=n tries more often.
my $seed = $ENV{SEED} // int(rand(2**31));
diag("SEED=$seed");
srand $seed;
my %was = map { (entries(dump_of('inv', '--at', $_)) => $_) } 1 .. $revision;
for my $try (1 .. $ENV{TRIES} // 12) {
    system('rm', '-rf', path('any'));
    copy('inv', 'any');
    my @all = grep { !/^lock$|\.cut|^spare$/ } files('any');
    my $file = $all[rand @all];
    my $at = int(rand(-s path("any/$file")));
    damage(path("any/$file"), $at, 1);
    my $verify = inspect('--verify', path('any'));
    my $repair = inspect('--repair', path('any'), '--yes');
    my $ok = $verify->{status} == 65 && $repair->{status} == 0 && exists $was{ entries(dump_of('any')) };
    ok($ok, "byte $at of $file: found, repaired, and a state that has been")
        or diag("verify $verify->{status}, repair $repair->{status}: $repair->{out}$repair->{err}");
}

# Killed in the middle of it, at each change of the folder, and begun again.
SKIP: {
    skip 'strace is not there, or may not trace', 1 if system('strace -qq -o /dev/null true 2>/dev/null') != 0;
    for my $case (['a damage before the snapshot', $holder, 512 + 300], ['the newest snapshot', $snapshots[1], 200]) {
        my ($title, $file, $offset) = @$case;
        my ($killed, @odd) = (0);
        for my $call ('renameat', 'fsync', 'pwrite64') {
            for (my $nth = 1; $nth <= 40; $nth += $call eq 'pwrite64' ? 3 : 1) {
                system('rm', '-rf', path('any'));
                damage(copy('inv', 'any') . "/$file", $offset, 1);
                my $cut = run('/usr/bin/strace', '-qq', '-o', '/dev/null', '-e', "trace=$call", '-e',
                    "inject=$call:signal=KILL:when=$nth", $owner, '--repair', path('any'), '--journal-segment', '64K');
                last if defined $cut->{status};
                $killed++;
                my $again = inspect('--repair', path('any'), '--yes');
                push @odd, "$call $nth: $again->{out}$again->{err}"
                    if $again->{status} != 0 || entries(dump_of('any')) ne entries($whole) || inspect('--verify', path('any'))->{status} != 0;
            }
        }
        cmp_ok($killed, '>', 1, "$title: --repair was killed $killed times");
        is(join('', @odd), '', '... and done when it was begun again, with nothing lost');
    }
}

# ---- backups and texts ----

my $restored = inspect('--restore', path("inv/$snapshots[1]"), path('restored'), @small);
is($restored->{status}, 0, '--restore: status 0') or diag($restored->{err});
line_like($restored->{out}, qr/: a new history [0-9a-f]{16}, at revision $revision_second: 51 entries; 0 sessions ended$/,
    '... and what came of it');
my $from_backup = dump_of('restored');
same($from_backup, dump_of('inv', '--at', $revision_second), '... the entries');
sub line { my ($name, $text) = @_; return $text =~ /^$name (\S+)$/m ? $1 : '' }
isnt(line('history', $from_backup), line('history', $whole), '... another history');
cmp_ok(line('token', $from_backup), '>', line('token', $whole), '... higher tokens');
is(inspect('--verify', path('restored'))->{status}, 0, '... and sound');
my $goes_on = owner('restored');
is(sole('restored', 'put', 'new', 1)->{status}, 0, '... and an owner goes on with it');
$goes_on->stop;

my $text = spew('whole.text', $whole);
my $imported = inspect('--import', $text, path('imported'), @small);
is($imported->{status}, 0, '--import: status 0') or diag($imported->{err});
same(dump_of('imported'), $whole, '... and the same entries, with their revisions');
is(line('revision', dump_of('imported')), $revision, '... at the same revision') if $whole !~ /^session/m;
mkdir path('there');
is(inspect('--import', $text, path('there'), @small)->{status}, 0, '... an empty folder will do');
my $into = inspect('--import', $text, path('foreign'), @small);
is($into->{status}, 73, '--import into a folder that is not empty: status 73');
line_like($into->{err}, qr/foreign is not empty: give a folder that is empty, or not there/, '... and says so');
is(inspect('--restore', path("inv/$snapshots[1]"), path('imported'))->{status}, 73, '--restore into a state: status 73');
my @texts = (
    ['sole-text 1' => 'sole-text 9', 65, qr/line 1: expected 'sole-text 1'/],
    ["\nend\n" => "\n", 65, qr/the text ends here, and without 'end'/],
    ['"k1" 1 @' => '"zz" 1 @', 65, qr/line \d+: its key is not above the one before/],
    ['"k1" 1 @' => '"k1" 1 @99999', 65, qr/its revision is later than that of the state/],
    ['behaviour table' => 'behaviour queue', 78, qr/of the behaviour queue, and this one is table/],
    ['behaviour table 2' => 'behaviour table 9', 78, qr/is of version 9 of table, and this is version 2/],
);
for (@texts) {
    my ($from, $to, $status, $says) = @$_;
    my $bad = $whole;
    $bad =~ s/\Q$from\E/$to/ or die "no '$from' in the text\n";
    my $got = inspect('--import', spew('bad.text', $bad), path('bad'), @small);
    is($got->{status}, $status, "a text with '$to' for '$from': status $status" =~ s/\n/\\n/gr);
    line_like($got->{err}, $says, '... and why');
    ok(!-e path('bad'), '... and no folder is made');
}
is(inspect('--import', path('none'), path('bad'))->{status}, 66, '--import of no file: status 66');
is(inspect('--restore', path('inv'), path('bad'))->{status}, 66, '--restore of a folder: status 66');
my $no_backup = inspect('--restore', $text, path('bad'));
is($no_backup->{status}, 65, '--restore of what is no backup: status 65');
line_like($no_backup->{err}, qr/this is no snapshot/, '... and says so');

# Sessions, and what they hold.
my $held = owner('held');
my $holder_of = start('sole', '-o', 'held', 'lock', 'door', '--', 'sleep', '100');
wait_until { dump_of('held') =~ /^session .*/m && dump_of('held') =~ /door/ };
$held->stop('KILL');
$holder_of->stop('KILL');
like(dump_of('held'), qr/^session \d+ uid \d+ gid \d+ pid \d+ last \d+$/m, 'a session is in the text');
my $freed = inspect('--import', spew('held.text', dump_of('held')), path('freed'), @small);
like($freed->{out}, qr/; 1 session ended$/m, '--import ends sessions') or diag($freed->{err});
unlike(dump_of('freed'), qr/door/, '... and what they held is free');

# A backup of an owner that keeps nothing.
my $memory = start_owner('memory');
sole('memory', 'put', 'kept', 1);
is(sole('memory', 'backup', path('backup'))->{status}, 0, 'a backup of an owner without a folder');
$memory->stop;
is(inspect('--restore', path('backup'), path('memory-state'), @small)->{status}, 0, '... becomes a folder');
like(dump_of('memory-state'), qr/^"kept" 1 @\d+$/m, '... with what it held');
is(inspect('--restore', path('backup'), path('bad'), '--behaviour', program('tests/counts-1.so'))->{status}, 78,
    '... and not for another behaviour: status 78');

# ---- beside an owner that writes, begins segments, takes snapshots and forgets ----

my $busy = owner('busy', '--snapshot-after', '64K');
my $writer = start('sole-writer', '-o', 'busy', '-a', 8, '-p', 0, '-d', 0);
wait_until { snapshots('busy') >= 2 } 30;
my @wrong;
for my $round (1 .. 6) {
    for my $option (qw(--verify --log --dump --replay)) {
        my $got = inspect($option, path('busy'));
        push @wrong, "$option: $got->{status} $got->{err}" . substr $got->{out}, -300 if $got->{status} != 0;
    }
}
ok($busy->running && $writer->running, 'an owner is written to');
is(join('', @wrong), '', '... and what looks at its folder meanwhile finds no damage');

# Read so slowly that the owner forgets rounds before they are printed.
{
    pipe my $out, my $in or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>&', $in;
        open STDERR, '>', path('slow.err');
        exec program('sole-owner'), '--log', path('busy');
    }
    close $in;
    my $first = <$out>;
    my %before = map { $_ => 1 } glob path('busy') . '/journal-*';
    wait_until { !grep { $before{$_} } glob path('busy') . '/journal-*' } 30;
    1 while <$out>;
    waitpid $pid, 0;
    is($?, 0, 'nor does a log that is read more slowly than the owner forgets');
    like(slurp(path('slow.err')), qr/rounds \d+ to \d+ are not shown: the owner forgot them/, '... but says what it could not show');
}
$_->stop for $writer, $busy;

# ---- an upgrade, rehearsed ----

my ($one, $other, $two) = map { program("tests/counts-$_.so") } '1', '1-other', '2';
my $counts = owner('counts', '--behaviour', $one);
sole('counts', 'call', 'add', 'a', $_) for 1 .. 4;
$counts->stop;
my $agrees = inspect('--replay', path('counts'), '--behaviour', $one);
is("$agrees->{status} $agrees->{out}", "0 all 13 records agree, from revision 0 to 12\n", '--replay with the same build: all agree');
my $differs = inspect('--replay', path('counts'), '--behaviour', $other);
is($differs->{status}, 1, '--replay with one that differs: status 1');
like($differs->{out}, qr/\Adiffers, behind 8 records that agree: revision 8 \(round 9, run of add\): it is answered otherwise now\n$time 8 run .* add "a" 3 -> ok\n\z/,
    '... and the first command that comes to something else');
my $migrates = inspect('--replay', path('counts'), '--behaviour', $two);
is($migrates->{status}, 0, 'a newer version: status 0 when it takes over') or diag($migrates->{out}, $migrates->{err});
like($migrates->{out}, qr/^a start would bring the state of revision 12 from version 1 to version 2: 1 entries, and the invariant holds$/m,
    '... and what a start would do');
my $refusing = owner('refusing', '--behaviour', $one);
sole('refusing', 'call', 'add', 'refuse', 1);
$refusing->stop;
my $never = inspect('--replay', path('refusing'), '--behaviour', $two);
is($never->{status}, 1, 'one that does not take it over: status 1');
like($never->{out}, qr/^a start would be refused: .*is not taken over/m, '... and why');

done_testing;
