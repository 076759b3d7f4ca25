#   The seed's program, one process an actor: an owner, 100 readers, 10 writers.
#
#   The readers and writers begin together when all 111 processes are ready, and
#   a second later they stop: clients first, then the owner, which prints the totals.

strategy  = one_for_one
intensity = 20
period    = 10s
duration  = 1s

child = table
    command = sole-owner seed
    ready   = notify
    output  = plain

child = reader
    command   = sole-reader --owner seed --actors 1 --pause 1ms --keys 5 --wait
    instances = 100
    ready     = notify
    go        = yes
    output    = errors

child = writer
    command   = sole-writer --owner seed --actors 1 --pause 1ms --keys 5 --wait
    instances = 10
    ready     = notify
    go        = yes
    output    = errors
