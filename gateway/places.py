"""Where a request comes from: the house's own table of networks, asked on every request (GBA-03).

An address says which network somebody speaks from, not where they sit; a house lists only networks whose place it
knows, such as its own, or a partner's by agreement. Everything else is unknown, and unknown holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

PLACES = ("mainland", "hong_kong", "macau", "overseas")
UNKNOWN = "unknown"


def check_places(table: Mapping[str, str]) -> Mapping[str, str]:
    """The table as it is. Raises ValueError naming a network that is none, or a place that is not one of ``PLACES``."""
    for network, place in table.items():
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"{network[:60]} is not a network such as 192.0.2.0/24") from None
        if place not in PLACES:
            raise ValueError(f"{network}: the place must be one of {', '.join(PLACES)}")
    return table


def check_proxies(listed: str) -> str:
    """The list as it is. Raises ValueError naming what is no address or network: a wildcard would believe everybody."""
    for name in filter(None, (part.strip() for part in listed.split(","))):
        try:
            network = ip_network(name)
        except ValueError:
            raise ValueError(f"{name[:60]} is not an address or a network such as 192.0.2.0/24") from None
        if network.prefixlen == 0:
            raise ValueError(f"{name[:60]} would believe everybody")
    return listed


def place_of(address: str | None, table: Mapping[str, str]) -> str:
    """The place of the narrowest listed network that holds the address; ``unknown`` for every other address."""
    try:
        spoken = ip_address(address or "")
    except ValueError:
        return UNKNOWN
    spoken = getattr(spoken, "ipv4_mapped", None) or spoken
    holding = [net for net in map(ip_network, table) if net.version == spoken.version and spoken in net]
    if not holding:
        return UNKNOWN
    return table[str(max(holding, key=lambda net: net.prefixlen))]
