"""All that is known of a connection, gathered for who asks: from its socket and from itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from OpenSSL import SSL
from twisted.internet import address as twisted_address

from tcpd.handshake.as_json import compact as compact_json
from tcpd.handshake.facts import Absence, End, Facts, NoServerIsn, Proxy, Tls, Transport
from tcpd.handshake.packet import PacketError, SavedSyn, parse_saved_syn
from tcpd.handshake.tcp_info import TcpInfo, parse_tcp_info
from tcpd.net.connection_view import ConnectionView
from tcpd.net.kernel import TCP_INFO, Noted, Watch, read_syn
from tcpd.net.proxy import ProxyFacts
from tcpd.net.route import way_to
from tcpd.net.tls import TLSFacts
from tcpd.policy.addresses import plain_address

#: More than any kernel has in its ``struct tcp_info``.
_LONGEST_INFO = 512

#: TCP_CA_NAME_MAX in ``include/net/tcp.h``.
_LONGEST_NAME = 16

#: How many wrappers of Twisted's (TLS of an endpoint, say) may be around the one with the socket.
_MOST_WRAPPERS = 4


def gather(connection: ConnectionView) -> Facts:
    """Gather it; some ten system calls, none of which waits.

    What only its protocol knows (commands, account, encoding) is left out.
    """
    sock = socket_of(connection)
    common: dict[str, Any] = {
        "proxy": _proxy(connection, connection.proxy),
        "tls": connection.tls and _tls(connection.tls, connection.tls_handle),
        "age": connection.age,
        "bytes_in": connection.bytes_in,
        "bytes_out": connection.bytes_out,
        "service": connection.service,
        "protocol": connection.kind,
    }
    if sock is not None and sock.family == socket.AF_UNIX:
        return Facts(
            transport=Transport.UNIX,
            no_saved_syn=Absence.UNIX,
            no_server_isn=NoServerIsn.UNIX,
            **common,
        )
    if sock is None:
        return Facts(
            transport=Transport.OTHER,
            no_saved_syn=Absence.NOT_TCP,
            no_server_isn=NoServerIsn.NOT_TCP,
            **common,
        )
    watch, noted = connection.watch, connection.notes()
    read_syn(sock, watch, noted)
    syn, no_syn = saved_syn(watch, noted)
    remote, zone = _end(sock.getpeername)
    local = _end(sock.getsockname)[0]
    interface, mtu = (
        (None, None)
        if remote is None or local is None
        else way_to(remote.address, zone, local.address)
    )
    return Facts(
        transport=Transport.TCP,
        local=local,
        remote=remote,
        saved_syn=syn,
        no_saved_syn=no_syn,
        link_layer=watch.mode == 2,
        accepted=_info(noted.begin),
        now=_info(_option(sock, TCP_INFO, _LONGEST_INFO)),
        server_isn=noted.isn,
        no_server_isn=None if noted.isn is not None else watch.no_isn or NoServerIsn.FAILED,
        congestion=_text(_option(sock, socket.TCP_CONGESTION, _LONGEST_NAME)),
        max_segment=_number(sock, socket.TCP_MAXSEG),
        interface=interface,
        interface_mtu=mtu,
        **common,
    )


def socket_of(connection: ConnectionView) -> socket.socket | None:
    """The socket below a connection; ``None`` where there is none, or it is not to be had."""
    below: Any = connection
    for _ in range(_MOST_WRAPPERS):
        try:
            handle = below.getHandle()
        except AttributeError:
            handle = None
        if isinstance(handle, socket.socket):
            return handle
        below = getattr(below, "transport", None)
        if below is None:
            break
    return None


def saved_syn(watch: Watch, noted: Noted) -> tuple[SavedSyn | None, Absence | None]:
    """What :func:`tcpd.net.kernel.read_syn` has read, or why there is nothing."""
    if not noted.syn:
        if watch.no_syn is not None or noted.syn is None:
            return None, watch.no_syn or Absence.FAILED
        return None, Absence.COOKIES_OR_EARLY if watch.listened else Absence.COOKIES_OR_LOST
    try:
        return parse_saved_syn(noted.syn, watch.mode == 2), None
    except PacketError:
        return None, Absence.FAILED


def _info(data: bytes | None) -> TcpInfo | None:
    if data is None:
        return None
    try:
        return parse_tcp_info(data)
    except PacketError:
        return None


def _option(sock: socket.socket, option: int, size: int) -> bytes | None:
    with suppress(OSError):
        return sock.getsockopt(socket.IPPROTO_TCP, option, size)
    return None


def _number(sock: socket.socket, option: int) -> int | None:
    with suppress(OSError):
        return sock.getsockopt(socket.IPPROTO_TCP, option)
    return None


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.partition(b"\0")[0].decode("ascii", "backslashreplace")


def _end(ask: Callable[[], Any]) -> tuple[End | None, int]:
    """The address of one end, by a socket's method, and the zone of a link-local address, or 0."""
    with suppress(OSError):
        host, port, *more = ask()
        return _end_at(host, port), more[1] if more else 0
    return None, 0


def _end_at(host: str, port: int) -> End:
    return End(plain_address(host), port)


def _proxy(connection: ConnectionView, header: ProxyFacts | None) -> Proxy | None:
    if header is None:
        return None
    client = connection.getPeer()
    known = not connection.of_proxy and isinstance(
        client, twisted_address.IPv4Address | twisted_address.IPv6Address
    )
    ssl = header.ssl
    return Proxy(
        version=header.version,
        local=header.local,
        client=_end_at(client.host, client.port) if known else None,
        host=None if header.host is None else _end_at(header.host.host, header.host.port).address,
        tls_version=ssl.version if ssl else None,
        tls_cipher=ssl.cipher if ssl else None,
        server_name=header.authority,
        alpn=None if header.alpn is None else header.alpn.decode("utf-8", "backslashreplace"),
    )


def _tls(facts: TLSFacts, handle: SSL.Connection | None) -> Tls:
    group = alpn = None
    if handle is not None:
        group = handle.get_group_name()
        alpn = handle.get_alpn_proto_negotiated().decode("utf-8", "backslashreplace")
    return Tls(
        version=facts.version,
        cipher=facts.cipher,
        group=group,
        alpn=alpn,
        server_name=facts.server_name or "",
        # pyOpenSSL has no name for SSL_session_reused
        resumed=None,
        client="" if facts.fingerprint is None else facts.subject or facts.fingerprint,
    )


def compact(connection: ConnectionView) -> str:
    """What was noted of a handshake, in one line for the log, when the connection is over.

    :return: ``mss=1460 wscale=7 sack=yes ts=yes ttl=64 rtt=120``, the last in microseconds; what is
        not known is a hyphen. A UNIX socket has nothing but hyphens.
    """
    noted = connection.noted or Noted()
    syn, no_syn = saved_syn(connection.watch, noted)
    facts = Facts(saved_syn=syn, no_saved_syn=no_syn, accepted=_info(noted.begin))
    return " ".join(f"{name}={_word(value)}" for name, value in compact_json(facts).items())


def _word(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
