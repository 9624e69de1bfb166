"""The facts of a connection, for reports: from its socket, stages and captured handshake."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from OpenSSL import SSL
from twisted.internet import address as twisted_address

from tcpd.handshake.as_json import compact
from tcpd.handshake.client_hello import parse_client_hello
from tcpd.handshake.facts import Absence, Endpoint, Facts, NoServerIsn, Proxy, Tls, Transport
from tcpd.handshake.packet import PacketError, SavedSyn, parse_saved_syn
from tcpd.handshake.sample import sample
from tcpd.handshake.tcp_info import TcpInfo, parse_tcp_info
from tcpd.net.connection_view import ConnectionView
from tcpd.net.handshake_capture import TCP_INFO, CapturedHandshake, CaptureOptions, read_syn
from tcpd.net.proxy import ProxyFacts
from tcpd.net.route import output_interface
from tcpd.policy.addresses import plain_address

#: Bytes; more than any kernel has in its ``struct tcp_info``.
_MAX_INFO = 512

#: TCP_CA_NAME_MAX in ``include/net/tcp.h``.
_MAX_NAME = 16

#: Twisted transports that may wrap the one with the socket, such as an endpoint's TLS.
_MAX_WRAPPERS = 4


def connection_facts(connection: ConnectionView) -> Facts:
    """Return all facts except those that only the protocol knows (commands, account, encoding).

    Takes about ten system calls, none of which blocks.
    """
    sock = socket_of(connection)
    common: dict[str, Any] = {
        "proxy": _proxy(connection, connection.proxy),
        "tls": connection.tls and _tls(connection),
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
    capture, captured = connection.capture, connection.ensure_captured()
    read_syn(sock, capture, captured)
    syn, no_syn = saved_syn(capture, captured)
    remote, zone = _endpoint(sock.getpeername)
    local = _endpoint(sock.getsockname)[0]
    interface, mtu = (
        (None, None)
        if remote is None or local is None
        else output_interface(remote.address, zone, local.address)
    )
    return Facts(
        transport=Transport.TCP,
        local=local,
        remote=remote,
        saved_syn=syn,
        no_saved_syn=no_syn,
        link_layer=capture.mode == 2,
        accepted=_info(captured.begin),
        now=_info(_option(sock, TCP_INFO, _MAX_INFO)),
        server_isn=captured.isn,
        no_server_isn=_no_server_isn(capture, captured),
        congestion=_text(_option(sock, socket.TCP_CONGESTION, _MAX_NAME)),
        max_segment=_number(sock, socket.TCP_MAXSEG),
        interface=interface,
        interface_mtu=mtu,
        **common,
    )


def tcp_sample(connection: ConnectionView) -> dict[str, int] | None:
    """Return the main figures of TCP_INFO at present, by one system call.

    :return: see :func:`tcpd.handshake.sample.sample`; ``None`` if it is no TCP connection.
    """
    sock = socket_of(connection)
    if sock is None or sock.family == socket.AF_UNIX:
        return None
    data = _option(sock, TCP_INFO, _MAX_INFO)
    return None if data is None else sample(data)


def socket_of(connection: ConnectionView) -> socket.socket | None:
    """Return the socket of a connection; ``None`` if its transports have none or hide it."""
    below: Any = connection
    for _ in range(_MAX_WRAPPERS):
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


def saved_syn(
    capture: CaptureOptions, captured: CapturedHandshake
) -> tuple[SavedSyn | None, Absence | None]:
    """Parse the saved SYN, or return why there is none."""
    if not captured.syn:
        if capture.no_syn is not None or captured.syn is None:
            return None, capture.no_syn or Absence.FAILED
        return None, Absence.COOKIES_OR_EARLY if capture.listened else Absence.COOKIES_OR_LOST
    try:
        return parse_saved_syn(captured.syn, capture.mode == 2), None
    except PacketError:
        return None, Absence.FAILED


def _no_server_isn(capture: CaptureOptions, captured: CapturedHandshake) -> NoServerIsn | None:
    """Return why there is no initial sequence number, or ``None`` if there is one."""
    if captured.isn is not None:
        return None
    unread = captured.begin is None and not capture.isn_of_all
    return capture.no_isn or (NoServerIsn.TOO_LATE if unread else NoServerIsn.FAILED)


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


def _endpoint(name_of: Callable[[], Any]) -> tuple[Endpoint | None, int]:
    """Return an address of a socket, and the scope id of a link-local address, or 0.

    :param name_of: the socket's ``getpeername`` or ``getsockname``.
    """
    with suppress(OSError):
        host, port, *more = name_of()
        return _endpoint_at(host, port), more[1] if more else 0
    return None, 0


def _endpoint_at(host: str, port: int) -> Endpoint:
    return Endpoint(plain_address(host), port)


def _proxy(connection: ConnectionView, header: ProxyFacts | None) -> Proxy | None:
    if header is None:
        return None
    client = connection.getPeer()
    known = not connection.client_unknown and isinstance(
        client, twisted_address.IPv4Address | twisted_address.IPv6Address
    )
    ssl = header.ssl
    return Proxy(
        version=header.version,
        local=header.local,
        client=_endpoint_at(client.host, client.port) if known else None,
        host=None
        if header.host is None
        else _endpoint_at(header.host.host, header.host.port).address,
        tls_version=ssl.version if ssl else None,
        tls_cipher=ssl.cipher if ssl else None,
        server_name=header.authority,
        alpn=None if header.alpn is None else header.alpn.decode("utf-8", "backslashreplace"),
    )


def _tls(connection: ConnectionView) -> Tls:
    facts, handle = connection.tls, connection.tls_handle
    assert facts is not None
    group = alpn = resumed = None
    if handle is not None:
        group = handle.get_group_name()
        alpn = handle.get_alpn_proto_negotiated().decode("utf-8", "backslashreplace")
        resumed = _is_resumed(handle)
    return Tls(
        version=facts.version,
        cipher=facts.cipher,
        group=group,
        alpn=alpn,
        server_name=facts.server_name or "",
        resumed=resumed,
        client="" if facts.fingerprint is None else facts.subject or facts.fingerprint,
        hello=parse_client_hello(connection.client_hello),
    )


def _is_resumed(handle: SSL.Connection) -> bool | None:
    """Call SSL_session_reused(3), for which pyOpenSSL has no public name.

    :return: ``None`` if pyOpenSSL has changed inside.
    """
    reused = getattr(getattr(SSL, "_lib", None), "SSL_session_reused", None)
    pointer = getattr(handle, "_ssl", None)
    return None if reused is None or pointer is None else bool(reused(pointer))


def handshake_summary(connection: ConnectionView) -> str:
    """Return the captured handshake in one line, for the access log.

    :return: ``mss=1460 wscale=7 sack=yes ts=yes ttl=64 rtt=120``; ``rtt`` is in microseconds. An
        unknown value is a hyphen; on a UNIX socket all are.
    """
    captured = connection.captured_handshake or CapturedHandshake()
    syn, no_syn = saved_syn(connection.capture, captured)
    facts = Facts(saved_syn=syn, no_saved_syn=no_syn, accepted=_info(captured.begin))
    return " ".join(f"{name}={_word(value)}" for name, value in compact(facts).items())


def _word(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
