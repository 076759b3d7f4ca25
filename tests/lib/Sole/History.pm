# SPDX-License-Identifier: MIT
#
# Sole::History - what clients of a durable owner were told (the files of tests/crash/client.c), held against
# what the owner's folder says was done (sole-owner --log DIR --json), and against a model of the table.
#
# The revisions are the witness of a linearization: the commands of the log are run on the model in their
# order, each must have given what the log and its client say, and that order must be possible in real time.
# What is found wrong is returned as sentences; nothing is judged "about right".
package Sole::History;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(read_histories read_log judge model_of);

my %name_of = (1 => 'get', 2 => 'put', 3 => 'delete', 4 => 'add', 5 => 'cas', 10 => 'scan', 12 => 'put-for', 15 => 'bind', 20 => 'lock', 22 => 'unlock');

# All requests of all clients: { client id invoked answered kind ops code session sequence revision durable results }.
# Of one without an answer (the client was told nothing) `answered` is undef.
sub read_histories {
    my @requests;
    for my $file (@_) {
        my ($client) = $file =~ m{([^/]+)\z};
        my %open;
        open my $in, '<', $file or die "cannot read $file: $!\n";
        while (my $line = <$in>) {
            chomp $line;
            if ($line =~ /^i (\d+) (\d+) (\w+) (\S+)$/) {
                push @requests, $open{$1} = { client => $client, id => $1, invoked => $2, kind => $3, ops => $4 };
            } elsif ($line =~ /^a (\d+) (\d+) ([\w-]+) (\d+) (\d+) (\d+) (\d) (\S+)$/) {
                my $request = delete $open{$1} or die "$file: answered twice: $line\n";
                @$request{qw(answered code session sequence revision durable results)} = ($2, $3, $4, $5, $6, $7, $8);
            } else {
                die "$file: not a line of a history: $line\n";
            }
        }
    }
    return \@requests;
}

