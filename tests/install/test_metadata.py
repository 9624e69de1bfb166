"""Plugin, entry points and build of this installation."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import installing
import pytest
from running import PATIENCE, TWISTD


@pytest.mark.live
def test_twistd_lists_tcpd_in_any_directory(tmp_path: Path) -> None:
    done = subprocess.run(
        [TWISTD, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "\n    tcpd " in done.stdout


def test_plugin_does_not_import_tcpd() -> None:
    """Each ``twistd`` imports the plugin, also to start another daemon."""
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


def test_no_program_is_named_tcpd() -> None:
    """TCP Wrappers has one, in /usr/sbin."""
    scripts = metadata.entry_points(group="console_scripts")
    assert "tcpd" not in scripts.names


#: Environments of Python 3.12 and later have no setuptools; the long tests build with pip.
if importlib.util.find_spec("setuptools"):

    def test_build_omits_deleted_modules(tmp_path: Path) -> None:
        for name in ("setup.py", "setup.cfg", "README.rst"):
            shutil.copy(installing.ROOT / name, tmp_path)
        for directory in ("tcpd", "build/lib/tcpd", "mine/tcpd"):
            (tmp_path / directory).mkdir(parents=True)
        for file in ("tcpd/__init__.py", "build/lib/tcpd/gone.py", "mine/tcpd/kept.py"):
            (tmp_path / file).touch()

        def build(*options: str) -> None:
            command = [sys.executable, "-W", "ignore", "setup.py", "-q", "build_py", *options]
            subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=True)

        build()
        build("--build-lib", "mine")
        built = tmp_path / "build" / "lib" / "tcpd"
        assert (built / "__init__.py").exists()
        assert not (built / "gone.py").exists()
        assert (tmp_path / "mine" / "tcpd" / "kept.py").exists()
