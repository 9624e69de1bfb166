"""Commands of pages, run in a box."""

from __future__ import annotations

import shlex

from boxes import Box
from docs.commands import Page, PageCommand, difference

INSTALL = Page("docs/howto/install.rst")
LOGS = Page("docs/howto/logs.rst")

#: Pages with commands that tests run in a box.
PAGES = [INSTALL, LOGS]

#: Sections of the first page whose commands are run in a box, in order.
SECTIONS = [
    "Install and start the unit",
    "Change the configuration",
    "Low ports, and restarts without refused clients",
    "Upgrade",
    "Uninstall",
    "As a Debian package",
]

#: Commands in sentences of the first page that a test runs in a box.
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

#: The user of commands after ``$``, and the checkout.
USER, CHECKOUT = "ann", "/home/ann/tcpd"


def run_in(box: Box, *commands: PageCommand) -> None:
    """Run commands in the checkout, each as the user of its prompt.

    :raise AssertionError: if a command fails, or its output differs from the page.
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
