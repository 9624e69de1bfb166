"""Daytime, RFC 867: the date and time as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import RATE, Rate
from tcpd.interfaces import IContext, IDatagramKind
from tcpd.small.announcement import AnnouncementFactory
from tcpd.small.udprate import LONGER, UDP_RATE

# strftime depends on the locale
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaytimeSettings:
    """The keys of a daytime service.

    :ivar udp_rate: the rate of replies to one address; ``None`` for no limit.
    """

    udp_rate: Rate | None = option(RATE, LONGER, UDP_RATE)


def daytime(now: float) -> bytes:
    """Format a time in the first "popular syntax" of RFC 867.

    ``Weekday, Month Day, Year Time-Zone``, in English and UTC, with CRLF: ``Tuesday, February 22,
    2022 17:37:43-UTC``.

    :param now: seconds since 1970 UTC.
    :return: ASCII.
    """
    when = datetime.fromtimestamp(now // 1, UTC)
    weekday = _WEEKDAYS[when.weekday()]
    month = _MONTHS[when.month - 1]
    text = f"{weekday}, {month} {when.day}, {when.year} {when:%H:%M:%S}-UTC\r\n"
    return text.encode("ascii")


@implementer(IDatagramKind)
class DaytimeKind:
    """``protocol = daytime``."""

    name = "daytime"
    summary = "Sends the date and time in UTC as a line of text, and closes (RFC 867)."
    settings = DaytimeSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7013"

    def make_factory(
        self,
        settings: DaytimeSettings,
        context: IContext,
    ) -> AnnouncementFactory:
        """Make the factory of one service."""
        wall_clock: Callable[[], float] = context.wall_clock
        return AnnouncementFactory(lambda: daytime(wall_clock()))

    def make_responder(
        self,
        settings: DaytimeSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`."""
        wall_clock: Callable[[], float] = context.wall_clock
        return lambda datagram: daytime(wall_clock())


kind = DaytimeKind()
