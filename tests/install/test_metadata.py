"""What an installation rests on, as far as it can be seen without a new one."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from running import PATIENCE, TWISTD


@pytest.mark.live
def test_twistd_names_tcpd_in_any_directory(tmp_path: Path) -> None:
    done = subprocess.run(
        [TWISTD, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "\n    tcpd " in done.stdout


def test_the_plugin_imports_nothing_of_tcpd() -> None:
    """Every ``twistd`` imports it, whichever daemon it is about to start."""
    program = (
        "import sys, twisted.plugins.tcpd_plugin\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'tcpd'\n"
        "       or name == 'twisted.internet.reactor'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_no_program_is_called_tcpd() -> None:
    """TCP Wrappers has one, in /usr/sbin."""
    scripts = metadata.entry_points(group="console_scripts")
    assert "tcpd" not in scripts.names
