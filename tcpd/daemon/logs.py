"""The destination of the log, by ``[tcpd] log`` and twistd's options.

twistd opens the log after it has made the service and before it forks. It uses the log observer of
the application, which :meth:`Logs.install` sets. ``--logger`` overrides it.
The other options of twistd keep their meaning: ``--logfile`` (``twistd.log`` for a daemon, standard
output with ``-n``), its rotation by size and on SIGUSR1, and ``--syslog``.
"""

from __future__ import annotations

import signal
import sys
import syslog
from collections.abc import Mapping
from typing import Any

from twisted.logger import ILogObserver, LogEvent
from twisted.python.components import Componentized
from twisted.python.syslog import SyslogObserver
from zope.interface import implementer

from tcpd.daemon.logfile import OpenedLog
from tcpd.ops.journal import JOURNAL, Journal
from tcpd.ops.levels import Threshold, filtered
from tcpd.ops.outputs import LogOutput, Render, Sink, StandardOutput, as_json, as_text
from tcpd.ops.records import level_of, message_of, traceback_of
from tcpd.wire.safe_text import escape_controls

_SYSLOG_PRIORITIES = {
    "debug": syslog.LOG_DEBUG,
    "info": syslog.LOG_INFO,
    "warn": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
    "critical": syslog.LOG_CRIT,
}


class LogFault(Exception):
    """The log cannot be opened, or not again; the text is a sentence for the operator."""


class Logs:
    """The log of one daemon.

    :param form: ``text``, ``json`` or ``journald``.
    :param most: bytes at which a log file is rotated; 0 for never.
    :param threshold: events below it are not logged.
    :param twistd: twistd's options; empty where the daemon runs without twistd.
    :param reactor: rotates a log file in its own thread, on SIGUSR1.
    """

    def __init__(
        self,
        form: str,
        most: int,
        threshold: Threshold,
        twistd: Mapping[str, Any],
        reactor: Any,
    ) -> None:
        self._form = form
        self._most = most
        self._threshold = threshold
        self._twistd = twistd
        self._reactor = reactor
        self._file: OpenedLog | None = None
        self._outputs: list[LogOutput | Journal] = []

    @property
    def lost(self) -> int:
        """Lines and records that could not be written, in all."""
        return sum(each.lost for each in self._outputs)

    def install(self, application: Any) -> None:
        """Install the log in an application. Called before twistd opens the log.

        :param application: twistd's; another object, or one with an observer, is left alone.
        :raise LogFault: if the log file cannot be opened.
        """
        if self._twistd.get("logger") or not isinstance(application, Componentized):
            return
        if application.getComponent(ILogObserver, None) is None:
            observer = filtered(self.observer(), self._threshold)
            application.setComponent(ILogObserver, observer)

    def observer(self) -> ILogObserver:
        """Make the observer that writes the log. :raise LogFault: as :meth:`install`."""
        if self._twistd.get("syslog"):
            return _Syslog(self._twistd.get("prefix") or "tcpd")
        if self._form == "journald":
            journal = Journal(escape_controls, _Late(self, sys.stdout), JOURNAL)
            self._outputs.append(journal)
            return journal
        return self.output(as_json if self._form == "json" else as_text, sys.stdout)

    def output(self, render: Render, stdout: Any) -> LogOutput:
        """Make the output for text. :raise LogFault: as :meth:`open`."""
        output = LogOutput(self.open(stdout), render, escape_controls)
        self._outputs.append(output)
        return output

    def open(self, stdout: Any) -> Sink:
        """Open the file or stream that twistd would log to.

        :param stdout: the standard output that the process was started with.
        :raise LogFault: if it cannot be opened.
        """
        name: str = self._twistd.get("logfile") or ""
        nodaemon = self._twistd.get("nodaemon")
        if nodaemon and name in ("", "-"):
            return StandardOutput(stdout)
        if name == "-":
            raise LogFault("a daemon has no standard output to log to; give --logfile a file")
        name = name or "twistd.log"
        try:
            file = OpenedLog(name, self._most)
        except OSError as error:
            raise LogFault(f"the log {name} cannot be opened: {error.strerror}") from None
        # as twistd does with its log file
        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(file.rotate))
        self._file = file
        return file

    def reopen(self) -> str:
        """Open the log file again by its name, after it was moved. Called by operators.

        :return: its path.
        :raise LogFault: if the log does not go to a file, or the file cannot be opened; nothing has
            changed then.
        """
        if self._file is None:
            raise LogFault("the log does not go to a file that the daemon has opened")
        try:
            self._file.reopen()
        except OSError as error:
            raise LogFault(
                f"the log {self._file.path} cannot be opened: {error.strerror}; the old file stays "
                "in use"
            ) from None
        return self._file.path


@implementer(ILogObserver)
class _Late:
    """Text to the output that is used without a journal, opened on first use."""

    def __init__(self, logs: Logs, stdout: Any) -> None:
        self._logs = logs
        # once logging has begun sys.stdout writes to the log
        self._stdout = stdout
        self._output: LogOutput | None = None

    def __call__(self, event: LogEvent) -> None:
        if self._output is None:
            self._output = self._logs.output(as_text, self._stdout)
        self._output(event)


@implementer(ILogObserver)
class _Syslog:
    """Text to syslog by Twisted's own observer: a line for each event and each traceback line."""

    def __init__(self, prefix: str) -> None:
        self._emit = SyslogObserver(prefix).emit

    def __call__(self, event: LogEvent) -> None:
        lines = [message_of(event, escape_controls), *traceback_of(event, escape_controls)]
        level = level_of(event)
        self._emit(
            {
                "message": ("\n".join(filter(None, lines)),),
                "isError": False,
                "system": f"{event.get('log_namespace', '-')}#{level}",
                "syslogPriority": _SYSLOG_PRIORITIES[level],
            }
        )
