"""The reactor passes the tests of Twisted's own reactors."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("hamcrest") is None,
        reason="Twisted's tests need PyHamcrest (the test extra brings it)",
    ),
]

PATIENCE = 300.0

#: Runs Twisted's tests with TcpdReactor as the only reactor, except:
#: - test_lostFileDescriptor: "Closing a file descriptor immediately removes it from the epoll set
#:   without generating a notification"; Twisted skips it for its own epoll reactor too.
#: - test_changeUID, if the other user cannot execute this Python.
SCRIPT = """
import sys
from twisted.internet.test.reactormixins import ReactorBuilder
ReactorBuilder._reactors = ["tcpd.net.reactor.TcpdReactor"]
from twisted.internet.test import test_fdset, test_process
test_fdset.ReactorFDSetTestsBuilder.test_lostFileDescriptor.skip = "epoll cannot"
if sys.argv.pop(1) == "closed":
    test_process.ProcessTestsBuilder.test_changeUID.skip = "this Python is closed to others"
from twisted.scripts.trial import run
run()
"""

#: The modules of tests; those in one line run in one process, since a start is slow.
MODULES = (
    "core fdset posixbase sigchld stdio threads time",
    "process",
    "socket tcp tls udp unix",
)


def other_user_can_run_python() -> bool:
    """Whether the tests that switch to another user can start Python."""
    if os.getuid() != 0:
        return True
    try:
        subprocess.run([sys.executable, "-c", ""], user=1, group=1, cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def own_network() -> list[str]:
    """Return the command prefix for a network namespace; empty if the process may not make one.

    Some of Twisted's tests find a free port on one address and bind it on all; clients of other
    tests may use it on another address."""
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if os.getuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
        made = subprocess.run([*words, "true"], capture_output=True, check=False)
        if made.returncode == 0:
            return words
    return []


@pytest.mark.parametrize("modules", MODULES)
def test_twisted_reactor_tests_pass(modules: str, tmp_path: Path) -> None:
    others = "open" if other_user_can_run_python() else "closed"
    names = [f"twisted.internet.test.test_{module}" for module in modules.split()]
    done = subprocess.run(
        [*own_network(), sys.executable, "-c", SCRIPT, others, "--reporter=verbose", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"Ran (\d+) tests", done.stdout)
    assert ran is not None
    assert int(ran[1]) > 0