# The records that matter, in order: { kind revision round session sequence ops code results }. With after => ROUND only
# those of later rounds; with only => REGEX, of those that have operations only where they match.
sub read_log {
    my ($file, %options) = @_;
    my @records;
    open my $in, '<', $file or die "cannot read $file: $!\n";
    while (my $line = <$in>) {
        my ($round, $revision, $kind) = $line =~ /"round":(\d+),"revision":(\d+),"record":"(\w+)"/
            or die "$file: not a line of a log: $line";
        next if $round <= ($options{after} // 0);
        my %record = (kind => $kind, revision => $revision, round => $round);
        ($record{session})  = $line =~ /"session":(\d+)/;
        ($record{sequence}) = $line =~ /"sequence":(\d+)/;
        ($record{code})     = $line =~ /"code":"(\w+)"/;
        ($record{results})  = $line =~ /"reply":(\[.*\]),"digest"/;
        if ($line =~ /"operations":\[(.*?\})\]/) {
            my $operations = $1;
            my @names;
            # A journal without its beginning, and without a snapshot, does not say whose operations they are.
            push @names, ($2 // $name_of{$1}) . "($3)" while $operations =~ /"number":(\d+)(?:,"name":"([^"]+)")?,"arguments":\[([^\]]*)\]/g;
            $record{ops} = join ';', @names;
            next if $options{only} && $record{ops} !~ $options{only};
        }
        push @records, \%record;
    }
    return \@records;
}

# ---- the model ----

sub value { my ($model, $key) = @_; return $model->{table}{$key} }

# Runs one operation; returns its results as the log prints them.
sub step {
    my ($model, $operation) = @_;
    my ($name, $arguments) = $operation =~ /^(\w+)\((.*)\)$/ or die "no operation: $operation";
    my ($key, @values) = split /,/, $arguments;
    my $table = $model->{table};
    my $was   = exists $table->{$key} ? 1 : 0;
    if ($name eq 'get')    { return '[' . ($table->{$key} // 'null') . ']' }
    if ($name eq 'put')    { $table->{$key} = $values[0]; return "[$was]" }
    if ($name eq 'delete') { delete $table->{$key}; return "[$was]" }
    if ($name eq 'add')    { $table->{$key} = ($table->{$key} // 0) + $values[0]; return "[$table->{$key}]" }
    if ($name eq 'cas')    { return 'conflict' if !$was || $table->{$key} != $values[0]; $table->{$key} = $values[1]; return '[]' }
    if ($name eq 'unlock') { return '[]' }
    die "the model does not know $name";
}

sub run_all { my ($model, $ops) = @_; return '[' . join(',', map { step($model, $_) } split /;/, $ops) . ']' }

# The state after all of a log.
sub model_of {
    my ($records) = @_;
    my $model = { table => {} };
    for my $record (@$records) {
        run_all($model, $record->{ops}) if $record->{kind} eq 'run' && $record->{ops} !~ /^lock/;
    }
    return $model->{table};
}

# ---- the judgement ----

# judge(REQUESTS, RECORDS [, lost => sub, from => STATE]): returns { problems => [sentence ...], state, figures }. An answer
# that the log does not bear out is a problem, unless lost->(request) says that it may be missing (durability interval).
# `from` is the {state} of the judgement before, where these records go on behind those of that one.
sub judge {
    my ($requests, $records, %options) = @_;
    my @problems;
    my $problem = sub { push @problems, join ' ', @_ };
    my $told = sub { my $r = $_[0]; "client $r->{client} request $r->{id} $r->{ops}:" };
    my $may_be_lost = $options{lost} // sub { 0 };
    my (%run, %answered, %figures, @lost);
    my $last = 0;

    # Once, and in order.
    for my $record (@$records) {
        $problem->("revision $record->{revision} comes after $last") if $record->{revision} < $last;
        $last = $record->{revision};
        my $kind = $record->{kind};
        next if $kind !~ /^(?:run|refused|answered)$/;
        my $name = "$record->{session}:$record->{sequence}";
        my $seen = $kind eq 'answered' ? \%answered : \%run;
        $problem->("$name was done twice, at revisions $seen->{$name}{revision} and $record->{revision}") if $seen->{$name};
        $seen->{$name} = $record;
    }

    # What was answered is there, and is the same.
    my (%asked, @queries);
    for my $request (@$requests) {
        $figures{requests}++;
        if (!defined $request->{answered}) { $figures{unanswered}++; next }
        if ($request->{code} !~ /^(?:ok|conflict)$/) {
            $figures{errors}++;
            push @{ $figures{error_list} }, $told->($request) . " $request->{code}";
            next;
        }
        if ($request->{kind} eq 'query') { push @queries, $request; $figures{queries}++; next }
        $figures{commands}++;
        my $name   = "$request->{session}:$request->{sequence}";
        my $record = $run{$name};
        $problem->($told->($request), "has the name $name of another") if $asked{$name};
        $asked{$name} = $request;
        my $answer = $record && $record->{code} eq 'waiting' ? $answered{$name} : $record;
        if (!$answer) {
            if ($may_be_lost->($request)) { push @lost, $request; $request->{lost} = 1 }
            else { $problem->($told->($request), "was answered $request->{code} at revision $request->{revision} and is LOST") }
            next;
        }
        if ($answer->{revision} != $request->{revision} || $answer->{code} ne $request->{code}
            || ($request->{code} eq 'ok' && $answer->{results} ne $request->{results})) {
            if ($may_be_lost->($request)) { push @lost, $request; $request->{lost} = 1 }
            else {
                $problem->($told->($request), "was answered $request->{code} $request->{results} at revision $request->{revision}, and the log",
                    "has $answer->{code}", $answer->{results} // '', "at $answer->{revision}");
            }
        }
        $problem->($told->($request), "is $record->{ops} in the log") if defined $record->{ops} && $record->{ops} ne $request->{ops};
        $figures{conflicts}++ if $request->{code} eq 'conflict';
        # A refusal tells what it saw.
        push @queries, $request if $request->{code} eq 'conflict' && $request->{ops} =~ /^cas/;
    }
    # What nobody was told of, which is what somebody asked for who has not heard: a client that was killed.
    my %unanswered;
    $unanswered{ $_->{ops} }++ for grep { !defined $_->{answered} || $_->{code} !~ /^(?:ok|conflict)$/ } @$requests;
    for my $record (grep { $_->{kind} eq 'run' && !$asked{"$_->{session}:$_->{sequence}"} } values %run) {
        $figures{untold}++;
        $problem->("nobody asked for $record->{ops} at revision $record->{revision}") if --$unanswered{ $record->{ops} } < 0;
    }

    # The model in the order of revisions; queries see the state of theirs.
    my $model = $options{from} // { table => {}, token => 0 };
    my $counted_before = $model->{table}{'"counted"'} // 0;
    @queries = sort { $a->{revision} <=> $b->{revision} } grep { !$_->{lost} } @queries;
    my $look = sub {
        my ($request) = @_;
        my $seen = run_all($model, $request->{ops});
        if ($request->{code} eq 'conflict') { return if $seen eq '[conflict]' }
        elsif ($seen eq $request->{results}) { return }
        if ($may_be_lost->($request)) { push @lost, $request; $request->{lost} = 1 }
        else { $problem->($told->($request), "was answered $request->{code} $request->{results} at revision $request->{revision}, where there is $seen") }
    };
    for my $record (@$records) {
        $look->(shift @queries) while @queries && $queries[0]{revision} < $record->{revision};
        if ($record->{kind} eq 'answered' || ($record->{ops} // '') =~ /^lock/ && $record->{code} eq 'ok') {
            my ($token) = $record->{results} =~ /^\[\[(\d+)\]\]$/ or die "revision $record->{revision} of the log: no token";
            $problem->("token $token at revision $record->{revision} is not above $model->{token}") if $token <= $model->{token};
            $model->{token} = $token;
            $figures{locks}++;
        }
        next if $record->{kind} ne 'run' || $record->{code} eq 'waiting' || $record->{ops} =~ /^lock/;
        my $results = run_all($model, $record->{ops});
        $problem->("revision $record->{revision} $record->{ops} gave $record->{results}, and should have given $results")
            if $results ne $record->{results};
        # Every account is somebody else's loss.
        my $sum = 0;
        $sum += $model->{table}{qq("a$_")} // 0 for 0 .. 7;
        $problem->("the accounts hold $sum at revision $record->{revision}") if $sum != 0;
    }
    $look->(shift @queries) while @queries;

    # Whoever begins after another has been answered comes after it.
    my @ends = sort { $a->{answered} <=> $b->{answered} }
        grep { defined $_->{answered} && $_->{code} =~ /^(?:ok|conflict)$/ && !$may_be_lost->($_) } @$requests;
    my ($highest, $at) = (0, 0);
    for my $request (sort { $a->{invoked} <=> $b->{invoked} } @ends) {
        while ($ends[$at]{answered} < $request->{invoked}) {
            $highest = $ends[$at]{revision} if $ends[$at]{revision} > $highest;
            $at++;
        }
        # To delete what is not there changes nothing, and takes no revision.
        my $changed = $request->{kind} eq 'command' && $request->{code} eq 'ok' && "$request->{ops}$request->{results}" !~ /^delete.*\[\[0\]\]$/;
        my $least = $highest + ($changed ? 1 : 0);
        $problem->($told->($request), "has revision $request->{revision}, and was asked when $highest had been answered")
            if $request->{revision} < $least;
    }
    # The one thing that only the lock makes one step.
    my $counted = $counted_before + grep { $_->{kind} eq 'run' && $_->{ops} =~ /^put\("counted"/ } @$records;
    $problem->("counted $counted times under the lock, and the count is " . ($model->{table}{'"counted"'} // 'none'))
        if ($model->{table}{'"counted"'} // 0) != $counted && !$options{lost};

    return { problems => \@problems, model => $model->{table}, state => $model, lost => \@lost, revision => $last,
        requests => 0, commands => 0, queries => 0, conflicts => 0, locks => 0, errors => 0, unanswered => 0, untold => 0, error_list => [], %figures };
}

1;
