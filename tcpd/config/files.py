"""Reading a file that an ini file names: no path, and nothing that is no file, fails otherwise than
by a sentence, and none blocks."""

from __future__ import annotations

import errno
import os
import stat

#: Bytes. The authorities that a system trusts are a quarter of a mebibyte.
LONGEST = 16 << 20


class Unreadable(Exception):
    """A file cannot be read; its text says why, to stand behind the path and a colon."""


def read_file(path: str) -> tuple[bytes, int]:
    """Read a regular file.

    A FIFO would hold up the daemon until somebody writes to it, and ``/dev/zero`` for ever.

    :return: what is in it, and its mode (``st_mode``).
    :raise Unreadable: if that cannot be.
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
            raise Unreadable("it is no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise Unreadable(why_not(error)) from None
    finally:
        os.close(descriptor)
    if len(data) > LONGEST:
        raise Unreadable(f"it has more than the {LONGEST >> 20} MiB that such a file may have")
    return data, mode


def to_system(text: str) -> str:
    """A path of an ini file, or another text of it, as Python takes it for system calls.

    Python encodes such text as the locale has it, and a file that was named in UTF-8 has a name in
    UTF-8 in every locale. In a UTF-8 locale the result is the same text.

    :raise ValueError: for what no call takes: a NUL.
    """
    if "\0" in text:
        raise ValueError(f"{text!r}: {why_not(ValueError())}")
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def from_system(text: str) -> str:
    """The reverse, to show it. What is not UTF-8 has surrogates in it, as Python has them."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def why_not(error: OSError | ValueError) -> str:
    """Why a path cannot be used. Python raises ``ValueError`` for a NUL."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it has a NUL character"
