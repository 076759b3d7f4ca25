# SPDX-License-Identifier: MIT
#
# sole-reader and sole-writer: what is wrong on their command line, and what they
# say and do while no owner is there.
use strict;
use warnings;
use lib 'tests/lib';
use Sole::Test;
use Test::More;

my @wrong = (
    [[], qr/--owner|SOLE_ENDPOINT|endpoint/, 'neither owner nor endpoint'],
    [['counters'], qr/'counters' is not expected: the owner's name goes with --owner/, 'an operand'],
    [['--frob'], qr/option '--frob' is not known; see sole-\w+ --help/, 'an unknown option'],
    [['-o', 'x', '--actors', '0'], qr/actors: '0' is out of range: give 1 to 100000/, 'no actors'],
    [['-o', 'x', '--actors', '100001'], qr/out of range/, 'too many actors'],
    [['-o', 'x', '--actors', 'ten'], qr/'ten' is not a whole number/, 'a number that is a word'],
    [['-o', 'x', '--keys', '0'], qr/keys: '0' is out of range/, 'no keys'],
    [['-o', 'x', '--pause', '1 ms'], qr/'1 ms' is not a time such as/, 'a pause with a space in it'],
    [['-o', 'x', '--pause', '-1ms'], qr/'-1ms' is not a time such as/, 'a negative pause'],
    [['-o', 'x', '--duration'], qr/option '--duration' needs a value/, 'a duration without its value'],
    [['-o', 'x', '--duration', '99999999999h'], qr/is not a time/, 'a duration longer than time'],
    [['-o', 'x y'], qr/name/, 'an owner\'s name with a space in it'],
);
for my $program ('sole-reader', 'sole-writer') {
    for (@wrong) {
        my ($arguments, $says, $title) = @$_;
        my $got = run($program, @$arguments);
        is($got->{status}, 64, "$program, $title: status 64");
        line_like($got->{err}, $says, "$program, $title: one line that says so");
        is($got->{out}, '', "$program, $title: nothing on standard output");
    }
    my $help = run($program, '--help');
    is($help->{status}, 0, "$program --help is no error");
    like($help->{out}, qr/\A  $program /, '... and begins with an example');
    cmp_ok($help->{out} =~ tr/\n//, '<=', 24, '... and fits on a screen');
    my @long = grep { length > 100 } split /\n/, $help->{out};
    is("@long", '', '... also in width');

    my $got = run($program, '-o', 'nobody', '--connect-timeout', '300ms');
    is($got->{status}, 69, "$program without an owner: status 69");
    line_like($got->{err},
        qr{no owner answered at ipc://.*/nobody\.sock within 300ms: start one with sole-owner},
        '... and one line that says where it looked and what to do');
    is($got->{out}, '', '... no totals: it never was ready');
}

# Waiting for an owner: supervised, and stopped
my $reader = start({ env => { WATCHDOG_USEC => 200000 } }, 'sole-reader', '-o', 'nobody',
    '--connect-timeout', '0');
ok($reader->wait_notice(qr{^STATUS=looking for the owner at ipc://.*nobody\.sock$}),
    'it tells what it is waiting for');
ok(wait_until { (grep { $_ eq 'WATCHDOG=1' } $reader->notices) >= 3 }, 'the watchdog is fed meanwhile');
is(scalar(grep { $_ eq 'READY=1' } $reader->notices), 0, 'it is not ready while there is no owner');
is($reader->stop, 0, 'SIGTERM ends the wait with status 0');
is($reader->{out}, "reads: 0\n", '... and the total');

done_testing;
