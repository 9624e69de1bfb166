"""Terminal input and output: UTF-8 in every locale, and a closed standard output."""

from __future__ import annotations

import io
import os
import sys


def use_utf8() -> None:
    """Make standard output and standard error UTF-8, regardless of locale and PYTHONIOENCODING.

    Output may contain any character, such as names of rooms. Surrogates, from a file name that is
    not UTF-8, are written as escapes, so that no ``write`` fails for its text.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def typed(text: str) -> str:
    """Decode text from the command line or a terminal as UTF-8, if it is valid UTF-8.

    Python decodes it by the locale; most terminals send UTF-8 in every locale.
    """
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def discard_output() -> None:
    """Discard buffered standard output after EPIPE.

    Python flushes it at exit, and would report the broken pipe again.
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
