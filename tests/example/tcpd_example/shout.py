"""``protocol = shout``: sends text back in upper case."""

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tcpd.api import TEXT, IContext, IKind, option, whole_number


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedSettings:
    """``[shout]``: common to all services of the kind."""

    greeting: str = option(TEXT, "", "The first line to clients; empty for none.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShoutSettings:
    """The keys of a service."""

    emphasis: int = option(whole_number(0, 10), 1, "How many exclamation marks end each line.")


class Shout(Protocol):
    """Upper-cases ASCII letters, and marks the ends of lines."""

    def __init__(self, marks: bytes, greeting: str) -> None:
        self._line_end = marks + b"\n"
        self._greeting = greeting

    def connectionMade(self) -> None:
        if self._greeting:
            self.dataReceived(f"{self._greeting}\n".encode())

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper().replace(b"\n", self._line_end))


class ShoutFactory(Factory):
    """Makes one Shout for each client."""

    noisy = False

    def __init__(self, settings: ShoutSettings, shared: SharedSettings) -> None:
        self._marks = b"!" * settings.emphasis
        self._greeting = shared.greeting

    def buildProtocol(self, addr: IAddress | None) -> Shout:
        return Shout(self._marks, self._greeting)


@implementer(IKind)
class ShoutKind:
    """The object of the entry point."""

    name = "shout"
    summary = "Sends back what you send, in upper case."
    settings = ShoutSettings
    sections: Mapping[str, type] = {"shout": SharedSettings}
    words: frozenset[str] = frozenset()
    idle = 600.0
    sample_listen = None

    def make_factory(self, settings: ShoutSettings, context: IContext) -> ShoutFactory:
        shared: SharedSettings = context.sections["shout"]
        return ShoutFactory(settings, shared)


kind = ShoutKind()
