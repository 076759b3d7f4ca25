# SPDX-License-Identifier: MIT
#
# Sole::Command - `sole` as a person runs it, asking the owner called "inventory".
package Sole::Command;

use strict;
use warnings;

use Exporter qw(import);
use Sole::Test;
use Test::More;

our @EXPORT = qw(sole answers);

# Runs it to its end: sole([\%options of Sole::Test::run,] ARGUMENTS ...).
sub sole { return run(ref $_[0] eq 'HASH' ? shift : (), 'sole', '-o', 'inventory', @_) }

# answers(TITLE, STATUS, OUT, ERR or undef for silence, [\%options,] ARGUMENTS ...).
sub answers {
    my ($title, $status, $out, $err, @arguments) = @_;
    my $got = sole(@arguments);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($got->{status}, $status, "$title: status $status") or diag($got->{err});
    is($got->{out}, $out, "$title: standard output");
    defined $err ? line_like($got->{err}, $err, "$title: one line on standard error")
                 : is($got->{err}, '', "$title: silence on standard error");
    return $got;
}

1;
