"""The wider network of an IPv6 address, so that who has many networks does not count as many.

app/auth/address.py reduces an IPv6 address to its /64, in which a client can have any address. Providers give whole /48s to
customers, each of 65,536 such networks; they also put thousands of customers into one. So a /48 counts too, and may do
more than a /64.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

WIDE_FACTOR = 4
"""How many times as much a /48 may do as one /64 of it."""

_WIDE_BITS = 48


@lru_cache(maxsize=1024)
def find_wide_network(address: str) -> str | None:
    """Return the /48 around an address as client_address() gives it; None for IPv4, and if the address is unknown."""
    if ":" not in address:
        return None
    try:
        network = ipaddress.IPv6Network(address, strict=False)
    except ValueError:
        return None
    return str(network.supernet(new_prefix=_WIDE_BITS)) if network.prefixlen > _WIDE_BITS else str(network)
