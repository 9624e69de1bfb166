"""The keys of ``protocol = forward``."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.errors import SettingError
from tcpd.config.fields import option
from tcpd.config.values import BOOLEAN, DURATION, PATH, TEXT, at_least, choice
from tcpd.relay.target import TARGET, Host, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSettings:
    """The keys of a forward service."""

    to: Target = option(
        TARGET,
        doc="Address that each connection is forwarded to, the far side. A host name is looked "
        "up for each connection.",
        sample="192.0.2.1:80",
    )
    connect_timeout: float = option(
        at_least(DURATION, 0.1),
        10.0,
        "Timeout for connecting to the far side, the name look-up and the TLS handshake included.",
    )
    send_proxy: str = option(
        choice("none", "v1", "v2"),
        "none",
        "Version of the PROXY header with the client's address that is sent to the far side "
        "first. v1 is text; v2 is binary and also describes the client's TLS.",
    )
    tls: bool = option(
        BOOLEAN, False, "Whether to use TLS to the far side. Its certificate is verified."
    )
    tls_name: str = option(
        TEXT,
        "",
        "Host name or IP address that the far side's certificate must match. Empty: the host in "
        "to.",
    )
    ca: str = option(
        PATH,
        "",
        "PEM file of authorities that are trusted for the far side's certificate. Empty: those "
        "of the system.",
    )
    certificate: str = option(
        PATH, "", "PEM file with the client certificate for the far side, followed by its chain."
    )
    key: str = option(
        PATH,
        "",
        "PEM file with the private key of that certificate. Empty: the key is in the same file.",
    )


#: Keys that require ``tls = yes``.
_OF_TLS = ("tls_name", "ca", "certificate", "key")


def expected_name(settings: ForwardSettings) -> str:
    """Return the name that the far side's certificate must match; empty without TLS.

    :raise SettingError: for contradicting keys.
    """
    if not settings.tls:
        for key in _OF_TLS:
            if getattr(settings, key):
                raise SettingError(key, "requires TLS to the far side; add tls = yes")
        return ""
    if settings.key and not settings.certificate:
        raise SettingError("key", "requires a certificate; add certificate = FILE")
    if settings.tls_name:
        return settings.tls_name
    if isinstance(settings.to, Host):
        return settings.to.name
    raise SettingError(
        "tls_name", "a UNIX socket has no host name to match; set the name of the certificate here"
    )
