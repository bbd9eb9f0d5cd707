"""Addresses of clients: whose they are, and which are proxies'."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address without its zone; IPv4 written as IPv6 is IPv4.  Raises ValueError."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


def network_of(address: str) -> str:
    """An address; of IPv6 the part that one household or server has."""
    try:
        ip = parsed(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def proxy_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address, or a network, of proxies.  Raises ValueError, also for one that all are of."""
    network = ipaddress.ip_network(text, strict=False)
    if not network.prefixlen:
        raise ValueError("everybody would be a proxy")
    return network


class Proxies:
    """Reverse proxies whose word on where their visitors come from is taken."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [proxy_network(text) for text in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        try:
            ip = parsed(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks)

    def written(self) -> list[str]:
        """The networks, those of IPv4 also as a socket of IPv6 tells them."""
        fours = [network for network in self._networks if network.version == 4]
        mapped = (f"::ffff:{n.network_address}/{96 + n.prefixlen}" for n in fours)
        return [*map(str, self._networks), *mapped]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return name == "localhost"
