#   The seed's program with its actors grouped: an owner, 10 processes of 10
#   readers each, 1 process of 10 writers. Each process has one socket for all its
#   actors, and what they ask meanwhile goes out as one message.

strategy  = one_for_one
intensity = 20
period    = 10s
duration  = 1s

child = table
    command = sole-owner seed
    ready   = notify
    output  = plain

child = reader
    command   = sole-reader --owner seed --actors 10 --pause 1ms --keys 5 --wait
    instances = 10
    ready     = notify
    go        = yes
    output    = errors

child = writer
    command   = sole-writer --owner seed --actors 10 --pause 1ms --keys 5 --wait
    ready     = notify
    go        = yes
    output    = errors
