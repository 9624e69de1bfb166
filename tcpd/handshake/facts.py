"""The input of the report: the facts that the connection layer gathers about one connection.

Nothing here is derived. ``None`` = unknown; where several reasons are possible, an enum names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from tcpd.handshake.client_hello import ClientHello
from tcpd.handshake.packet import SavedSyn
from tcpd.handshake.tcp_info import TcpInfo


class Transport(StrEnum):
    """The type of the socket."""

    TCP = "tcp"
    UNIX = "unix"
    OTHER = "other"


class _Reason(Enum):
    """Why something is unknown: a stable id, and a text for people."""

    @property
    def id(self) -> str:
        """The stable id."""
        word: str = self.value[0]
        return word

    @property
    def why(self) -> str:
        """The reason for people, without a capital letter and a full stop."""
        sentence: str = self.value[1]
        return sentence


class Absence(_Reason):
    """Why there is no saved SYN."""

    OFF = "off", "[tcpd] handshake = no: the daemon does not set TCP_SAVE_SYN"
    NOT_SUPPORTED = "not-supported", "this kernel does not support TCP_SAVE_SYN"
    COOKIES_OR_LOST = (
        "cookies-or-lost",
        "the kernel saved no SYN, as it does when it sends SYN cookies",
    )
    COOKIES_OR_EARLY = (
        "cookies-or-early",
        "the kernel saved no SYN: the connection began before the daemon started (systemd's socket "
        "was already listening), or SYN cookies were sent",
    )
    UNIX = "unix", "a UNIX socket has no handshake"
    NOT_TCP = "not-tcp", "not a TCP connection"
    FAILED = "failed", "the saved SYN could not be parsed"


class NoServerIsn(_Reason):
    """Why the server's initial sequence number is unknown."""

    OFF = "off", "[tcpd] server_isn = no"
    NOT_SUPPORTED = "not-supported", "this kernel does not support TCP_REPAIR"
    NO_CAPABILITY = "no-capability", "the daemon lacks the capability CAP_NET_ADMIN"
    TOO_EARLY = "too-early", "Twisted opened the listening socket, which was already listening"
    SYSTEMD = "systemd", "systemd passed the listening socket, which was already listening"
    TOO_LATE = "too-late", "it can be read only before the first byte is sent"
    UNIX = "unix", "a UNIX socket has no sequence numbers"
    NOT_TCP = "not-tcp", "not a TCP connection"
    FAILED = "failed", "reading TCP_QUEUE_SEQ failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a TCP connection.

    :ivar address: an IPv4 client of a dual-stack socket has its IPv4 address here.
    :ivar port: 0 to 65535.
    """

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        """Format as ``192.0.2.1:4711`` or ``[2001:db8::1]:4711``."""
        if self.address.version == 4:
            return f"{self.address}:{self.port}"
        return f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The contents of a PROXY header. The TCP connection, and so the handshake, is the proxy's.

    Fields are ``None`` if the header lacks them. Texts are as the proxy sent them; the report
    escapes them.

    :ivar version: the version of the protocol, 1 or 2.
    :ivar local: whether the connection is the proxy's own, such as a health check.
    :ivar client: the client's address and port.
    :ivar host: the address that the client connected to.
    :ivar tls_version: the TLS version of the client's connection to the proxy.
    :ivar tls_cipher: the cipher of that connection.
    :ivar server_name: the name that the client requested (SNI).
    :ivar alpn: the protocol that client and proxy negotiated.
    """

    version: int
    local: bool = False
    client: Endpoint | None = None
    host: IPv4Address | IPv6Address | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None
    server_name: str | None = None
    alpn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The result of the TLS handshake. ``None``: the TLS library has no public API for it.

    The report escapes texts that the peer chose.

    :ivar version: e.g. ``TLSv1.3``.
    :ivar cipher: OpenSSL's name.
    :ivar group: the group of the key exchange, e.g. ``X25519``.
    :ivar alpn: the negotiated protocol; empty if none.
    :ivar server_name: the name that the client requested (SNI); empty if none.
    :ivar resumed: whether the session was resumed.
    :ivar client: the subject of the client's certificate; empty if it sent none.
    :ivar hello: the client's first message; ``None`` if it was not kept or is malformed.
    """

    version: str | None = None
    cipher: str | None = None
    group: str | None = None
    alpn: str | None = None
    server_name: str | None = None
    resumed: bool | None = None
    client: str | None = None
    hello: ClientHello | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts about a connection at one moment.

    :ivar transport: the type of its socket.
    :ivar local: this end; ``None`` for a UNIX socket.
    :ivar remote: the peer of the socket (``getpeername``): the proxy if there is one. ``None`` for
        a UNIX socket.
    :ivar saved_syn: the peer's SYN.
    :ivar no_saved_syn: why there is no saved SYN; ``None`` if and only if there is one.
    :ivar link_layer: whether the SYN was saved with its link-layer header (TCP_SAVE_SYN 2).
    :ivar accepted: TCP_INFO, read at accept, before the first read or write on the socket.
    :ivar now: TCP_INFO at present.
    :ivar server_isn: this end's initial sequence number, unsigned, 32 bits.
    :ivar no_server_isn: why the ISN is unknown; ``None`` if and only if it is known.
    :ivar congestion: the congestion control algorithm (TCP_CONGESTION), e.g. ``cubic``.
    :ivar max_segment: TCP_MAXSEG, bytes.
    :ivar interface: the outgoing interface to the peer.
    :ivar interface_mtu: the MTU of the interface, in bytes.
    :ivar proxy: ``None`` if no PROXY header was received.
    :ivar tls: ``None`` without TLS.
    :ivar age: seconds since accept.
    :ivar bytes_in: bytes received from the client, including TLS and PROXY headers.
    :ivar bytes_out: bytes sent to the client, including TLS.
    :ivar service: the service's name.
    :ivar protocol: the kind of the service, e.g. ``line``.
    :ivar commands: number of commands of the client, the current one included.
    :ivar account: the account that the client logged in to. The report escapes it.
    :ivar encoding: the encoding of text on this connection, e.g. ``UTF-8``.
    :ivar line_ending: the client's line ending: ``CRLF`` or ``LF``.
    """

    transport: Transport = Transport.TCP
    local: Endpoint | None = None
    remote: Endpoint | None = None
    saved_syn: SavedSyn | None = None
    no_saved_syn: Absence | None = None
    link_layer: bool = False
    accepted: TcpInfo | None = None
    now: TcpInfo | None = None
    server_isn: int | None = None
    no_server_isn: NoServerIsn | None = None
    congestion: str | None = None
    max_segment: int | None = None
    interface: str | None = None
    interface_mtu: int | None = None
    proxy: Proxy | None = None
    tls: Tls | None = None
    age: float | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    service: str | None = None
    protocol: str | None = None
    commands: int | None = None
    account: str | None = None
    encoding: str | None = None
    line_ending: str | None = None
