"""Connections to public addresses only: what stands between a URL from a request and our own network.

The check is made on the address that is connected to, for every connection, so that neither a redirect nor a name that
resolves differently the second time gets around it.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import anyio
import httpcore
from typing_extensions import override

from gateway.errors import UnsafeUrl

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Addresses inside these lead to an IPv4 address of their own choice (RFC 6052, RFC 8215).
NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
# Newer than some Pythons' own lists: documentation (RFC 9637), 6to4 relays (RFC 7526), segment routing (RFC 9602).
NOT_PUBLIC: tuple[Network, ...] = (IPv6Network("3fff::/20"), IPv4Network("192.88.99.0/24"), IPv6Network("5f00::/16"))


def is_public(address: Address) -> bool:
    """Whether the address, and whatever IPv4 address is wrapped in it, belongs to the public internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and any(address in network for network in NAT64):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    if any(address.version == network.version and address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class PublicNetwork(httpcore.AnyIOBackend):
    """httpcore's way to open connections, less the private addresses.

    Args:
        also_allowed: networks of the operator's that requests may name as well.
    """

    def __init__(self, also_allowed: Iterable[str] = ()) -> None:
        self._also_allowed: tuple[Network, ...] = tuple(ip_network(network) for network in also_allowed)

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the host's first address, if all of them are public.

        Raises:
            UnsafeUrl: one is not, or the name has no address.
        """
        addresses = await self._addresses(host, port)
        if not addresses or not all(self._allows(address) for address in addresses):
            raise UnsafeUrl
        return await super().connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    @override
    async def connect_unix_socket(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise UnsafeUrl

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnsafeUrl from error
        return [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]

    def _allows(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._also_allowed)
