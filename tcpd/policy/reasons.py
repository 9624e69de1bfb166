"""Reasons for refusals and for the ends of connections: stable words in logs and metrics."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a client was refused."""

    DENIED = "denied"
    BANNED = "banned"
    ADDRESS_FULL = "address-full"
    SERVICE_FULL = "service-full"
    DAEMON_FULL = "daemon-full"
    UNTRUSTED_PROXY = "untrusted-proxy"
    ADDRESS_RATE = "address-rate"
    HTTP = "http"
    TLS = "tls"
    SERVICE_RATE = "service-rate"
    NO_DESCRIPTOR = "no-descriptor"

    @property
    def sentence(self) -> str:
        """The text that protocols send to the client, without a full stop."""
        return _REFUSALS[self]


class End(StrEnum):
    """Why a connection ended."""

    CLIENT = "client"
    SERVER = "server"
    LOST = "lost"
    TRUNCATED = "truncated"
    FIRST_BYTE = "first-byte"
    IDLE = "idle"
    SESSION = "session"
    SLOW_READER = "slow-reader"
    STALLED = "stalled"
    LINGER = "linger"
    NO_MEMORY = "no-memory"
    REFUSED = "refused"
    PROXY_FAILED = "proxy-failed"
    PROXY_TIMEOUT = "proxy-timeout"
    TLS_FAILED = "tls-failed"
    TLS_REFUSED = "tls-refused"
    TLS_TIMEOUT = "tls-timeout"
    WEBSOCKET_FAILED = "websocket-failed"
    WEBSOCKET_TIMEOUT = "websocket-timeout"
    PING_TIMEOUT = "ping-timeout"
    SHUTDOWN = "shutdown"
    KICKED = "kicked"
    BANNED = "banned"

    @property
    def sentence(self) -> str:
        """The text that protocols send to the client, without a full stop."""
        return _ENDS[self]


_REFUSALS = {
    Refusal.DENIED: "connections from your address are not accepted",
    Refusal.BANNED: "your address is banned",
    Refusal.ADDRESS_FULL: "too many connections from your address",
    Refusal.SERVICE_FULL: "this service is full, try again later",
    Refusal.DAEMON_FULL: "this server is full, try again later",
    Refusal.UNTRUSTED_PROXY: "this port is for proxies that are known to it",
    Refusal.ADDRESS_RATE: "too many new connections from your address, try again later",
    Refusal.HTTP: "HTTP is not spoken here",
    Refusal.TLS: "TLS is not spoken on this port",
    Refusal.SERVICE_RATE: "too many new connections, try again later",
    Refusal.NO_DESCRIPTOR: "this server is full, try again later",
}

_ENDS = {
    End.CLIENT: "you closed the connection",
    End.SERVER: "the server closed the connection",
    End.LOST: "the connection was lost",
    End.TRUNCATED: "you closed TLS without close_notify",
    End.FIRST_BYTE: "you did not say anything in time",
    End.IDLE: "you were silent for too long",
    End.SESSION: "connections may not last longer than this",
    End.SLOW_READER: "you do not read what you are sent",
    End.STALLED: "you do not read what you are sent",
    End.LINGER: "you did not close the connection in time",
    End.NO_MEMORY: "this server is out of memory",
    End.REFUSED: "the connection was refused",
    End.PROXY_FAILED: "the PROXY header is invalid",
    End.PROXY_TIMEOUT: "the PROXY header took too long",
    End.TLS_FAILED: "the TLS handshake failed",
    End.TLS_REFUSED: "client and server have no TLS version or cipher in common",
    End.TLS_TIMEOUT: "the TLS handshake took too long",
    End.WEBSOCKET_FAILED: "the WebSocket handshake failed",
    End.WEBSOCKET_TIMEOUT: "the WebSocket handshake took too long",
    End.PING_TIMEOUT: "you did not answer a ping",
    End.SHUTDOWN: "the server is shutting down",
    End.KICKED: "an operator ended the connection",
    End.BANNED: "your address is banned",
}
