"""Which addresses may be connected to: public unicast ones, and networks that are allowed anyway.

Sources: the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890 and later).
"""

import ipaddress
from collections.abc import Iterable, Sequence

from services.ingestion.fetching.limits import Network
from services.ingestion.fetching.refusals import FetchReason, Refused

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: a public address inside every machine
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to any IPv4 address
        "3fff::/20",  # documentation
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_addresses(addresses: Iterable[str], allowed: Sequence[Network]) -> None:
    """Raises Refused (FORBIDDEN_ADDRESS) if a single one of `addresses` may not be reached.

    A name with one public and one private address is refused as a whole: it is either a mistake
    or an attack.
    """
    for text in addresses:
        if not may_connect(text, allowed):
            raise Refused(FetchReason.FORBIDDEN_ADDRESS, text)


def may_connect(text: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection to this numeric address is allowed; False for what is no address."""
    try:
        address = _plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return False
    if any(address in each for each in allowed):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in each for each in _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not any(address in each for each in _NOT_PUBLIC_V6)


def _plain(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for where the system translates it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
