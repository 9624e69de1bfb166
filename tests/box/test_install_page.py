"""Commands of docs/howto/install.rst; the fixtures run its first section."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import boxes
import pytest
from box.page import CHECKOUT, INLINE, INSTALL, SECTIONS, run_in
from boxes import Box

pytestmark = pytest.mark.box


@pytest.mark.parametrize(
    ("title", "most"),
    [(SECTIONS[0], 6), (SECTIONS[3], 4), (SECTIONS[4], 4)],
)
def test_sections_have_few_commands(title: str, most: int) -> None:
    assert 3 <= len(INSTALL.section(title)) <= most


def test_commands_of_the_other_sections(directory: Path, installed: Path) -> None:
    """Edited configuration survives the upgrade, and nothing survives the uninstall."""
    left = INSTALL.commands[len(INSTALL.section(SECTIONS[0])) :]
    left_inline = [*INLINE]

    def run_section(title: str) -> None:
        commands = INSTALL.section(title)
        run_in(box, *commands)
        # all commands, in the order of the page
        assert left[: len(commands)] == commands
        del left[: len(commands)]

    def run_inline(command: str) -> str:
        assert command in INSTALL.inline
        left_inline.remove(command)
        return box.must(command)

    with Box(boxes.copy(installed, directory / "page")) as box:
        assert box.show("ActiveState", "UnitFileState") == "active\nenabled"
        box.must("sed -i 's/^listen = 127.0.0.1:7007/listen = 127.0.0.1:7008/' /etc/tcpd/tcpd.ini")
        run_section(SECTIONS[1])
        assert box.must("printf hi | nc -N 127.0.0.1 7008") == "hi"
        run_inline("ln -s /opt/tcpd/bin/tcpd-ctl /usr/local/bin/")
        box.must("runuser -u ann -- tcpd-ctl status")
        assert "certificate" in run_inline("man -M /opt/tcpd/share/man tcpd.ini")
        assert "reload: service echo: listening on" in run_inline("journalctl -u tcpd")
        run_inline("systemctl restart tcpd")

        box.must("sed -i 's/^listen = 127.0.0.1:7008/listen = systemd:echo/' /etc/tcpd/tcpd.ini")
        run_section(SECTIONS[2])
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"
        printed = run_inline("systemd-analyze security tcpd")
        (level,) = re.findall(r"exposure level for tcpd.service: (\S+)", printed)
        assert INSTALL.mentions("systemd-analyze security tcpd", f"{level} of 10")
        line = "/etc/systemd/system/tcpd-line.socket"
        box.must(
            "sed 's/Name=.*/Name=line/; s/^ListenStream=.*/ListenStream=17/' "
            f"/opt/tcpd/share/tcpd/etc/systemd/tcpd.socket >{line}\n"
            "systemctl enable tcpd-line.socket"
        )
        run_inline("systemctl stop tcpd.socket tcpd")
        assert box.show("ActiveState") == "inactive"
        run_inline("systemctl disable --now tcpd-line.socket")
        box.must(f"rm {line}; systemctl start tcpd.socket tcpd")

        setup = box.root / CHECKOUT.lstrip("/") / "setup.cfg"
        setup.write_text(setup.read_text().replace("version = 0.1.0", "version = 0.1.1"))
        before = box.show("MainPID")
        run_section(SECTIONS[3])
        assert box.show("ActiveState") == "active"
        assert box.show("MainPID") != before
        assert ", tcpd 0.1.1" in box.must("/opt/tcpd/bin/tcpd-ctl status")
        assert "Unable to write" not in box.log()
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"

        run_inline("python3 -m venv --clear /opt/tcpd")
        box.must(f"cd {CHECKOUT}; /opt/tcpd/bin/pip install .; systemctl restart tcpd")

        # drop-ins that the page has
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
        assert "listens on the systemd socket" not in box.log()
        box.must("sed -i 's/^listen = systemd:echo/listen = 127.0.0.1:7007/' /etc/tcpd/tcpd.ini")
        box.must("systemctl reload tcpd")
        assert "no service listens on the systemd socket echo" in box.log()

        run_section(SECTIONS[4])
        run_inline("groupdel tcpd")
        remains = "find / -xdev -name '*tcpd*' -not -path '/home/*' -not -path '/proc/*'"
        assert box.must(f"{remains}; getent passwd tcpd || true").strip() == ""

        setup.write_text(setup.read_text().replace("version = 0.1.1", "version = 0.1.0"))
        run_section(SECTIONS[5])
        assert box.show("ActiveState", "UnitFileState") == "active\nenabled"
        assert box.must("printf hi | nc -N 127.0.0.1 7007") == "hi"
        run_inline("systemctl enable tcpd.socket")
        assert not left
        assert not left_inline
    shutil.rmtree(box.root)
