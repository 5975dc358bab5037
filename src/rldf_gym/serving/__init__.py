"""The Images API from the other side: one generator of this machine, drawing for many clients.

    socket -> access -> app -> queue -> generator
                               many requests, one batch

Needs the `serve` extra; nothing else of the package imports this room.
"""
