#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# sole-protocol(7) is true: its tables are those of the code, and its example bytes,
# played to an owner that was just started, get the replies that it shows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Sole::Wire;
use Test::More;

my $common = "$FindBin::Bin/../common";
my $page   = slurp("$common/sole-protocol.7");
my $header = slurp("$common/protocol.h");
length $page && length $header or BAIL_OUT("$common has no page or no protocol.h");

# ---- the page ----

# The text between a heading and the next.
sub section {
    my ($title) = @_;
    my ($text) = $page =~ /^\.S[hs] \Q$title\E\n(.*?)(?=^\.S[hs] |\z)/ms or die "the page has no heading '$title'\n";
    return $text;
}

# Rows of all tables below a heading, without their own headings: each a list of cells.
sub rows {
    my ($title) = @_;
    my @rows;
    for my $table (section($title) =~ /^\.Bl -column.*?\n(.*?)^\.El$/msg) {
        $table =~ s/\n(?!\.It )/ /g;
        push @rows, map { [split / Ta /] } grep { !/^Em / } $table =~ /^\.It (.*?) *$/mg;
    }
    return @rows;
}

# ---- the code ----

# FIELD(type, name) of a table, as offset, size, name.
sub fields {
    my ($table) = @_;
    my ($text) = $header =~ /#define \Q$table\E\(FIELD\)(.*?)\n\n/s or die "protocol.h has no $table\n";
    my ($offset, @fields) = (0);
    while ($text =~ /FIELD\(u(\d+), (\w+)\)/g) {
        push @fields, [$offset, $1 / 8, $2];
        $offset += $1 / 8;
    }
    return @fields;
}

sub constant_of {
    my ($name) = @_;
    my ($value) = $header =~ /\b\Q$name\E = ([^,\/]+)/ or die "protocol.h has no $name\n";
    return $value =~ /^\s*(\d+) << (\d+)\s*$/ ? $1 << $2 : $value =~ s/\s//gr;
}

sub values_of_wire {
    my ($name) = @_;
    my ($value) = slurp("$common/wire.h") =~ /\bVALUE_\Q$name\E = (\d+)/ or die "wire.h has no VALUE_$name\n";
    return $value;
}

sub first_three { return map { [@$_[0 .. 2]] } @_ }
sub first_two { return map { [@$_[0, 1]] } @_ }

# ---- tables ----

is_deeply [(first_three(rows('Messages')))[0 .. 6]], [fields('PROTOCOL_MESSAGE_FIELDS')], 'the header of a message';
is_deeply [(first_three(rows('Items of a request')))[0 .. 6]], [fields('PROTOCOL_REQUEST_FIELDS')],
    'the header of an item of a request';
is_deeply [first_three(rows('Items of a reply'))], [fields('PROTOCOL_REPLY_FIELDS')], 'the header of an item of a reply';

is_deeply [first_two((rows('Messages'))[7 .. 10])], [map { [constant_of("MESSAGE_$_"), $_] } qw(REQUEST REPLY NOTICE REPLY_PART)],
    'the kinds of messages';
is_deeply [first_two((rows('Items of a request'))[7 .. 10])],
    [map { [constant_of("REQUEST_FLAG_$_"), $_] } qw(QUERY RELATIVE NOTICES OTHERWISE)],
    'the flags of a request';
