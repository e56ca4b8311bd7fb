"""How much a fetch may take, and where it may go."""

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
KIB = 1 << 10


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Times in seconds. Raises ValueError for limits that make no sense.

    Args:
        connections: at the same time, to all hosts; `connections_per_host` to one host name.
        image_seconds: for one image from its first request on, with redirects and repeats.
        shard_seconds: for all images of one shard; what is not fetched by then is refused. All
            shards that wait for a worker's threads must fit into the coordinator's lease.
        connect_seconds: for a connection, and again for its TLS handshake.
        idle_seconds: without a single byte.
        attempts: requests for one image that may fail.
        first_delay: before the first repeat; doubles each time.
        longest_wait: cap of repeats and of Retry-After; a host that asks for more is given up.
        host_failures: failures in a row after which a host is given up for the shard.
        redirects: followed for one image.
        header_bytes: of one answer, status line included.
        immutable_seconds: cap on how long an answer marked immutable is not asked for again.
        ports: that may be connected to.
        allowed_networks: may be connected to although they are not public.
        user_agent: names us to the hosts.
    """

    connections: int = 8
    connections_per_host: int = 4
    image_seconds: float = 30.0
    shard_seconds: float = 240.0
    connect_seconds: float = 5.0
    idle_seconds: float = 10.0
    attempts: int = 3
    first_delay: float = 0.5
    longest_wait: float = 30.0
    host_failures: int = 16
    redirects: int = 5
    header_bytes: int = 64 * KIB
    immutable_seconds: float = 30 * 86_400.0
    ports: frozenset[int] = frozenset({80, 443})
    allowed_networks: tuple[Network, ...] = ()
    user_agent: str = "Shelflens (product image import)"

    def __post_init__(self) -> None:
        counts = (self.connections, self.connections_per_host, self.attempts, self.host_failures)
        if min(counts) < 1:
            raise ValueError("connections, attempts and host_failures must be at least 1")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise ValueError("the user agent must be printable ASCII")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks as `10.1.0.0/16, fd00::/8`. Raises ValueError that names the wrong one."""
    return tuple(ipaddress.ip_network(each) for each in _listed(text))


def parse_ports(text: str) -> frozenset[int]:
    """Ports as `80, 443`. Raises ValueError unless there is one, and all are 1 to 65535."""
    ports = frozenset(int(each) for each in _listed(text))
    if not ports or not all(1 <= each <= 65_535 for each in ports):
        raise ValueError(f"{text!r} are no ports: write them as 80,443")
    return ports


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
