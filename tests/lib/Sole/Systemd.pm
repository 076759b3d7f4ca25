# SPDX-License-Identifier: MIT
#
# Sole::Systemd - a real systemd for the tests, with the project installed under it.
#
# It is process 1 of namespaces of its own, over a copy in memory of the machine's files: see systemd-box. Nothing is
# left of it when the test ends, however that ends: no mount, no process, no control group. Needs root and the
# package systemd, which need not run; boot() tells what is missing, for a test to be skipped.
package Sole::Systemd;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use POSIX ();
use Sole::Test;
use Test::More;

our @EXPORT = qw(boot install_to box box_start inside box_write systemctl property main_pid journal box_stop box_pids box_signal);

my $top = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));
my $script = dirname(dirname(abs_path(__FILE__))) . '/systemd-box';
my ($unshare, $init, $group, @inside);

# The machine's unified hierarchy, which on hybrid ones is a branch.
sub _groups { return -e '/sys/fs/cgroup/unified/cgroup.procs' ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup' }

# What is missing, or ''.
sub _missing {
    return 'needs root, to make namespaces' if $> != 0;
    for my $program (qw(unshare nsenter setpriv)) {
        return "needs $program of util-linux" if !-x "/usr/bin/$program";
    }
    return 'needs the package systemd' if !-x '/lib/systemd/systemd';
    return 'needs the unified hierarchy of control groups' if !-e _groups() . '/cgroup.procs';
    my $try = run('/usr/bin/unshare', qw(--mount --pid --cgroup --ipc --uts --net --fork), 'sh', '-c',
        'd=$(mktemp -d) && mount --make-rprivate / && mount -t tmpfs t $d && mkdir $d/u $d/w $d/r && '
        . 'mount -t overlay -o lowerdir=/,upperdir=$d/u,workdir=$d/w o $d/r; s=$?; umount -l $d/r $d; rmdir $d; exit $s');
    return 'namespaces or an overlay are not to be had here: ' . ($try->{err} =~ s/\s+/ /gr) if $try->{status} != 0;
    return '';
}

# Installs the programs under test below a folder, as `make install` does.
sub install_to {
    my ($folder, @variables) = @_;
    my ($variant) = program('') =~ m{/build/([^/]+)/bin/?\z};
    $variant //= 'plain';
    my @as_built = $variant =~ s/-clang\z// ? 'CC=clang' : ();
    push @as_built, 'COVERAGE=1' if $variant eq 'coverage';
    push @as_built, 'SANITIZE=' . $1 =~ tr/-/,/r if $variant =~ /^sanitize-(.*)/;
    my %clean = map { $_ => undef } qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES);
    my $made = run({ env => \%clean, limit => 60 }, '/usr/bin/make', '-s', '-C', $top, 'install', "DESTDIR=$folder",
        @as_built, @variables);
    die "make install: $made->{err}\n" if $made->{status} != 0;
    return $folder;
}

# boot(): a systemd with the project installed in /usr/local, up when this returns. '' then, else why it cannot be had.
# boot(install => sub { my ($folder) = @_; ... }) lays other files over the machine's instead.
sub boot {
    my (%options) = @_;
    my $missing = _missing();
    return $missing if $missing ne '';
    my ($folder, $over) = (folder() . '/box', folder() . '/over');
    make_path($folder, $over);
    my $install = $options{install} // sub { install_to($_[0]) };
    $install->($over);
    _sweep();
    $group = _groups() . "/sole-box-$$";
    mkdir $group or return "cannot make a control group: $!";
    $unshare = start({ notify => 0, name => 'systemd', setup => sub {
        spew("$group/cgroup.procs", "0\n");
    } }, '/usr/bin/setpriv', '--pdeathsig', 'KILL', 'unshare', qw(--mount --pid --cgroup --ipc --uts --net --fork),
        '--kill-child=KILL', $script, $folder, $over);
    # Its only child is process 1, which is a shell before it is systemd.
    wait_until {
        ($init) = slurp("/proc/$unshare->{pid}/task/$unshare->{pid}/children") =~ /^(\d+)/;
        return !$unshare->running || (defined $init && slurp("/proc/$init/comm") eq "systemd\n");
    } 20;
    my $up = $unshare->running && defined $init
        && wait_until { box('systemctl', 'is-system-running')->{out} =~ /^(running|degraded)$/ } 30;
    die "systemd did not come up:\n" . $unshare->err if !$up;
    note box('systemctl', '--failed', '--no-legend')->{out};
    return '';
}

