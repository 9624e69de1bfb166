"""Reports a failed start on the standard error that the daemon was started with."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from types import TracebackType

from twisted.logger import Logger

from tcpd.daemon.banfile import BanFileError
from tcpd.daemon.logs import LogFault
from tcpd.net.listeners import ListenError
from tcpd.ops import catalogue
from tcpd.wire.safe_text import escape_controls

_log = Logger()

#: Errors whose text is a sentence for the operator.
_SENTENCES = (ListenError, BanFileError, LogFault)


class StartFailed(Exception):
    """A daemon in the background cannot start and has reported why. The cause is the error."""

    def __init__(self) -> None:
        super().__init__("see above")


class StandardError:
    """The standard error that twistd was started with.

    In the background twistd forks and replaces it by /dev/null, and the parent gets only the first
    100 bytes of the error. So the descriptor is kept until the daemon runs.

    :param background: whether twistd is going to fork.
    """

    def __init__(self, background: bool) -> None:
        self._kept: int | None = None
        if background:
            with contextlib.suppress(OSError):
                self._kept = os.dup(2)  # not inherited by programs (PEP 446)

    def close(self) -> None:
        """Close it, so that a program that reads it gets end of file."""
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None

    def failed(self, error: Exception) -> None:
        """Report that the start has failed. Called before twistd's parent gets the error and ends.

        :raise StartFailed: in the background, where the reason has been reported.
        """
        if self._kept is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._kept, f"tcpd: {_words(error)}\n".encode("utf-8", "backslashreplace"))
        self.close()
        raise StartFailed from error


def _words(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, _SENTENCES):
        return escape_controls(str(error))
    return escape_controls(traceback.format_exception_only(error)[-1].strip())


def show_start_errors(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    """End a failed start with a sentence; by default Python would print a traceback.

    For ``sys.excepthook``.
    """
    cause = error.__cause__ if isinstance(error, StartFailed) and error.__cause__ else error
    if isinstance(cause, LogFault):
        sys.stderr.write(f"tcpd: {cause}\n")
    elif isinstance(cause, _SENTENCES):
        catalogue.DAEMON_START_FAILED.emit(_log, error=str(cause))
        # sys.stderr is redirected to the log by now
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"tcpd: {_words(cause)}\n")
    else:
        sys.__excepthook__(type(cause), cause, cause.__traceback__ or where)