is_deeply [first_two(rows('Kinds of items'))], [map { [split /, /] } $header =~ /\bITEM\((\d+, \w+),/g],
    'the kinds of items';
is_deeply [first_two(rows('Values'))], [map { [values_of_wire($_), lc] } qw(NONE INTEGER BYTES LIST)], 'the types of values';
my ($told) = section('Items of a reply') =~ / Ta outcome Ta (.*)$/m;
is_deeply [map { [split / /] } split /, /, $told // ''], [map { [constant_of("OUTCOME_$_"), lc] } qw(DONE REFUSED UNKNOWN WAITING)],
    'the outcomes';
my ($divides) = section('Otherwise') =~ /with the number (\d+) /;
is $divides, hex(constant_of('OPERATION_OTHERWISE') =~ s/\s*\}.*//sr), 'the operation that divides a request';
is_deeply [first_two(rows('Cancelling'))], [map { [constant_of("CANCEL_$_"), lc] } qw(WITHDRAWN ANSWERED)], 'the fates of a cancel';
is_deeply [first_two(rows('What survives'))], [map { [constant_of("DURABILITY_$_"), lc] } qw(MEMORY SYNC INTERVAL)],
    'what a state survives';
is_deeply [first_two(rows('What became of a command'))],
    [map { [constant_of("FATE_$_"), lc tr/_/-/r] } qw(RAN REFUSED WAITING NOT_COME NEVER_CAME UNKNOWN)], 'the fates of a command';
my ($durable) = section('Items of a reply') =~ /(\d+) is added to the outcome/;
is $durable, hex(constant_of('REPLY_FLAG_DURABLE') =~ s/\s*\}.*//sr), 'the mark of what is on disk';
is_deeply [map { $_->[0] } rows('Limits')],
    [(map { constant_of($_) } qw(PROTOCOL_MESSAGE_MAX_BYTES PROTOCOL_ITEMS_MAX)), 255,
        map { constant_of($_) } qw(PROTOCOL_RETURN_PATH_MAX PROTOCOL_WINDOW PROTOCOL_NONCE_BYTES PROTOCOL_BACKUP_BYTES)],
    'the limits';

my @codes = slurp("$common/codes.def") =~ /^CODE\((\d+), \w+, (\w+), "([^"]+)", "([^"]+)"\)$/mg;
my @expected;
while (my ($number, $outcome, $name, $text) = splice @codes, 0, 4) {
    push @expected, [$number, $name, lc $outcome, $text];
}
cmp_ok scalar @expected, '>', 20, 'codes.def has codes';
is_deeply [rows('Codes')], \@expected, 'the codes, with their outcomes and texts';

# ---- against an owner ----

my $owner  = start_owner('page');
my $client = dealer(endpoint('page'));

my @described = @{ ask($client, item(DESCRIBE, ''))->{lists} };
my $help = section('Operations of table');
is_deeply [rows('Operations of table')], [map { [@$_[0, 1, 2], map { length ? $_ : '-' } @$_[3, 4]] } @described],
    'the operations of table are those that an owner describes';
is_deeply [$help =~ /^\.It ([\w-]+)\n(.*)$/mg], [map { @$_[1, 5] } @described], 'and so is what they do';

# Each example is a request and its reply; what differs each time is masked: incarnation and
# history in the header, and sessions of an OPEN.
sub bytes_of {
    my ($literal) = @_;
    my $bytes = '';
    for my $line (split /\n/, $literal) {
        my ($hex) = $line =~ /^((?:[0-9a-f]{2} )*[0-9a-f]{2})  \S/ or die "not bytes and an explanation: $line\n";
        $bytes .= pack 'H*', $hex =~ tr/ //dr;
    }
    return $bytes;
}

sub masked {
    my ($body) = @_;
    substr $body, 16, 16, "\0" x 16;
    for (my $at = 32; $at < length $body; $at += unpack "\@$at L<", $body) {
        substr $body, $at + 8, 8, "\1" x 8 if unpack "\@$at x8 Q<", $body;
    }
    return unpack 'H*', $body;
}

my ($examples) = $page =~ /^\.Sh EXAMPLES\n(.*?)^\.Sh /ms;
my @examples = split /^\.Ss /m, $examples;
shift @examples;
cmp_ok scalar @examples, '>=', 4, 'the page has examples';
$owner->stop;
$owner  = start_owner('page');
$client = dealer(endpoint('page'));
for my $example (@examples) {
    my ($title) = $example =~ /^(.*)$/m;
    my ($request, $reply) = map { bytes_of($_) } $example =~ /^\.Bd -literal[^\n]*\n(.*?)^\.Ed$/msg;
    send_body($client, $request);
    my $answer = receive_body($client) // '';
    is masked($answer), masked($reply), "the bytes of the example '$title' are what an owner answers";
    next if $title !~ /session/;
    # "the same reply, but for the revision of its first item"
    send_body($client, $request);
    my $again = receive_body($client) // '';
    substr $_, 32 + 24, 8, '' for $again, $answer;
    is unpack('H*', $again), unpack('H*', $answer), '... and once more, when it is sent again';
}
is get($client, 'apples'), 12, 'the examples did what they say';
is $owner->stop, 0, 'the owner ends well';

SKIP: {
    my $mandoc = (grep { -x } map { "$_/mandoc" } split /:/, $ENV{PATH})[0];
    skip 'mandoc is not installed', 1 if !$mandoc;
    my $lint = run($mandoc, '-Tlint', '-Wwarning', "$common/sole-protocol.7");
    is $lint->{out} . $lint->{err}, '', 'mandoc has nothing to say about the page';
}

done_testing;
