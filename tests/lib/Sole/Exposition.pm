# SPDX-License-Identifier: MIT
#
# Sole::Exposition - reads Prometheus' text format, strictly: what the format's page does not allow is
# a complaint, and so is what promtool would complain of.
#
#   my $metrics = Sole::Exposition->read($text);
#   $metrics->{complaints}                       a list, empty when all is well
#   $metrics->value('sole_reads_total')          of the series of that name, undef when there is none
#   $metrics->value('sole_refusals_total', code => 'busy')
#   $metrics->families                           names, in order
package Sole::Exposition;

use strict;
use warnings;

my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"/;

sub read {
    my ($class, $text) = @_;
    my $self = bless { complaints => [], order => [], type => {}, help => {}, series => {} }, $class;
    $self->_complain('the last line has no end') if $text !~ /\n\z/;
    my $family;
    for my $line (split /\n/, $text) {
        if ($line =~ /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/) {
            my ($what, $name, $rest) = ($1, $2, $3);
            push @{ $self->{order} }, $name if $what eq 'HELP';
            $self->_complain("$what of $name stands twice") if $self->{ lc $what }{$name};
            $self->_complain("TYPE of $name comes after its samples") if $what eq 'TYPE' && $self->{sampled}{$name};
            $self->_complain("$rest is no type") if $what eq 'TYPE' && $rest !~ /^(?:counter|gauge|histogram)$/;
            $self->{ lc $what }{$name} = $rest;
            $self->_complain("$name is told in two places") if $self->{sampled}{$name};
            $family = $name;
        } elsif ($line =~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:$label(?:,$label)*)?)\})? (\S+)$/) {
            $self->_sample($family, $1, $2 // '', $3);
        } else {
            $self->_complain("this is no line: $line");
        }
    }
    $self->_judge;
    return $self;
}

sub _complain { my ($self, $what) = @_; push @{ $self->{complaints} }, $what; return }

sub _sample {
    my ($self, $family, $name, $labels, $value) = @_;
    my $of = $name;
    $of =~ s/_(?:bucket|sum|count)$// if ($self->{type}{ $name =~ s/_(?:bucket|sum|count)$//r } // '') eq 'histogram';
    $self->_complain("$name has no HELP") if !$self->{help}{$of};
    $self->_complain("$name has no TYPE") if !$self->{type}{$of};
    $self->_complain("$name stands apart from its HELP") if ($family // '') ne $of;
    $self->_complain("$name is a counter that does not end in _total") if ($self->{type}{$of} // '') eq 'counter' && $name !~ /_total$/;
    $self->_complain("$name is a gauge that ends in _total") if ($self->{type}{$of} // '') eq 'gauge' && $name =~ /_total$/;
    $self->_complain("$name: $value is no number") if $value !~ /^(?:\d+(?:\.\d+)?|\+Inf)$/;
    $self->_complain("$name\{$labels} stands twice") if exists $self->{series}{$name}{$labels};
    $self->{sampled}{$of} = 1;
    $self->{series}{$name}{$labels} = $value;
    push @{ $self->{buckets}{$of}{ $labels =~ s/,?le="[^"]*"//r } }, [ $labels =~ /le="([^"]*)"/, $value ] if $name =~ /_bucket$/;
    return;
}

# Histograms: bounds that grow, counts that do not fall, and the last is the count of all.
sub _judge {
    my ($self) = @_;
    for my $of (sort keys %{ $self->{buckets} }) {
        for my $labels (sort keys %{ $self->{buckets}{$of} }) {
            my ($bound, $count) = (-1, 0);
            for my $bucket (@{ $self->{buckets}{$of}{$labels} }) {
                my $le = $bucket->[0] eq '+Inf' ? 9**9**9 : $bucket->[0];
                $self->_complain("$of\{$labels}: the bounds do not grow at $bucket->[0]") if $le <= $bound;
                $self->_complain("$of\{$labels}: the counts fall at $bucket->[0]") if $bucket->[1] < $count;
                ($bound, $count) = ($le, $bucket->[1]);
            }
            $self->_complain("$of\{$labels} has no +Inf") if $bound != 9**9**9;
            $self->_complain("$of\{$labels}: +Inf is not the count") if $count != ($self->{series}{"${of}_count"}{$labels} // -1);
            $self->_complain("$of\{$labels} has no sum") if !defined $self->{series}{"${of}_sum"}{$labels};
        }
    }
    for my $name (@{ $self->{order} }) {
        $self->_complain("$name has no samples") if !$self->{sampled}{$name} && ($self->{type}{$name} // '') ne 'histogram';
    }
    return;
}

sub value {
    my ($self, $name, %labels) = @_;
    my ($wanted) = grep {
        my $text = $_;
        !grep { $text !~ /\b$_="\Q$labels{$_}\E"/ } keys %labels;
    } sort keys %{ $self->{series}{$name} // {} };
    return defined $wanted ? $self->{series}{$name}{$wanted} : undef;
}

sub families { return @{ $_[0]{order} } }

1;
