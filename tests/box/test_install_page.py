"""docs/howto/install.rst, word for word: by its first section the other tests' boxes are made."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import boxes
import installing
import pytest
from box.page import PAGE, commands
from boxes import Box

pytestmark = pytest.mark.box


@pytest.mark.parametrize(
    ("title", "most"),
    [("From nothing to a running unit", 5), ("Upgrade", 4), ("Uninstall", 4)],
)
def test_it_takes_few_commands(title: str, most: int) -> None:
    assert 3 <= len(commands(title)) <= most


def masked(text: str) -> list[str]:
    """Lines, without what is another each time."""
    text = re.sub(r"since .*", "since", text)
    return [re.sub(r"\d+", "N", line).strip() for line in text.splitlines()]


def test_low_ports_upgrade_and_uninstall(directory: Path, installed: Path) -> None:
    """One machine's life: what was edited survives the upgrade, and nothing the uninstall."""
    with Box(boxes.copy(installed, directory / "page")) as box:
        assert box.show("ActiveState", "UnitFileState") == "active\nenabled"
        (shown,) = re.findall(r"\$ systemctl status tcpd\n((?: {4}.*\n)+)", PAGE)
        for line in masked(shown):
            assert line in masked(box.must("systemctl status --no-pager tcpd"))
        box.must("sed -i 's/^listen = 127.0.0.1:7007/listen = systemd:echo/' /etc/tcpd/tcpd.ini")
        for command in commands("Low ports, and restarts that refuse nobody"):
            box.must(command)
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"

        later = installing.copy_checkout(directory / "later")
        setup = later / "setup.cfg"
        setup.write_text(setup.read_text().replace("version = 0.1.0", "version = 0.1.1"))
        boxes.build_wheel(later, box.root / "root" / "wheels")
        before = box.show("MainPID")
        for command in commands("Upgrade"):
            box.must(command)
        assert box.show("ActiveState") == "active"
        assert box.show("MainPID") != before
        assert ", tcpd 0.1.1" in box.must("/opt/tcpd/bin/tcpd-ctl status")
        assert "Unable to write" not in box.log()
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"

        # what an operator has made besides, by the same page
        box.must(
            "ln -s /opt/tcpd/bin/tcpd-ctl /usr/local/bin/; man -M /opt/tcpd/share/man tcpd.ini"
        )
        box.write(
            "/etc/systemd/system/tcpd.service.d/override.conf",
            "[Service]\nExecReload=\n"
            "ExecReload=/opt/tcpd/bin/tcpd-ctl --socket /run/tcpd/other reload\n",
        )
        box.must("sed -i 's|^#control = auto|control = /run/tcpd/other|' /etc/tcpd/tcpd.ini")
        box.write(
            "/etc/systemd/system/tcpd.socket.d/override.conf",
            "[Socket]\nListenStream=\nListenStream=127.0.0.1:77\n",
        )
        box.must("systemctl daemon-reload; systemctl restart tcpd.socket tcpd")
        box.must("grep -q ^control /etc/tcpd/tcpd.ini; systemctl reload tcpd")
        assert box.must("printf hi | nc -N 127.0.0.1 77") == "hi"
        assert "holds a socket" not in box.log()
        box.must("sed -i 's/^listen = systemd:echo/listen = 127.0.0.1:7007/' /etc/tcpd/tcpd.ini")
        box.must("systemctl reload tcpd")
        assert "systemd holds a socket echo, and no service has listen = systemd:echo" in box.log()

        for command in commands("Uninstall"):
            box.must(command)
        assert box.run("systemctl cat tcpd.service tcpd.socket").returncode != 0
        left = "find / -xdev -name '*tcpd*' -not -path '/root/*' -not -path '/proc/*'"
        assert box.must(f"{left}; getent passwd tcpd || true").strip() == ""
    shutil.rmtree(box.root)
