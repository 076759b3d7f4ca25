#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# A behaviour whose version changed meets an older state: taken over, once, when it says how; refused in
# one line, with nothing changed, when it does not, or when what is recorded would come out otherwise.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Test::More;

my $state = path('state');

sub options { return ('--state', $state, '--behaviour', program("tests/counts-$_[0].so")) }
sub owner { return start_owner({ name => "owner-$_[0]" }, options(@_), 'counts') }
sub refused { return run({ limit => 20 }, 'sole-owner', options(@_), 'counts') }
sub sole { my $r = run('sole', '-o', 'counts', 'call', @_); return $r->{status} == 0 ? $r->{out} =~ s/\n\z//r : $r->{err} }
sub killed { $_[0]->signal('KILL'); $_[0]->finish }

sub folder_is {
    return join "\n", map { my @st = stat $_; my $sum = unpack '%32C*', slurp($_); "$_ $st[7] $sum" } grep { !m{/lock$} } sort glob "$state/*";
}

my $owner = owner(1);
is(sole('add', 'a', 5), 5, 'version 1 counts');
is(sole('add', 'a', 2), 7, 'and counts');
killed($owner);

subtest 'what the older version wrote since its last snapshot would come out otherwise: refused' => sub {
    my $before = folder_is();
    my $got = refused(2);
    isnt($got->{status}, 0, 'it does not start');
    line_like($got->{err}, qr/version 1.*version 2.*stop the older one cleanly/, 'and says what to do');
    is(folder_is(), $before, 'nothing was changed');
};

$owner = owner(1);
is(sole('sum', 'a'), 7, 'the older version goes on meanwhile');
is($owner->stop, 0, 'and is stopped cleanly');

$owner = owner(2);
is(sole('sum', 'a'), 7, 'the newer version takes over');
is(sole('times', 'a'), 1, 'in its own form');
is(sole('add', 'a', 1), 8, 'and counts');
killed($owner);
$owner = owner(2);
is(sole('times', 'a'), 2, 'it is not taken over twice after SIGKILL');
is($owner->stop, 0, 'a clean end');

subtest 'an older version does not run what a newer one has left' => sub {
    my $before = folder_is();
    my $got = refused(1);
    isnt($got->{status}, 0, 'it does not start');
    line_like($got->{err}, qr/version 2.*version 1.*newer/, 'and says so');
    is(folder_is(), $before, 'nothing was changed');
};

subtest 'what the behaviour refuses to take over is left as it is' => sub {
    $state = path('other');
    $owner = owner(1);
    sole('add', 'refuse', 1);
    $owner->stop;
    my $before = folder_is();
    my $got = refused(2);
    isnt($got->{status}, 0, 'it does not start');
    line_like($got->{err}, qr/refuse.*is not taken over/, 'in the words of the behaviour');
    is(folder_is(), $before, 'nothing was changed');
    $owner = owner(1);
    is(sole('sum', 'refuse'), 1, 'the older version goes on');
    $owner->stop;
};

subtest 'a state of another behaviour is refused' => sub {
    my $got = run('sole-owner', '--state', $state, 'x');
    isnt($got->{status}, 0, 'it does not start');
    line_like($got->{err}, qr/counts.*table/, 'and both are named');
};

done_testing;
