"""Addresses that data may not lead to: loopback, private networks, and those that cloud machines read secrets from."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from dlt_orchestrate.errors import PrivateAddressError

_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)
_NAT64 = IPv6Network("64:ff9b::/96")


def host_of(url: str) -> str:
    """The host of a URL in lower case, without brackets and final dot; empty if there is none.

    >>> host_of("http://user:pw@API.example.:8080/x"), host_of("http://[::1]/")
    ('api.example', '::1')
    """
    return plain_host(urlsplit(url).hostname or "")


def plain_host(host: str) -> str:
    """A host in the spelling that hosts are compared in.

    >>> plain_host("[::1]"), plain_host("Files.Example.")
    ('::1', 'files.example')
    """
    return host.lower().strip("[]").rstrip(".")


def is_public(address: str) -> bool:
    """Whether an IP address can be reached from everywhere; IPv4 addresses within IPv6 ones are looked at too.

    Source: the special-purpose registries of RFC 6890, as `ipaddress` knows them; RFC 6052 for NAT64.

    >>> [is_public(a) for a in ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822")]
    [True, True, True]
    >>> [is_public(a) for a in ("169.254.169.254", "10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "64:ff9b::a00:1")]
    [False, False, False, False, False, False]
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and (inner := _inner_ipv4(parsed)) is not None:
        return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def expect_public(host: str, port: int | None) -> None:
    """Resolve a host as a connection would, and raise if any of its addresses is not public.

    A name that does not resolve passes: connecting will say so.

    Raises:
        PrivateAddressError: One is not.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, address in found:
        expect_public_address(host, str(address[0]))


def expect_public_literal(host: str) -> None:
    """Raise if a host is written as an address that is not public, in whatever notation; names pass unresolved.

    Raises:
        PrivateAddressError: It is.
    """
    try:
        address = socket.inet_ntoa(socket.inet_aton(host)) if _NUMBERS.fullmatch(host) else str(ip_address(host))
    except (OSError, ValueError):
        if host == "localhost" or host.endswith(".localhost"):
            raise PrivateAddressError(host=host, address="127.0.0.1") from None
        return
    expect_public_address(host, address)


def expect_public_address(host: str, address: str) -> None:
    """Raise if this address of a host is not public.

    Raises:
        PrivateAddressError: It is not.
    """
    if not is_public(address):
        raise PrivateAddressError(host=host, address=address)


def _inner_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, by NAT64, by 6to4, or compatible."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour
