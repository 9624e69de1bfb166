"""Registers the entry points of the example package without pip."""

from __future__ import annotations

import configparser
from pathlib import Path

HERE = Path(__file__).parent


def installed(site: Path) -> list[str]:
    """Write the metadata of an installed package.

    :param site: an empty directory, in place of site-packages.
    :return: the directories to prepend to ``sys.path`` or to put into ``PYTHONPATH``.
    """
    setup = configparser.ConfigParser()
    setup.read(HERE / "setup.cfg")
    name, version = setup["metadata"]["name"], setup["metadata"]["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = setup["options.entry_points"]
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]{lines}\n" for group, lines in groups.items())
    )
    return [str(site), str(HERE)]
