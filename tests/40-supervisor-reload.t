# SPDX-License-Identifier: MIT
#
# SIGHUP: only what changed in the file is touched, and a file with mistakes
# changes nothing.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Socket::UNIX;
use Sole::Supervised;
use Sole::Test;
use Test::More;

sub pid_of { return (status_of('reload', $_[0]))[0] // 'none' }

sub read_again {
    my ($s, @parts) = @_;
    my $before = () = $s->err =~ /read again/g;
    write_file('reload', @parts);
    $s->signal('HUP');
    wait_until { (() = $s->err =~ /read again/g) > $before };
    my ($line) = reverse grep { /read again/ } split /\n/, $s->err;
    return $line;
}

my @same = child('same', 'ready', ready => 'notify');
my $s = supervised('reload', @same,
    child('changed', 'mark FILE:changed on-term FILE:changed-term ready', ready => 'notify'),
    child('removed', 'on-term FILE:removed ready', ready => 'notify', listen => 'gone'),
    child('many', 'ready', ready => 'notify', instances => 3));
wait_up($s);
my %pid = map { $_ => pid_of($_) } qw(same changed removed many.1 many.2 many.3);

like(read_again($s, @same,
        child('fresh', 'mark FILE:fresh ready', ready => 'notify', listen => 'new'),
        child('changed', 'mark FILE:changed on-term FILE:changed-term ready', ready => 'notify', environment => ['A = 1']),
        child('many', 'ready', ready => 'notify', instances => 5)),
    qr/1 children changed, 3 new, 1 removed$/, 'the file is read again, and what changed is told');
ok(wait_until { pid_of('many.5') =~ /^\d+$/ && (status_of('reload', 'many.5'))[1] eq 'ready' }, 'added instances are started');
is(pid_of('same'), $pid{same}, 'an unchanged child goes on');
is(pid_of("many.$_"), $pid{"many.$_"}, "... and instance $_ of one that has more of them") for 1 .. 3;
is(scalar(marks('changed')), 2, 'a changed child is restarted');
is(scalar(marks('changed-term')), 1, '... after it was stopped in good order');
is(scalar(marks('removed')), 1, 'a removed child is stopped in good order');
is(pid_of('removed'), 'none', '... and no longer listed');
is(scalar(marks('fresh')), 1, 'a new child is started');
ok(-S path('new.sock') && !-e path('gone.sock'), 'its socket is made, that of the removed one is gone');
is((status_of('reload', 'changed'))[3], 1, 'a restart by order is counted in the table');

# mistakes
%pid = map { $_ => pid_of($_) } qw(same changed fresh many.1);
like(read_again($s, @same, "child = broken\n    command = no-such-program\n"), qr/has mistakes: nothing was changed$/, 'a file with mistakes changes nothing');
like($s->err, qr/reload\.zpl:3: command: 'no-such-program'|reload\.zpl:\d+: command: 'no-such-program'/, '... and says why, by line');
is(pid_of($_), $pid{$_}, "... $_ goes on") for sort keys %pid;
like(read_again($s, "name = other\n", @same), qr/the name 'reload' cannot become 'other' .*nothing was changed$/, 'a change of name is refused');
my $taken = IO::Socket::UNIX->new(Local => path('taken.sock'), Listen => 1);
like(read_again($s, @same, child('x', '', listen => 'taken')), qr/taken\.sock is in use.*nothing was changed$/, 'a socket that is in use is refused');
is(pid_of($_), $pid{$_}, "... $_ goes on") for sort keys %pid;

# order alone, and fewer instances
like(read_again($s, child('many', 'ready', ready => 'notify', instances => 2), @same), qr/0 children changed, 0 new, 5 removed$/, 'a change of order restarts nobody');
ok(wait_until { pid_of('many.3') eq 'none' }, 'instances that are too many are stopped');
is(pid_of('many.1'), $pid{'many.1'}, '... the others go on');
is(pid_of('same'), $pid{same}, '... and so do the others');

# many times
{
    my $fds = sub { my @all = glob('/proc/' . $s->pid . '/fd/*'); scalar @all };
    my $before = $fds->();
    wait_until { my $now = $fds->(); my $still = $now == $before; $before = $now; $still } 2;    # the last client is closed
    for my $i (1 .. 20) {
        read_again($s, child('many', 'ready', ready => 'notify', instances => 2), @same, child('turn', "ready mark FILE:turn", ready => 'notify', environment => ["I = $i"]));
        wait_marks('turn', $i);
    }
    read_again($s, child('many', 'ready', ready => 'notify', instances => 2), @same);
    wait_until { pid_of('turn') eq 'none' };
    ok(wait_until(sub { $fds->() <= $before }), 'reading the file again and again leaves no descriptor');
}
is(stop_well($s), 0, 'SIGTERM: status 0');

done_testing();
