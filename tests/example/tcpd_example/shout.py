"""A protocol of ten lines, served as ``protocol = shout``: what you send comes back louder."""

from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import whole_number
from tcpd.interfaces import IContext, IKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ShoutSettings:
    """The keys of its section."""

    emphasis: int = option(whole_number(0, 10), 1, "How many exclamation marks end each line.")


class Shout(Protocol):
    """Upper-cases ASCII letters, and marks the ends of lines."""

    def __init__(self, marks: bytes) -> None:
        self._line_end = marks + b"\n"

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper().replace(b"\n", self._line_end))


class ShoutFactory(Factory):
    """Makes one Shout for each client."""

    noisy = False

    def __init__(self, settings: ShoutSettings) -> None:
        self._marks = b"!" * settings.emphasis

    def buildProtocol(self, addr: IAddress | None) -> Shout:
        return Shout(self._marks)


@implementer(IKind)
class ShoutKind:
    """What the entry point names."""

    name = "shout"
    summary = "Sends back what you send, in upper case."
    settings = ShoutSettings
    words: frozenset[str] = frozenset()
    idle = 600.0
    sample_listen = None

    def make_factory(self, settings: ShoutSettings, context: IContext) -> ShoutFactory:
        return ShoutFactory(settings)


kind = ShoutKind()
