"""No test reaches beyond this machine: a name looked up or an address connected to outside loopback is an error.

An audit hook sees every socket Python makes, also those of packages that kept their own reference to ``socket``. It
cannot see sockets that C code opens by itself (libpq, htslib), nor other processes; those get loopback addresses only.
The error is no OSError, so that code which retries on a failed connection does not hide it.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

import pytest

REACHING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKING_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


class NetworkClosed(RuntimeError):
    """A test tried to leave the machine."""


def stays_here(host: object) -> bool:
    """True for this machine's own names, loopback addresses, the wildcard address and no address at all."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in {None, "", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REACHING:
        address = arguments[1]
        # An internet address is a tuple; a unix socket is a path and stays on this machine.
        if isinstance(address, tuple) and not stays_here(address[0]):
            raise NetworkClosed(f"tests do not connect beyond loopback: {address[0]}")
    elif event in LOOKING_UP and not stays_here(arguments[0]):
        raise NetworkClosed(f"tests do not look up names beyond loopback: {arguments[0]!r}")


def pytest_configure(config: pytest.Config) -> None:
    """Closed for the life of the process: an audit hook cannot be taken away again."""
    sys.addaudithook(_watch)