# The command that runs one inside.
sub inside { return ('/usr/bin/nsenter', '-t', $init, qw(-m -u -i -n -p -C --), @_) }

# box([\%options,] COMMAND ...): runs it in there to its end, as Sole::Test::run does.
sub box {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    my %env = map { $_ => undef } qw(SOLE_RUNTIME_DIR XDG_RUNTIME_DIR NOTIFY_SOCKET);
    return run({ name => 'box', %$options, env => { %env, %{ $options->{env} // {} } } }, inside(@_));
}

# The same in the background; ended with the box. Its process is box_signal's to signal.
sub box_start {
    my $options = ref $_[0] eq 'HASH' ? shift : {};
    my %env = map { $_ => undef } qw(SOLE_RUNTIME_DIR XDG_RUNTIME_DIR NOTIFY_SOCKET);
    push @inside, start({ name => 'box', notify => 0, %$options, env => { %env, %{ $options->{env} // {} } } }, inside(@_));
    return $inside[-1];
}

# The processes that box_start's nsenter has started, as the test sees their numbers.
sub box_pids {
    my ($process) = @_;
    return split ' ', slurp("/proc/$process->{pid}/task/$process->{pid}/children");
}

sub box_signal {
    my ($process, $signal) = @_;
    return kill $signal => box_pids($process);
}

# Writes a file in there.
sub box_write {
    my ($path, $contents) = @_;
    spew("/proc/$init/root$path.new", $contents);
    rename "/proc/$init/root$path.new", "/proc/$init/root$path" or die "cannot rename: $!\n";
}

# systemctl(ARGUMENTS ...): its exit status.
sub systemctl {
    my $run = box('systemctl', @_);
    diag("systemctl @_: $run->{err}") if $run->{err} ne '' && $run->{status};
    return $run->{status};
}

# One property of a unit.
sub property {
    my ($unit, $name) = @_;
    my $value = box('systemctl', 'show', '-P', $name, $unit)->{out};
    chomp $value;
    return $value;
}

# A unit's main process, as it is numbered in there; 0: none.
sub main_pid { return property($_[0], 'MainPID') }

# The messages of a unit (or whatever else journalctl is told), without what stands before them.
sub journal {
    my (@what) = @_;
    @what = ('-u', @what) if $what[0] !~ /^-/;
    return box('journalctl', '--no-pager', '-o', 'cat', @what)->{out};
}

# Control groups of boxes whose test was killed.
sub _sweep {
    for my $old (glob _groups() . '/sole-box-*') {
        my ($pid) = $old =~ /(\d+)\z/;
        _remove_group($old) if !-e "/proc/$pid";
    }
}

sub _remove_group {
    my ($folder) = @_;
    # No glob: their names have backslashes.
    opendir my $in, $folder or return 0;
    _remove_group("$folder/$_") for grep { !/^\.\.?$/ && -d "$folder/$_" } readdir $in;
    return rmdir $folder;
}

# Ends it and what runs in it. True: nothing is left of it.
sub box_stop {
    return 1 if !$unshare;
    # It must not wait for processes that are not its children.
    for my $process (grep { $_->running } @inside) {
        kill KILL => box_pids($process);
        $process->finish(5);
    }
    kill POSIX::SIGRTMIN() + 4 => $init if defined $init && $unshare->running;
    my $ended = wait_until { !$unshare->running } 20;
    if (!$ended) {
        diag('systemd did not power off: killed');
        kill KILL => $init;
        wait_until { !$unshare->running } 10;
    }
    undef $unshare;
    my $removed = wait_until { _remove_group($group) || !-d $group } 5;
    return $ended && $removed;
}

END {
    my $status = $?;
    box_stop() if defined $group;
    $? = $status;
}

1;
