#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# clients/python/sole.py against real owners: tests/python/test_sole.py, whose TAP is
# passed on. Arguments choose tests: 39-python.t Watches.test_cuts
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Test::More;

# Debian's: the first python3 of the path may be another, without python3-zmq.
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my $has = run({ name => 'python' }, '/usr/bin/env', $python, '-c', 'import zmq');
plan skip_all => 'python3-zmq is not installed' if $has->{status} != 0;

my $owner = start_owner('python');
my $tests = run(
    { name => 'test_sole', limit => seconds(240), env => { SOLE_BIN => program('.') } },
    '/usr/bin/env', $python, '-B', '-W', 'error::ResourceWarning', "$FindBin::Bin/python/test_sole.py", @ARGV
);
diag($tests->{err}) if $tests->{err} ne '';
my ($planned) = $tests->{out} =~ /^1\.\.(\d+)$/m;
ok $1 eq 'ok', $2 while $tests->{out} =~ /^(ok|not ok) \d+ - (.*)$/mg;
is $tests->{status}, 0, 'the tests came to their end';
my $told = Test::More->builder->current_test - 1;
is $told, $planned // 0, 'and each of them was told of';
is $owner->stop, 0, 'the owner ends well';
done_testing;
