"""What the connections of one line service share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.fields import option
from tcpd.config.values import BOOLEAN, DURATION, SIZE, at_least
from tcpd.interfaces import IContext, IReconfigurable, IRefusing
from tcpd.line.command import CommandTable
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import greeting, last_words
from tcpd.ops import catalogue
from tcpd.policy.reasons import Refusal
from tcpd.wire.safe_text import escape_controls


@dataclass(frozen=True, kw_only=True, slots=True)
class LineSettings:
    """The keys of a ``[service:NAME]`` section with ``protocol = line``."""

    max_line: int = option(
        at_least(SIZE, 64),
        4096,
        "The longest line a client may send, its end not counted. A longer one gets an error reply "
        "and is skipped.",
    )
    strict_crlf: bool = option(
        BOOLEAN, False, "Whether lines that end in LF alone get an error reply."
    )
    command_timeout: float = option(
        at_least(DURATION, 0.001),
        30.0,
        "How long a command may take before it is cancelled and answered with an error reply.",
    )


@implementer(IReconfigurable, IRefusing)
class LineFactory(Factory):
    """Makes the protocols of one service.

    :param settings: the service's.
    :param context: what the service may use of the rest of the daemon.
    :param commands: what can be asked of it.
    """

    noisy = False
    _log = Logger()

    def __init__(self, settings: LineSettings, context: IContext, commands: CommandTable) -> None:
        self.settings = settings
        self.context = context
        self.commands = commands

    def reconfigure(self, settings: LineSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`. Those who are connected keep the old."""
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """One for each client that was let in."""
        return LineProtocol(self)

    def greeting(self) -> bytes:
        """The first line of a conversation."""
        return greeting(self.context.server_name)

    def refusal(self, reason: Refusal) -> bytes:
        """``421`` and the reason."""
        return last_words(self.context.server_name, reason.sentence)

    def report(self, command: str, peer: str, error: BaseException) -> str:
        """Log that a command failed; called by the protocols.

        :param command: its name.
        :param peer: who asked.
        :param error: what it raised.
        :return: the reference that stands in the log and in the reply.
        """
        reference = secrets.token_hex(4)
        catalogue.COMMAND_FAILED.fail(
            self._log,
            Failure(error),
            command=command,
            peer=peer,
            service=self.context.service,
            error=escape_controls(repr(error)),
            reference=reference,
        )
        return reference
