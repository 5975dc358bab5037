"""Loopback addresses."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether connections to that host never leave this machine.

    Args:
        host: a name or an IP address; of the names only "localhost", which is reserved for this
            (RFC 6761): any other may mean another machine tomorrow.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
