# SPDX-License-Identifier: MIT
#
# sole-state(5) is enough to read a state: what follows was written from that page alone, reads the journal and
# the newest snapshot of a real owner, and comes to the very lines of --log and --dump.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use POSIX qw(strftime);
use Test::More;

# ---- Checksums ----

my @crc_table = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;

# Goes on from `before`; 0: from nothing.
sub crc {
    my ($bytes, $before) = @_;
    my $c = ($before // 0) ^ 0xffffffff;
    $c = $crc_table[($c ^ $_) & 0xff] ^ ($c >> 8) for unpack 'C*', $bytes;
    return $c ^ 0xffffffff;
}
is(crc('123456789'), 0xe3069283, 'CRC-32C, as RFC 3720 has it');

# ---- Segments and frames ----

# Returns the rounds of a folder: each { number, time, revision, count, records }.
sub read_journal {
    my ($folder) = @_;
    my @rounds;
    my @files = map { [hex(/journal-([0-9a-f]{16})$/ ? $1 : die), $_] } grep { /journal-[0-9a-f]{16}$/ } glob "$folder/*";
    my %files = map { @$_ } @files;
    my ($first) = sort { $a <=> $b } keys %files;
    my $next = $first;
    while (defined $first) {
        my $file = $files{$first} // die "segment $first is missing\n";
        my $bytes = slurp($file);
        my ($magic, $crc, $format, $size, $number) = unpack 'a8 V V Q< Q<', $bytes;
        die "$file: not a segment\n" if $magic ne 'SOLEJRNL' || $format != 1 || $size != length $bytes || $number != $first;
        die "$file: checksum of the first sector\n" if $crc != crc(substr $bytes, 12, 500);
        die "$file: zeros\n" if substr($bytes, 48, 464) =~ /[^\0]/;
        my $at = 512;
        $first = undef;
        while ($at < $size && substr($bytes, $at, 512) =~ /[^\0]/) {
            my ($magic2, $lag, $low, $check, $head_check, $round, $revision, $time, $records_size, $count, $kind) =
                unpack 'a2 v V V V Q< Q< q< Q< V V', substr $bytes, $at, 56;
            die "$file: $at: mark\n" if $magic2 ne "\x3c\xa5" || $lag < 1 || $low != ($next & 0xffffffff) || $round != $next;
            die "$file: $at: head\n" if $head_check != crc(substr($bytes, $at, 8) . substr($bytes, $at + 16, 40));
            my $sectors = $records_size <= 456 ? 1 : 1 + int(($records_size - 456 + 503) / 504);
            my $frame = substr $bytes, $at, 512 * $sectors;
            die "$file: $at: checksum\n" if $check != crc(substr $frame, 12);
            my $records = join '', map { substr $frame, $_ * 512 + ($_ ? 8 : 56), $_ ? 504 : 456 } 0 .. $sectors - 1;
            die "$file: $at: a mark within\n" if grep { substr($frame, $_ * 512, 8) ne substr $frame, 0, 8 } 1 .. $sectors - 1;
            die "$file: $at: zeros\n" if substr($records, $records_size) =~ /[^\0]/;
            $at += 512 * $sectors;
            if ($kind == 2) {
                die "$file: the seal\n" if $sectors != 1 || $count || $records_size || $time;
                $first = $next;
                last;
            }
            push @rounds, { number => $next++, time => $time, revision => $revision, count => $count,
                            records => substr $records, 0, $records_size };
        }
        die "$file: something behind the end\n" if substr($bytes, $at) =~ /[^\0]/;
    }
    return @rounds;
}

# ---- Values, as sole-protocol(7) has them, and text ----

# Takes as many bytes off the front of $$from.
sub take { my ($from, $size) = @_; die "too short\n" if length $$from < $size; return substr $$from, 0, $size, '' }
sub number { my ($from, $kind) = @_; my %bytes = (C => 1, v => 2, V => 4, 'Q<' => 8, 'q<' => 8); return unpack $kind, take($from, $bytes{$kind}) }
sub sized { my ($from) = @_; return take($from, number($from, 'V')) }

sub quoted {
    my ($bytes) = @_;
    my %letters = ('"' => '\\"', '\\' => '\\\\', "\n" => '\\n', "\r" => '\\r', "\t" => '\\t');
    $bytes =~ s/(["\\\n\r\t])|([^ -~])/$1 ? $letters{$1} : sprintf '\\x%02x', ord $2/ge;
    return "\"$bytes\"";
}

sub value {
    my ($from) = @_;
    my $type = number($from, 'C');
    return $type == 0 ? 'none' : $type == 1 ? number($from, 'q<') : $type == 2 ? quoted(sized($from)) : die "type $type\n";
}

sub when { my ($us) = @_; return strftime('%Y-%m-%dT%H:%M:%S', gmtime int($us / 1000000)) . sprintf '.%06dZ', $us % 1000000 }

# ---- Records ----

my %codes = (0 => 'ok', 9 => 'conflict', 14 => 'wrong-type', 17 => 'waiting', 8 => 'cancelled', 7 => 'expired', 3 => 'no-operation');
my @kinds = qw(- start open end run refused withdrawn received tick answered migrated);

# As --log prints them, of a behaviour whose words are not known.
sub read_log {
    my (@rounds) = @_;
    my (%callers, @lines);
    for my $round (@rounds) {
        my $bytes = $round->{records};
        my $count = 0;
        while (length $bytes) {
            my ($size) = unpack 'V', $bytes;
            my $record = take(\$bytes, $size);
            my (undef, $kind, $flags, $code, $session, $sequence, $revision) = unpack 'V C C v Q< Q< Q< Q<', take(\$record, 40);
            $count++;
            my ($name, $line, $rest, $caller) = ($kinds[$kind], '', '', undef);
            if ($kind == 1) {
                my ($incarnation, undef, $version) = (number(\$record, 'Q<'), number(\$record, 'q<'), number(\$record, 'V'));
                $line = " incarnation=$incarnation behaviour=" . sized(\$record) . " version=$version";
            }
            if ($kind == 2 || $kind == 4) {
                my ($uid, undef, $pid) = map { number(\$record, 'V') } 1 .. 3;
                $caller = $flags & 4 ? " uid=$uid pid=$pid" : '';
                $callers{$session} //= $caller if $session;
            }
            $caller //= $callers{$session} // '';
            delete $callers{$session} if $kind == 3;
            take(\$record, 8 + 4 + 16) if $kind == 2;
            my ($request, $reply) = ('', '');
            take(\$record, 4) if $kind == 4;
            take(\$record, 8) if $kind == 4 || $kind == 5;
            $request = sized(\$record) if $kind == 4;
            $reply = sized(\$record) if $kind == 4 || $kind == 5 || $kind == 9;
            my @operations;
            while (length $request) {
                my $operation = number(\$request, 'v');
                push @operations, join ' ', $operation == 65535 ? 'otherwise' : "operation-$operation",
                    map { value(\$request) } 1 .. number(\$request, 'C');
            }
            $rest = ' ' . join '; ', @operations if @operations;
            if ($kind == 4 || $kind == 5 || $kind == 6 || $kind == 9) {
                $rest .= ' -> ' . ($codes{$code} // "code $code");
                if ($codes{$code} !~ /^(?:ok|waiting)$/ && length $reply) {
                    take(\$reply, 1);
                    value(\$reply);
                    $rest .= ': ' . value(\$reply);
                }
            } elsif (length $record) {
                die "$name: bytes are left\n";
            }
            $line .= " session=$session" if $session;
            $line .= " sequence=$sequence" if $sequence;
            push @lines, when($round->{time}) . " $revision $name$line$caller" . ($flags & 2 ? ' unhooked' : '') . "$rest\n";
        }
        die "round $round->{number}: $count records\n" if $count != $round->{count};
    }
    return join '', @lines;
}

# ---- Snapshots ----

sub reply { my ($from) = @_; take($from, 10); sized($from) if number($from, 'C') }

# As --dump prints it.
sub read_snapshot {
    my ($file) = @_;
    my $bytes = slurp($file);
    my ($blocks, $crc, $head, $body, $end) = (0, 0, '', '', undef);
    while (length $bytes) {
        die "a block behind the end\n" if defined $end;
        my $header = take(\$bytes, 16);
        my ($magic, $kind, $size, $number, $check) = unpack 'a4 v v V V', $header;
        my $content = take(\$bytes, $size);
        $crc = crc(substr($header, 0, 12) . $content, $crc);
        die "block $blocks\n" if $magic ne 'SNAP' || $number != $blocks++ || $check != $crc;
        if ($kind == 1) { $head = $content } elsif ($kind == 2) { $body .= $content } else { $end = $content }
    }
    my $body_size = length $body;
    my ($format, $history, undef, undef, $revision, $time, undef, $token, $version, $entries, $sessions) =
        unpack 'V Q< Q< Q< Q< q< q< q< Q< Q< Q< Q< Q< Q<', take(\$head, 4 + 13 * 8);
    die "format $format\n" if $format != 1;
    my $behaviour = take(\$head, number(\$head, 'C'));
    my @lines = ('sole-text 1', "behaviour $behaviour $version", sprintf('history %016x', $history), "revision $revision",
        'time ' . when($time), "token $token");
    my (@maps, %sessions, $entries_read);
    for (1 .. number(\$body, 'C')) {
        push @maps, 'map ' . quoted(take(\$body, number(\$body, 'C')));
        for (1 .. number(\$body, 'Q<')) {
            my $key = quoted(take(\$body, number(\$body, 'v')));
            my $put = number(\$body, 'Q<');
            push @maps, "$key " . value(\$body) . " \@$put";
            $entries_read++;
        }
    }
    for (1 .. number(\$body, 'V')) {
        my $id = number(\$body, 'Q<');
        take(\$body, 16);
        my ($uid, $gid, $pid) = map { number(\$body, 'V') } 1 .. 3;
        my $known = number(\$body, 'C');
        take(\$body, 8 + 4);
        my ($oldest, $last) = (number(\$body, 'Q<'), number(\$body, 'Q<'));
        reply(\$body) for $oldest .. $last;
        my @waiting;
        for (1 .. number(\$body, 'v')) {
            my $sequence = number(\$body, 'Q<');
            if (number(\$body, 'C')) { push @waiting, $sequence } else { reply(\$body) }
        }
        $sessions{$id} = "session $id" . ($known ? " uid $uid gid $gid pid $pid" : '') . " last $last" .
            (@waiting ? " waiting @waiting" : '');
    }
    take(\$body, 12);
    my $events = number(\$body, 'Q<');
    for (1 .. $events) {
        take(\$body, 12);
        my $values = sized(\$body);
        value(\$values) for 1 .. 3;
        die "an event of more than three values\n" if length $values;
    }
    die "bytes are left\n" if length $body || length $head;
    is_deeply([unpack 'Q<4', $end], [$entries_read, scalar(keys %sessions), $events, $body_size], 'the end tells what was read');
    is("$entries $sessions", "$entries_read " . keys %sessions, '... and so does the head');
    return join '', map { "$_\n" } @lines, map({ $sessions{$_} } sort { $a <=> $b } keys %sessions), @maps, 'end';
}

# ---- a real one ----

my $owner = start_owner('--state', path('state'), '--journal-segment', '64K', '--drain', '0', 'inv');
run('sole', '-o', 'inv', 'put', "k$_", $_ * -7) for 1 .. 5;
run('sole', '-o', 'inv', 'put', 'note', join '', map { chr } 1 .. 255);
run('sole', '-o', 'inv', 'cas', 'k1', '99', '5');
run('sole', '-o', 'inv', 'put', sprintf('big%02d', $_), 'x' x 1900) for 1 .. 80;
run({ input => "put a 1\nadd a 5\n" }, 'sole', '-o', 'inv', 'txn');
# One that holds a lock, and one that waits for it.
my $holder = start('sole', '-o', 'inv', 'lock', 'door', '--', 'sleep', '100');
wait_until { run('sole-owner', '--dump', path('state'))->{out} =~ /door/ };
my $waiter = start('sole', '-o', 'inv', 'lock', 'door', '--', 'true');
wait_until { run('sole-owner', '--dump', path('state'))->{out} =~ / waiting 1$/m };

# Strings of this length are not for eyes: the first line that differs is.
sub same_lines {
    my ($got, $wanted, $title) = @_;
    my @wanted = split /^/m, $wanted;
    for (split /^/m, $got) {
        my $line = shift @wanted // '';
        return is(substr($_, 0, 300), substr($line, 0, 300), $title) if $_ ne $line;
    }
    return is(scalar(@wanted), 0, $title);
}

# The journal as it is while the owner runs, before a snapshot lets the oldest of it go.
system('cp', '-r', path('state'), path('copy')) == 0 or die "cp\n";
$owner->stop;
$_->stop('KILL') for $holder, $waiter;
cmp_ok(scalar(grep { /journal-[0-9a-f]{16}$/ } glob path('copy/*')), '>', 1, 'a journal of several segments');
my $log = read_log(read_journal(path('copy')));
my $told = run('sole-owner', '--log', path('copy'), '--behaviour', program('tests/counts-1.so'));
cmp_ok(scalar(my @lines = split /\n/, $log), '>', 200, 'the journal can be read from the page alone');
same_lines($log, $told->{out}, '... and comes to what --log prints');
ok(scalar(read_journal(path('state'))), 'so can what is left of it when the owner has ended');
my ($snapshot) = reverse sort glob path('state/snapshot-*');
ok($snapshot, 'there is a snapshot') or BAIL_OUT('no snapshot');
my $text = read_snapshot($snapshot);
same_lines($text, run('sole-owner', '--dump', path('state'))->{out}, 'so can the snapshot, and comes to what --dump prints');
like($text, qr/^session .* waiting 1$/m, '... with a session that waits');

# The examples of the page's text are read and printed as they stand.
my ($example) = slurp('owner/state/sole-state.5') =~ /^\.Bd -literal -offset indent\n(sole-text 1\n.*?)\.Ed$/ms;
$example =~ s/\\e/\\/g;
my $imported = run('sole-owner', '--import', spew('example', $example), path('example-state'), '--journal-segment', '64K');
is($imported->{status}, 0, "the page's example of a text is one") or diag($imported->{err});
my ($shown) = $example =~ /^(map .*)/ms;
like(run('sole-owner', '--dump', path('example-state'))->{out}, qr/^\Q$shown\E\z/m, '... and is printed again');

done_testing;
