#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The EXAMPLES of the manual pages of programs, and the README's session, do what they show.
#
# Each page is played in a shell of its own, in an empty folder, from its first example to its
# last, the way a reader would type it:
#   $ command            is run; lines that begin with "> " go on with it. It ends with status 0,
#                        or with the status that a comment on it names: # ... status 1
#   what follows         is its standard output, exactly; where nothing follows, it may print anything.
#                        An output ends with the block, or with the next "$ ".
# A block without "$ " is a script and is run whole. Comments in the page's source say what cannot be
# seen:
#   .\" numbers vary     before a block: its numbers, and the units behind them, and times, are only examples
#   .\" file NAME        before a block: it is no script but the contents of a file
#   .\" not run          before a block: it needs what a test has not
# In the README the same stand in HTML comments, and its blocks are those in ```sh with a "$ ".
# A command that finds nobody there (69) is tried again for a while, as a person would: what was started in
# the background before may not be up yet.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Sole::Test;
use Test::More;

my $top = "$FindBin::Bin/..";
my $nobody_there = 69;

# ---- reading ----

# A block: { lines, vary, file }.
sub block {
    my ($marks, @lines) = @_;
    my ($file) = map { /^file (\S+)$/ } @$marks;
    return { lines => \@lines, vary => scalar(grep { /^numbers vary$/ } @$marks), file => $file };
}

