"""packaging/debian: built, installed, upgraded, removed and purged in a box."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import boxes
import installing
import pytest
from boxes import Box

pytestmark = pytest.mark.box

#: Builds both packages, with fast compression.
BUILD = """
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/root/wheels
export DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1
cd /root
tcpd/packaging/debian/make-deb
dpkg-deb -R python3-tcpd_0.1.0-1_*.deb later
sed -i 's/^Version: .*/Version: 0.1.0-2/' later/DEBIAN/control
dpkg-deb -b later python3-tcpd_0.1.0-2_all.deb
"""

DPKG = "DEBIAN_FRONTEND=noninteractive dpkg"

PACKAGE = "/root/python3-tcpd_0.1.0-{}_*.deb"

PAGES = ("twistd-tcpd.1", "tcpd.ini.5", "tcpd-ctl.1", "tcpd-line.7")


@pytest.fixture(scope="module")
def box(directory: Path, pristine: Path, wheelhouse: Path) -> Iterator[Box]:
    """A box with two packages in /root, the second an upgrade of the first."""
    root = boxes.copy(pristine, directory / "debian")
    shutil.copytree(wheelhouse, root / "root" / "wheels")
    installing.copy_checkout(root / "root" / "tcpd")
    with Box(root) as up:
        up.must(BUILD)
        yield up
    shutil.rmtree(root)


def test_contents_of_the_package(box: Box) -> None:
    files = box.must(f"dpkg-deb -c {PACKAGE.format(1)}")
    named = {line.split()[5]: line.split() for line in files.splitlines()}
    for name in (
        "./lib/systemd/system/tcpd.service",
        "./lib/systemd/system/tcpd.socket",
        "./usr/lib/sysusers.d/tcpd.conf",
        "./usr/bin/tcpd-ctl",
        "./usr/lib/tcpd/bin/twistd",
        "./usr/lib/tcpd/lib/twisted/plugins/tcpd_plugin.py",
        "./usr/share/doc/python3-tcpd/copyright",
        "./usr/share/doc/python3-tcpd/changelog.Debian.gz",
        "./usr/share/doc/python3-tcpd/examples/prometheus/tcpd.rules.yml",
        "./usr/share/bash-completion/completions/tcpd-ctl",
        "./usr/share/fish/vendor_completions.d/tcpd-ctl.fish",
        "./usr/share/zsh/vendor-completions/_tcpd-ctl",
        *(f"./usr/share/man/man{page[-1]}/{page}.gz" for page in PAGES),
    ):
        assert named[name][1] == "root/root", name
    assert named["./etc/tcpd/tcpd.ini"][:2] == ["-rw-r-----", "root/root"]
    programs = [name for name in named if name.rpartition("/")[2] == "tcpd"]
    assert "./usr/sbin/tcpd" not in programs, "TCP Wrappers has that name"
    assert "./usr/bin/tcpd" not in programs
    assert not [name for name in named if "__pycache__" in name]
    assert not [name for name in named if name.startswith("./usr/lib/python3/")]


def test_install_upgrade_remove_and_purge(box: Box) -> None:
    """The upgrade keeps edited configuration and restarts the daemon; the removal keeps
    configuration and state, the purge nothing."""
    box.must(f"{DPKG} -i {PACKAGE.format(1)}")
    assert box.show("ActiveState", "UnitFileState") == "active\nenabled"
    assert box.must("printf hi | nc -N 127.0.0.1 7007") == "hi"
    assert box.must("stat -c '%U:%G %a' /etc/tcpd/tcpd.ini") == "root:tcpd 640\n"
    assert "tcpd 0.1.0" in box.must("tcpd-ctl status")
    assert "nothing is wrong" in box.must("/usr/lib/tcpd/bin/twistd tcpd --check")
    assert "rror" not in box.log()
    for page in PAGES:
        name, _, section = page.rpartition(".")
        shown = box.must(f"MANWIDTH=80 MANPAGER=cat man {section} {name}")
        assert shown.startswith(f"{name.upper()}({section})")

    box.must("sed -i 's/^listen = 127.0.0.1:7007/listen = systemd:echo/' /etc/tcpd/tcpd.ini")
    box.must("systemctl enable tcpd.socket; systemctl restart tcpd; tcpd-ctl ban 192.0.2.1")
    before = box.show("MainPID")
    box.must(f"{DPKG} -i {PACKAGE.format(2)}")
    assert box.must("dpkg-query -W -f '${Version}' python3-tcpd") == "0.1.0-2"
    assert box.show("ActiveState") == "active"
    assert box.show("MainPID") != before
    assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi", "edited configuration"
    assert box.must("stat -c '%U:%G %a' /etc/tcpd/tcpd.ini") == "root:tcpd 640\n"
    assert "192.0.2.1" in box.must("tcpd-ctl bans")

    box.must(f"{DPKG} --remove python3-tcpd")
    assert box.run("systemctl is-active tcpd.service tcpd.socket").returncode != 0
    assert box.run("test -e /usr/lib/tcpd").returncode == 1
    box.must("grep -q systemd:echo /etc/tcpd/tcpd.ini; test -d /var/lib/tcpd")

    box.must(f"{DPKG} --purge python3-tcpd")
    # man-db keeps its cache for a while
    left = box.must(
        "find / -xdev -name '*tcpd*' -not -path '/root/*' -not -path '/proc/*' "
        "-not -path '/var/cache/man/*'"
    )
    assert left == ""
    assert "nologin" in box.must("getent passwd tcpd"), "Debian keeps system users"
