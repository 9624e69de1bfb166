"""Typing commands of pages in a box."""

from __future__ import annotations

import shlex

from boxes import Box
from docs.commands import Command, Page, difference

INSTALL = Page("docs/howto/install.rst")
LOGS = Page("docs/howto/logs.rst")

#: Pages of which a test types commands in a box.
PAGES = [INSTALL, LOGS]

#: What stands within sentences of the first, and is typed, too.
INLINE = [
    "journalctl -u tcpd",
    "systemctl restart tcpd",
    "ln -s /opt/tcpd/bin/tcpd-ctl /usr/local/bin/",
    "man -M /opt/tcpd/share/man tcpd.ini",
    "systemctl stop tcpd.socket tcpd",
    "systemd-analyze security tcpd",
    "python3 -m venv --clear /opt/tcpd",
    "systemctl disable --now tcpd-line.socket",
    "groupdel tcpd",
    "systemctl enable tcpd.socket",
]

#: Whose checkout a box has, and who types what stands behind ``$``.
USER, CHECKOUT = "ann", "/home/ann/tcpd"


def type_into(box: Box, *commands: Command) -> None:
    """Type commands in the checkout, each as the user of its prompt.

    :raise AssertionError: if one prints something else than the page shows, or fails.
    """
    for command in commands:
        script = f"cd {CHECKOUT}\n{command.text}"
        if command.prompt == "$":
            script = f"runuser -u {USER} -- bash -c {shlex.quote(script)}"
        done = box.run(script)
        if command.shown:
            wrong = difference(command.shown, done.stdout.splitlines())
            assert not wrong, f"{command}\n{wrong}"
        else:
            assert done.returncode == 0, f"{command}\n{done.stdout}"
