"""What a person types and reads: UTF-8 in every locale, and a reader that may have gone."""

from __future__ import annotations

import io
import os
import sys


def use_utf8() -> None:
    """Make standard output and standard error UTF-8, whatever the locale and PYTHONIOENCODING say.

    What tcpd prints may hold any character: names of rooms, texts of an ini file. What UTF-8 cannot
    hold (a surrogate, from a file name that is not UTF-8) is written as an escape, so that no
    ``write`` fails for its text.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started the process has closed it
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def typed(text: str) -> str:
    """What Python has read from the command line or a terminal, taken for UTF-8 if it can be.

    Python reads it as the locale has it; terminals send UTF-8, mostly, whatever the locale.
    """
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def discard_output() -> None:
    """Send what is still buffered for standard output nowhere: its reader has gone.

    Python flushes at its end, and would complain once more of a broken pipe.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or none
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, descriptor)
    finally:
        os.close(null)
