"""A server of the Images API: one generator of this machine, for many clients.

    socket -> access -> app -> queue -> generator
                               many requests, one batch

Needs the `serve` extra; no other module imports this package.
"""