# Literal text of roff as it is printed.
sub unescape {
    my ($line) = @_;
    $line =~ s/\\(?:(e)|(&)|(-)|\((aq|dq|ha|ti)|(.))/$1 ? '\\' : $2 ? '' : $3 ? '-' : $4 ? { aq => "'", dq => '"', ha => '^', ti => '~' }->{$4} : die "the escape \\$5 is not known here\n"/ge;
    return $line;
}

# The blocks of a page's EXAMPLES.
sub blocks_of_page {
    my ($text) = @_;
    my ($section) = $text =~ /^\.Sh EXAMPLES\n(.*?)(?=^\.Sh |\z)/ms or return;
    my (@blocks, @marks, $lines);
    for my $line (split /\n/, $section) {
        if ($line =~ /^\.Ed/) {
            push @blocks, block(\@marks, @$lines) if !grep { $_ eq 'not run' } @marks;
            ($lines, @marks) = ();
        } elsif ($lines) {
            push @$lines, unescape($line);
        } elsif ($line =~ /^\.Bd -literal/) {
            $lines = [];
        } elsif ($line =~ /^\.Dl (.*)/) {
            push @blocks, block(\@marks, unescape($1)) if !grep { $_ eq 'not run' } @marks;
            @marks = ();
        } elsif ($line =~ /^\.\\" (.*)/) {
            push @marks, $1;
        }
    }
    return @blocks;
}

sub blocks_of_readme {
    my ($text) = @_;
    my @blocks;
    while ($text =~ /((?:^<!-- .* -->\n)*)^```sh\n(.*?)^```$/msg) {
        my ($marks, $lines) = ($1, $2);
        push @blocks, block([$marks =~ /^<!-- (.*) -->$/mg], split /\n/, $lines) if $lines =~ /^\$ /m && $marks !~ /not run/;
    }
    return @blocks;
}

# A block's steps: { command, status, output or undef }.
sub steps_of {
    my ($block) = @_;
    my @lines = @{ $block->{lines} };
    return { command => join("\n", @lines), status => 0 } if !grep { /^\$ / } @lines;
    my @steps;
    for my $line (@lines) {
        if ($line =~ /^\$ (.*)/) {
            my $command = $1;
            push @steps, { command => $command, status => $command =~ /\s# .*\bstatus (\d+)/ ? $1 : 0 };
        } elsif (@steps && $line =~ /^> ?(.*)/ && !defined $steps[-1]{output}) {
            $steps[-1]{command} .= "\n$1";
        } elsif (@steps) {
            $steps[-1]{output} = ($steps[-1]{output} // '') . "$line\n";
        } else {
            die "an example begins with what is no command: $line\n";
        }
    }
    return @steps;
}

# ---- playing ----

# Blanks at the end of a line cannot be seen in print.
sub comparable {
    my ($text, $vary) = @_;
    $text =~ s/[ \t]+$//mg;
    $text =~ s/\b\d{4}-\d\d-\d\dT[\d:.]+Z/T/g if $vary;
    $text =~ s/\b\d[\d.]*(?:ns|us|ms|s|KiB|MiB|GiB)?\b/N/g if $vary;
    return $text;
}

# Runs one step in the shell. Returns its status and what it printed.
sub play_step {
    my ($shell, $file, $step, $vary) = @_;
    my ($status, $printed);
    wait_until {
        my $before = length $shell->out;
        unlink "$file.status";
        $shell->say("$file\n");
        wait_until { -s "$file.status" || !$shell->running } 30;
        chomp($status = slurp("$file.status"));
        my $wanted = comparable($step->{output} // '', $vary);
        wait_until {
            $printed = substr $shell->out, $before;
            return !defined $step->{output} || comparable($printed, $vary) eq $wanted;
        } 5;
        return $status ne $nobody_there;
    } 10;
    return ($status, $printed);
}

# play(NAME, what its examples presuppose or undef, blocks ...)
sub play {
    my ($name, $prepare, @blocks) = @_;
    my ($here, $bin) = (path($name =~ tr/./-/r), program('.'));
    mkdir $here or die "mkdir: $!\n";
    mkdir "$here/run" or die "mkdir: $!\n";
    symlink $bin, "$here/bin" or die "symlink: $!\n";
    my $places = $prepare ? $prepare->($here) : {};
    # The shell's standard input is a list of files with a step each; what it runs has none.
    my $shell = start({ stdin => 'pipe', name => "shell-$name", env => { SOLE_RUNTIME_DIR => "$here/run",
                TMPDIR => $here, PATH => "$bin:$ENV{PATH}", HOSTNAME => 'alice' },
            setup => sub { chdir $here or die "chdir: $!\n" } }, '/bin/bash', '-c',
        'while IFS= read -r file; do . "$file" < /dev/null; echo $? > "$file.new"; mv "$file.new" "$file.status"; done');
    my $number = 0;
    for my $block (@blocks) {
        if (defined $block->{file}) {
            spew("$here/$block->{file}", place(join("\n", @{ $block->{lines} }, ''), $places));
            next;
        }
        for my $step (steps_of($block)) {
            my $file = spew("$here/run/step-" . ++$number, place("$step->{command}\n", $places));
            my ($status, $printed) = play_step($shell, $file, $step, $block->{vary});
            my ($title) = split /\n/, $step->{command};
            is($status, $step->{status}, "$name: $title: status $step->{status}")
                or diag(join "\n", grep { defined } (split /\n/, $shell->err)[-10 .. -1]);
            is(comparable($printed, $block->{vary}), comparable($step->{output}, $block->{vary}), "$name: $title: prints what is shown")
                if defined $step->{output};
        }
    }
    $shell->close_input;
    kill KILL => -$shell->pid if $shell->running;    # and what it left in the background
    $shell->finish;
    return;
}

sub place {
    my ($text, $places) = @_;
    $text =~ s/\Q$_\E/$places->{$_}/g for keys %$places;
    return $text;
}

# ---- the pages ----

# What a page's examples presuppose: given the folder where they are played, makes it and returns
# which place here stands for which place of the page.
my %presupposed = (
    'sole-check.1' => sub {
        my ($here) = @_;
        symlink program('queue.so'), "$here/queue.so" or die "symlink: $!\n";
        return {};
    },
    'sole-supervisor.8' => sub {
        my ($here) = @_;
        mkdir "$here/shop" or die "mkdir: $!\n";
        spew("$here/shop/worker", "#!$^X\nuse Socket;\nsocket my \$s, AF_UNIX, SOCK_DGRAM, 0;\n"
                . "send \$s, 'READY=1', 0, pack_sockaddr_un(\$ENV{NOTIFY_SOCKET});\nsleep 1000;\n");
        spew("$here/import", "#!/bin/sh\nexec sleep 1000\n");
        spew("$here/orders", "an order\n");
        chmod 0755, "$here/shop/worker", "$here/import";
        system('gzip', "$here/orders") == 0 or die "gzip: $!\n";
        return { '/srv/shop' => "$here/shop" };
    },
);

my @pages = grep { !-l } sort map { "$top/$_" } glob '*/*.[18] */*/*.[18]';
cmp_ok(scalar @pages, '>', 4, 'there are manual pages of programs');
for my $page (@pages) {
    my ($name) = $page =~ m{([^/]+)$};
    my @blocks = blocks_of_page(slurp($page));
    ok(@blocks > 0, "$name has examples") or next;
    play($name, $presupposed{$name}, @blocks);
}
my @blocks = blocks_of_readme(slurp("$top/README.md"));
ok(@blocks > 0, 'the README has a session');
play('README.md', undef, @blocks);

done_testing;
