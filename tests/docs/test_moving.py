"""Pages for those who move: each option that the other program's manual names is in our table."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"


def packaged(package: str, page: str) -> str:
    """The source of a page of the manual that a Debian package installs."""
    try:
        listed = subprocess.run(
            ["dpkg", "-L", package], capture_output=True, text=True, timeout=60, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"Debian's package {package} is not installed")
    files = [Path(name) for name in listed if name.endswith(f"/{page}.gz")]
    if not files or not files[0].exists():
        pytest.skip(f"{package} is installed without its manual")
    return gzip.decompress(files[0].read_bytes()).decode("utf-8")


def rows(page: str) -> set[str]:
    """What stands in the first column of its tables, name by name."""
    text = (HOWTO / page).read_text("utf-8")
    cells = re.findall(r"^   \* - (``(?:.+\n {7}(?=``))*.+)$", text, re.M)
    return {name for cell in cells for name in re.findall(r"``(\w+)``", cell)}


def test_each_attribute_of_xinetd_s_has_its_row() -> None:
    """xinetd.conf(5) lists them as ``.TP`` and ``.B name``, flags and values in capitals."""
    manual = packaged("xinetd", "xinetd.conf.5")
    attributes, rest = re.split(r"^You don't need to specify all", manual, flags=re.M)
    named = set(re.findall(r"^\.TP.*\n\.B (?:\\fB)?([a-z][a-z_]+)", attributes, re.M))
    assert {"only_from", "rlimit_cpu", "deny_time"} <= named
    # one is named only where the defaults entry is described
    assert ".B disabled" in rest
    assert named | {"disabled"} <= rows("xinetd.rst")


def test_each_option_of_stunnel_s_has_its_row() -> None:
    """stunnel(8) has each as an item, ``name = VALUE``."""
    manual = packaged("stunnel4", "stunnel4.8")
    named = set(re.findall(r'\.IP "\\fB(?:\\s-1)?(\w+)(?:\\s0)?\\fR \\?=|', manual)) - {""}
    assert {"chroot", "verifyChain", "OCSP", "TIMEOUTidle"} <= named
    assert len(named) > 90
    assert named <= rows("stunnel.rst")
