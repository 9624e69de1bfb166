"""Finds and reads the files of a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.errors import ConfigError
from tcpd.config.settings import KindOptions, Settings

#: Read if the command line names no file.
DEFAULT_FILE = "/etc/tcpd/tcpd.ini"

#: The name of the built-in sample in sources and errors.
BUILT_IN = "<built-in sample>"


def find_files(named: Sequence[str]) -> list[str]:
    """Return the files to read, in order; later ones win.

    :param named: files and directories of the command line; a directory means its ``*.ini`` files,
        by name. Empty: :data:`DEFAULT_FILE`, if it exists.
    :return: file names; empty for the built-in sample.
    :raise ConfigError: if a directory has no such file or cannot be read.
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
    """Read files and build the settings.

    :param files: the result of :func:`find_files`.
    :param sample: the built-in sample, used if there are no files.
    :param kinds: see :func:`tcpd.config.build.build`.
    :param sections: see :func:`tcpd.config.build.build`.
    :raise ConfigError: with all errors.
    """
    documents: list[ini.Document] = []
    faults: list[ini.ConfigFault] = []
    if not files:
        document, faults = ini.read(BUILT_IN, sample)
        documents.append(document)
    for name in files:
        document, wrong = read_file(name)
        documents.append(document)
        faults += wrong
    return build(ini.merge(documents), kinds, sections, faults)


def read_file(name: str) -> tuple[ini.Document, list[ini.ConfigFault]]:
    """Read and parse one file; see :func:`tcpd.config.ini.read`. An unreadable file is an error."""
    try:
        with open(name, "rb") as file:
            data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        return {}, [ini.ConfigFault(ini.SourceLine(name, 0), f"cannot be read: {why}")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:  # UTF-16 or binary: one error is enough
            line = data.count(b"\n", 0, error.start) + 1
            return {}, [ini.ConfigFault(ini.SourceLine(name, line), "this line is not UTF-8 text")]
        text = data.decode("utf-8-sig", "surrogateescape")
    return ini.read(name, text.replace("\r\n", "\n").replace("\r", "\n"))
