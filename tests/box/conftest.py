"""Fixtures: boxes, without tcpd and with tcpd installed as docs/howto/install.rst shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import boxes
import installing
import pytest
from box.page import CHECKOUT, INSTALL, SECTIONS, USER, run_in
from boxes import Box


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directory of the boxes, of 300 MB each; removed after the tests."""
    made = tmp_path_factory.mktemp("box")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def pristine(directory: Path) -> Path:
    """The file system of a box without tcpd; ``TCPD_TEST_BOX`` names an existing one."""
    why = boxes.why_not()
    if why:
        pytest.skip(why)
    if "TCPD_TEST_BOX" in os.environ:
        return Path(os.environ["TCPD_TEST_BOX"])
    root = directory / "pristine"
    error = boxes.make(root)
    if error:
        pytest.skip(f"debootstrap failed: {error}")
    return root


@pytest.fixture(scope="session")
def wheelhouse(directory: Path) -> Path:
    """Wheels of tcpd's requirements, for the Python of the box."""
    wheels = directory / "wheels"
    error = boxes.wheels(wheels)
    if error:
        pytest.skip(f"tcpd's requirements cannot be downloaded: {error}")
    return wheels


@pytest.fixture(scope="session")
def installed(directory: Path, pristine: Path, wheelhouse: Path) -> Path:
    """The file system of a box with tcpd, installed by the commands of the page."""
    root = boxes.copy(pristine, directory / "installed")
    shutil.copytree(wheelhouse, root / "srv" / "wheels").chmod(0o755)
    # the box has no network: pip's index is a directory
    (root / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/wheels\n")
    installing.copy_checkout(root / CHECKOUT.lstrip("/"))
    with Box(root) as box:
        box.must(f"useradd {USER}; chown -R {USER}: /home/{USER}")
        run_in(box, *INSTALL.section(SECTIONS[0]))
        assert box.show("ActiveState", "SubState") == "active\nrunning"
        assert "rror" not in box.log()
    return root


@pytest.fixture(scope="session")
def shared(directory: Path, installed: Path) -> Iterator[Box]:
    """A running box with tcpd, for :func:`configure`."""
    with Box(boxes.copy(installed, directory / "shared")) as box:
        box.must("ln -s /opt/tcpd/bin/tcpd-ctl /usr/local/bin/")
        box.must("systemctl enable /opt/tcpd/share/tcpd/etc/systemd/tcpd.socket")
        yield box


@pytest.fixture
def configure(shared: Box) -> Callable[..., Box]:
    """Restart tcpd with an ini file, a drop-in for its service unit and one for its socket unit."""

    def configure(ini: str, service: str = "", socket: str = "") -> Box:
        shared.write("/etc/tcpd/tcpd.ini", ini, 0o640)
        shared.must("chgrp tcpd /etc/tcpd/tcpd.ini")
        shared.write("/etc/systemd/system/tcpd.service.d/test.conf", f"[Service]\n{service}")
        shared.write("/etc/systemd/system/tcpd.socket.d/test.conf", f"[Socket]\n{socket}")
        started = shared.run(
            "systemctl stop tcpd.socket tcpd.service; systemctl reset-failed;"
            "systemctl daemon-reload && systemctl start tcpd.service"
        )
        assert started.returncode == 0, started.stdout + shared.log()
        return shared

    return configure
