"""Reads files that an ini file names, without blocking, and with one exception for all errors."""

from __future__ import annotations

import errno
import os
import stat

#: The largest file in bytes. A system's CA bundle has a quarter of a mebibyte.
LONGEST = 16 << 20


class Unreadable(Exception):
    """A file cannot be read; the text says why, to follow the path and a colon."""


def read_file(path: str) -> tuple[bytes, int]:
    """Read a regular file.

    A FIFO would block the daemon until a process writes to it, and ``/dev/zero`` forever.

    :return: its content and its mode (``st_mode``).
    :raise Unreadable: if it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise Unreadable(why_not(error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise Unreadable(os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise Unreadable("it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise Unreadable(why_not(error)) from None
    finally:
        os.close(descriptor)
    if len(data) > LONGEST:
        raise Unreadable(f"it is larger than {LONGEST >> 20} MiB")
    return data, mode


def to_system(text: str) -> str:
    """Convert text of an ini file, such as a path, for Python's system calls.

    Python encodes paths by the locale, but an ini file is UTF-8 in every locale. In a UTF-8 locale
    the result equals the text.

    :raise ValueError: if it contains NUL.
    """
    if "\0" in text:
        raise ValueError(f"{text!r}: {why_not(ValueError())}")
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def from_system(text: str) -> str:
    """Reverse :func:`to_system`, for display. Bytes that are not UTF-8 are surrogates."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def why_not(error: OSError | ValueError) -> str:
    """Return why a path cannot be used. Python raises ``ValueError`` for NUL."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it has a NUL character"
