"""Time, RFC 868: the time as 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import RATE, Rate
from tcpd.interfaces import IContext, IDatagramKind
from tcpd.small.announcement import AnnouncementFactory
from tcpd.small.udprate import LONGER, UDP_RATE

#: 1970-01-01 00:00:00 UTC in seconds since 1900 (RFC 868: "the time 2,208,988,800
#: corresponds to 00:00  1 Jan 1970 GMT").
EPOCH_1970 = 2_208_988_800


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSettings:
    """The keys of a time service.

    :ivar udp_rate: the rate of replies to one address; ``None`` for no limit. The 4 bytes in reply
        to an empty datagram are an amplification, so there is one.
    """

    udp_rate: Rate | None = option(RATE, LONGER, UDP_RATE)


def seconds_since_1900(now: float) -> bytes:
    """Encode a time by RFC 868.

    The 32 bits overflow at 2036-02-07 06:28:16 UTC ("this base will serve until the year 2036"), so
    the value is modulo 2**32. NTP wraps at the same second, where it begins era 1 (RFC 5905
    section 6), and clients may interpret a small number as a time after
    2036.

    :param now: seconds since 1970 UTC; fractions are truncated.
    :return: seconds since 1900-01-01 00:00:00 UTC without leap seconds, modulo 2**32, as 4 bytes,
        the highest first.
    """
    return ((int(now // 1) + EPOCH_1970) % 2**32).to_bytes(4, "big")


@implementer(IDatagramKind)
class TimeKind:
    """``protocol = time``."""

    name = "time"
    summary = "Sends the time as 32 bits, seconds since 1900 UTC, and closes (RFC 868)."
    settings = TimeSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7037"

    def make_factory(
        self,
        settings: TimeSettings,
        context: IContext,
    ) -> AnnouncementFactory:
        """Make the factory of one service."""
        wall_clock: Callable[[], float] = context.wall_clock
        return AnnouncementFactory(lambda: seconds_since_1900(wall_clock()))

    def make_responder(
        self,
        settings: TimeSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`."""
        wall_clock: Callable[[], float] = context.wall_clock
        return lambda datagram: seconds_since_1900(wall_clock())


kind = TimeKind()
