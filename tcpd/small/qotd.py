"""Quote of the day, RFC 865: a random quote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from random import Random

from zope.interface import implementer

from tcpd.config.errors import SettingError
from tcpd.config.fields import option
from tcpd.config.files import Unreadable, read_file
from tcpd.config.values import PATH, RATE, Rate
from tcpd.interfaces import IContext, IDatagramKind
from tcpd.small.announcement import AnnouncementFactory
from tcpd.small.udprate import LONGER, UDP_RATE
from tcpd.wire.safe_text import visible

#: RFC 865: a quote "should be less than 512 characters". We count bytes, line ends included.
LIMIT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class QotdSettings:
    """The keys of a qotd service.

    :ivar quotes: the path of a file of quotes; empty for the built-in ones.
    :ivar udp_rate: the rate of replies to one address; ``None`` for no limit.
    """

    quotes: str = option(
        PATH,
        "",
        "File of quotes (UTF-8), separated by lines with a single %. Each quote must be shorter "
        "than 512 bytes. Empty: the quotes that come with tcpd.",
    )
    udp_rate: Rate | None = option(RATE, LONGER, UDP_RATE)


def parse_quotes(content: bytes) -> tuple[bytes, ...]:
    """Parse a file of quotes: UTF-8, separated by lines with a single ``%``, as fortune files.

    Line ends become CRLF, and tabs spaces up to the next eighth column. Blank lines around a quote,
    trailing spaces and empty quotes are dropped.

    :return: the quotes on the wire; at least one.
    :raise ValueError: if the file is invalid or a quote is too long, with a sentence for the
        operator that names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {number} is not UTF-8; convert the file to UTF-8") from None
    quotes = []
    lines: list[str] = []
    first = 1
    for number, raw in enumerate([*text.split("\n"), "%"], 1):
        line = raw.expandtabs().rstrip(" \r")
        if visible(line) != line:
            raise ValueError(f"line {number} has an unprintable character; remove it")
        if line != "%":
            if line or lines:
                lines.append(line)
            else:
                first = number + 1
            continue
        while lines and not lines[-1]:
            lines.pop()
        quote = "".join(f"{line}\r\n" for line in lines).encode("utf-8")
        if len(quote) >= LIMIT:
            raise ValueError(
                f"the quote that begins at line {first} has {len(quote)} bytes with its line ends, "
                f"and RFC 865 allows fewer than {LIMIT}; shorten it, or split it by a line of a "
                "single %"
            )
        if quote:
            quotes.append(quote)
        lines.clear()
        first = number + 1
    if not quotes:
        raise ValueError("it contains no quote; add one, or remove the key")
    return tuple(quotes)


def load_quotes(path: str) -> tuple[bytes, ...]:
    """Read the file of the key ``quotes``.

    :param path: the file; empty for the built-in quotes.
    :raise SettingError: if it cannot be read or used.
    """
    try:
        if path:
            content, _ = read_file(path)
        else:
            content = (resources.files("tcpd.small") / "quotes.txt").read_bytes()
    except Unreadable as error:
        raise SettingError(
            "quotes", f"{path} cannot be read ({error}); name a file that the daemon may read"
        ) from None
    try:
        return parse_quotes(content)
    except ValueError as error:
        raise SettingError("quotes", f"{path}: {error}") from None


def quote_source(quotes: tuple[bytes, ...], random: Random) -> Callable[[], bytes]:
    """Return a function that chooses a quote.

    :param quotes: at least one.
    :param random: the source of randomness.
    """
    return lambda: random.choice(quotes)


@implementer(IDatagramKind)
class QotdKind:
    """``protocol = qotd``."""

    name = "qotd"
    summary = "Sends a random quote from a file, and closes (RFC 865)."
    settings = QotdSettings
    words = frozenset({"udp"})
    idle = 600.0
    sample_listen = "127.0.0.1:7017"

    def make_factory(
        self,
        settings: QotdSettings,
        context: IContext,
    ) -> AnnouncementFactory:
        """Make the factory of one service.

        :raise SettingError: if the file of quotes cannot be used.
        """
        return AnnouncementFactory(quote_source(load_quotes(settings.quotes), Random()))

    def make_responder(
        self,
        settings: QotdSettings,
        context: IContext,
    ) -> Callable[[bytes], bytes | None]:
        """See :meth:`tcpd.interfaces.IDatagramKind.make_responder`.

        :raise SettingError: if the file of quotes cannot be used.
        """
        choose = quote_source(load_quotes(settings.quotes), Random())
        return lambda datagram: choose()


kind = QotdKind()
