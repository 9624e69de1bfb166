"""Which files make the configuration, and their reading."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.errors import ConfigError
from tcpd.config.settings import KindOptions, Settings

#: Read where no file is named on the command line.
DEFAULT_FILE = "/etc/tcpd/tcpd.ini"

#: What the built-in sample set is called in places and errors.
BUILT_IN = "<built-in sample>"


def find_files(named: Sequence[str]) -> list[str]:
    """Tell which files to read, in order; later ones win.

    :param named: what the operator named; a directory stands for its ``*.ini`` in order of name.
        If nothing was named it is ``/etc/tcpd/tcpd.ini``, if that is there.
    :return: file names; empty where nothing was named and the default is not there.
    :raise ConfigError: for a directory that has none or cannot be read.
    """
    if not named:
        return [DEFAULT_FILE] if os.path.lexists(DEFAULT_FILE) else []
    files: list[str] = []
    errors: list[str] = []
    for name in named:
        if not os.path.isdir(name):
            files.append(name)
            continue
        try:
            found = sorted(entry for entry in os.listdir(name) if entry.endswith(".ini"))
        except OSError as error:
            errors.append(f"{name}: cannot be read: {error.strerror}")
            continue
        if not found:
            errors.append(f"{name}: this directory has no *.ini file")
        files += [os.path.join(name, entry) for entry in found]
    if errors:
        raise ConfigError(errors)
    return files


def load(
    files: Sequence[str],
    sample: str,
    kinds: Mapping[str, KindOptions],
    sections: Mapping[str, type],
) -> Settings:
    """Read files and make settings of them.

    :param files: from :func:`find_files`.
    :param sample: the text of the built-in set, taken where there are no files.
    :param kinds: see :func:`tcpd.config.build.build`.
    :param sections: see :func:`tcpd.config.build.build`.
    :raise ConfigError: with all that is wrong.
    """
    documents: list[ini.Document] = []
    faults: list[ini.Fault] = []
    if not files:
        document, faults = ini.read(BUILT_IN, sample)
        documents.append(document)
    for name in files:
        document, wrong = read_file(name)
        documents.append(document)
        faults += wrong
    return build(ini.merge(documents), kinds, sections, faults)


def read_file(name: str) -> tuple[ini.Document, list[ini.Fault]]:
    """Read one file; see :func:`tcpd.config.ini.read`. One that cannot be read is a fault too."""
    try:
        with open(name, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        return {}, [ini.Fault(ini.Place(name, 0), f"cannot be read: {why}")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:  # UTF-16, or no text: one fault is enough
            line = data.count(b"\n", 0, error.start) + 1
            return {}, [ini.Fault(ini.Place(name, line), "this line is not UTF-8 text")]
        text = data.decode("utf-8-sig", "surrogateescape")
    return ini.read(name, text.replace("\r\n", "\n").replace("\r", "\n"))
