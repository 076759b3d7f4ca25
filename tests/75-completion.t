# SPDX-License-Identifier: MIT
#
# Completion in bash: a real one at a terminal, with what `make install` puts in place. Subcommands, options, owners,
# keys, operations and children are offered; nothing is changed by it; a slow owner does not hold anybody up.
use strict;
use warnings;
use lib 'tests/lib';
use Cwd qw(abs_path);
use IO::Socket::UNIX;
use Sole::Terminal;
use Sole::Test;
use Test::More;
use Time::HiRes qw(time);

my $script = abs_path('clients/sole.bash-completion');
my $bin    = program('sole') =~ s{/sole\z}{}r;
is(run('/bin/bash', '-n', $script)->{err}, '', 'bash reads the script');

my $owner = start_owner('inventory', '-q');
my $bank  = start_owner('bank', '-q');
run('sole', 'put', '-o', 'inventory', $_, 1) for 'apples', 'apricots', 'user/ann', 'user/bob', 'a:b:one', 'a:b:two', 'two words', "it's";
my $file = spew('config.zpl', "name = app\nchild = reader\n    command = sleep 1000\n    instances = 2\nchild = writer\n    command = sleep 1000\n");
my $supervisor = start('sole-supervisor', $file);
ok(wait_until { run('sole', 'status', '-s', 'app')->{out} =~ /writer +\d+ +ready/ }, 'a supervisor runs') or diag($supervisor->err);

# ---- what sole tells ----

