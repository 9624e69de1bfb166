"""The factory of a line service."""

from __future__ import annotations

import secrets

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IContext, IReconfigurable, IRefusing
from tcpd.line.command import CommandTable
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import greeting, last_words
from tcpd.line.settings import LineSettings
from tcpd.ops import catalogue
from tcpd.policy.reasons import Refusal
from tcpd.wire.safe_text import escape_controls


@implementer(IReconfigurable, IRefusing)
class LineFactory(Factory):
    """Makes the protocols of one service, and provides their :class:`tcpd.line.protocol.Shared`.

    :param settings: the settings of the service.
    :param context: the context of the service.
    :param commands: the service's commands.
    """

    noisy = False
    _log = Logger()

    def __init__(self, settings: LineSettings, context: IContext, commands: CommandTable) -> None:
        self.settings = settings
        self.context = context
        self.commands = commands

    def reconfigure(self, settings: LineSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`: applies to new connections."""
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """Make the protocol of an accepted connection."""
        return LineProtocol(self)

    def greeting(self) -> bytes:
        """``220`` and the server's name."""
        return greeting(self.context.server_name)

    def refusal(self, reason: Refusal) -> bytes:
        """``421`` and the reason."""
        return last_words(self.context.server_name, reason.sentence)

    def report(self, command: str, peer: str, error: BaseException) -> str:
        """See :class:`tcpd.line.protocol.Shared`."""
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