# offers(TITLE, LINE, KIND, CANDIDATES ...)
sub offers {
    my ($title, $line, $kind, @candidates) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($got, $head, @list);
    # On a busy machine an owner may take longer than completion waits: who is offered nothing asks again.
    for (1 .. 20) {
        $got = run('sole', 'complete', '--', $line);
        ($head, @list) = split /\n/, $got->{out};
        last if "@list" eq "@candidates" || $kind ne 'words';
    }
    is($head =~ s/ .*//r, $kind, "$title: of the right kind");
    is("@list", "@candidates", $title) if $kind eq 'words' && @candidates && $candidates[0] ne '...';
    is($got->{err}, '', "$title: in silence");
    return @list;
}

offers('subcommands', 'sole sta', 'words', 'start', 'stats', 'status');
offers('a subcommand that is hidden is not offered', 'sole comp', 'words', '');
offers('options of the subcommand', 'sole put --if', 'words', '--if-absent', '--if-present');
offers('no options of others', 'sole del --if', 'words', '');
offers('owners', 'sole get -o ', 'words', 'bank', 'inventory');
offers('owners behind =', 'sole get --owner=b', 'words', 'bank');
offers('supervisors', 'sole status -s ', 'words', 'app');
offers('keys', 'sole get -o inventory ap', 'words', 'apples', 'apricots');
offers('keys, with the option behind', 'sole get -oinventory user/', 'words', 'user/ann', 'user/bob');
offers('only the first operand is a key', 'sole put -o inventory apples ', 'words', '');
offers('every operand of mget is a key', 'sole mget -o inventory apples user/a', 'words', 'user/ann');
offers('a key in quotes', 'sole get -o inventory "two w', 'words', 'two words');
offers('operations', 'sole call -o inventory unl', 'words', 'unlock');
offers('keys of an operation', 'sole call -o inventory get ap', 'words', 'apples', 'apricots');
offers('no keys where it takes none', 'sole call -o inventory put apples ', 'words', '');
offers('children, one and all instances', 'sole restart ', 'words', 'reader', 'reader.1', 'reader.2', 'writer');
offers('subcommands behind help', 'sole help sca', 'words', 'scan');
offers('owners for the doctor', 'sole doctor ', 'words', 'bank', 'inventory');
offers('files', 'sole backup -o inventory ', 'files');
offers('commands behind lock', 'sole lock -o inventory l -- ', 'commands');
offers('nothing behind an owner that is not there', 'sole get -o nobody ', 'words', '');
offers('nothing without an owner', 'sole get ', 'words', '');
{
    local $ENV{SOLE_ENDPOINT} = 'ipc://' . path('inventory.sock');
    offers('keys of the endpoint of the environment', 'sole get ap', 'words', 'apples', 'apricots');
}
offers('nothing of a line that is no line', "sole get 'a b", 'words', '');
offers('nothing of nothing', '', 'words', '');

# Nothing is changed
my $status = sub { join "\n", run('sole', 'status', '-o', 'inventory')->{out} =~ /^((?:sessions|revision|entries): .*)$/mg };
my $before = $status->();
offers('keys', 'sole get -o inventory ap', 'words', 'apples', 'apricots');
offers('operations', 'sole call -o inventory unl', 'words', 'unlock');
is($status->(), $before, 'no session is opened and nothing written');
my ($commands) = run('sole', 'stats', '-o', 'inventory', '-j')->{out} =~ /"commands":(\d+)/;
offers('keys again', 'sole get -o inventory ap', 'words', 'apples', 'apricots');
is((run('sole', 'stats', '-o', 'inventory', '-j')->{out} =~ /"commands":(\d+)/)[0], $commands, '... and no command is asked');

# Nobody waits
$owner->signal('STOP');
my $start = time;
offers('nothing of an owner that is stopped', 'sole get -o inventory ap', 'words', '');
cmp_ok(time - $start, '<', seconds(3), '... without much waiting');
$owner->signal('CONT');

# ---- bash ----

sub bash {
    my $terminal = Sole::Terminal->new({
            rows => 24, columns => 100, name => 'bash',
            env => { PATH => "$bin:$ENV{PATH}", PS1 => '$ ', HOME => folder(), HISTFILE => undef, INPUTRC => '/dev/null' },
        }, '/bin/bash', '--norc', '--noprofile', '-i');
    $terminal->enter("PS1='> '; bind 'set bell-style none'; source '$script'; cd '" . folder() . "'; clear");
    $terminal->shows(sub { $_[0]->text =~ /\A> *\n\n/ }) or die "no bash\n";
    return $terminal;
}

my $bash = bash();

# types(TITLE, LINE with its Tabs, what stands on the prompt's line then)
sub types {
    my ($title, $typed, $line) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $is_there = sub { $bash->line(($bash->cursor)[0]) eq $line =~ s/ +\z//r && ($bash->cursor)[1] == length $line };
    $bash->type($typed);
    for (1 .. 20) {
        last if wait_until { $is_there->() } 1;
        $bash->type("\t");
    }
    ok($bash->shows($is_there), $title);
    # Not ^C, which may come while bash asks, and end that.
    $bash->key('Ctrl-U');
    $bash->shows(sub { $_[0]->line(($_[0]->cursor)[0]) eq '>' });
}

types('a subcommand', "sole resta\t", '> sole restart ');
types('an option', "sole put --if-a\t", '> sole put --if-absent ');
types('an owner', "sole get -o inv\t", '> sole get -o inventory ');
types('an owner behind =', "sole get --owner=inv\t", '> sole get --owner=inventory ');
types('a key', "sole get -o inventory appl\t", '> sole get -o inventory apples ');
types('as far as it is clear', "sole get -o inventory us\t", '> sole get -o inventory user/');
types('a key with colons', "sole get -o inventory a:b:on\t", '> sole get -o inventory a:b:one ');
types('a key with a blank is quoted', "sole get -o inventory two\t", '> sole get -o inventory two\ words ');
types('... and in quotes is not', "sole get -o inventory \"two\t", '> sole get -o inventory "two words" ');
types('... nor is what begins with one that is', "sole get -o inventory two\\ w\t", '> sole get -o inventory two\ words ');
types('a key with a quote', "sole get -o inventory it\t", "> sole get -o inventory it\\'s ");
types('a child', "sole stop wr\t", '> sole stop writer ');
types('an operation', "sole call -o inventory try\t", '> sole call -o inventory try-lock ');
types('a file', "sole backup conf\t", '> sole backup config.zpl ');
types('a command behind lock', "sole lock -o inventory l -- sole-superv\t", '> sole lock -o inventory l -- sole-supervisor ');
types('an option of sole-owner', "sole-owner --check-c\t", '> sole-owner --check-config ');
types('a limit of sole-owner', "sole-owner --max-conn\t", '> sole-owner --max-connections ');
types('its file', "sole-owner -c conf\t", '> sole-owner -c config.zpl ');
types('a file of sole-supervisor', "sole-supervisor conf\t", '> sole-supervisor config.zpl ');
types('an owner for sole-reader', "sole-reader -o ban\t", '> sole-reader -o bank ');
$bash->type("sole get -o inventory ap\t\t");
ok($bash->shows(qr/^apples +apricots *$/m), 'two Tabs list');
$bash->key('Ctrl-U');
$bash->shows(sub { $_[0]->line(($_[0]->cursor)[0]) eq '>' });
$bash->enter('exit');
$bash->finish;

# ---- where make install puts it ----

SKIP: {
    my $loader = '/usr/share/bash-completion/bash_completion';
    skip 'bash-completion is not installed', 2 if !-e $loader;
    my $to = path('share/bash-completion/completions');
    run('/bin/mkdir', '-p', $to);
    run('/bin/cp', $script, "$to/sole");
    symlink 'sole', "$to/sole-owner";
    $bash = bash();
    $bash->enter("complete -r; export XDG_DATA_DIRS='" . path('share') . "'; source $loader; clear");
    $bash->shows(sub { $_[0]->text =~ /\A> *\n\n/ });
    types('bash-completion loads it when sole is first completed', "sole resta\t", '> sole restart ');
    types('... and under the other names', "sole-owner --check-c\t", '> sole-owner --check-config ');
    $bash->enter('exit');
    $bash->finish;
}

$supervisor->stop;
is($_->stop, 0, 'the owner leaves in order') for $owner, $bank;
done_testing;
