"""etc/logrotate.d: logrotate rotates the log of a live daemon under load."""

from __future__ import annotations

import grp
import gzip
import os
import pwd
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection

import pytest
from processes import BackgroundDaemon
from running import PATIENCE, receive_all

pytestmark = pytest.mark.live

SAMPLE = Path(__file__).resolve().parents[2] / "etc" / "logrotate.d" / "tcpd"
LOGROTATE = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")

CONFIG = """
[tcpd]
log_size = 0
[policy:default]
access_log = yes
[service:daytime]
protocol = daytime
listen = 127.0.0.1:0
"""


class BusyDaemon(BackgroundDaemon):
    """A daemon in the background, and a client that connects again and again.

    :ivar count: of connections so far.
    """

    def __init__(self, directory: Path) -> None:
        self.log = directory / "tcpd.log"
        super().__init__(directory, CONFIG, "-l", self.log.name)
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text())
        assert found
        self._port = int(found[1])
        self._stop = threading.Event()
        self.count = 0
        self._client = threading.Thread(target=self._connect, daemon=True)
        self._client.start()

    def _connect(self) -> None:
        while not self._stop.is_set():
            with create_connection(("127.0.0.1", self._port), PATIENCE) as client:
                assert receive_all(client)
            self.count += 1

    def stop_client(self) -> None:
        self._stop.set()
        self._client.join(PATIENCE)

    def stop(self) -> None:
        """Stop client and daemon. May be called twice."""
        self.stop_client()
        self.end()


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[BusyDaemon]:
    if LOGROTATE is None:
        pytest.skip("logrotate is not installed")
    daemon = BusyDaemon(tmp_path)
    yield daemon
    daemon.stop()


def adapted(busy: BusyDaemon) -> Path:
    """Write the sample with the paths and the user of this test."""
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    text = SAMPLE.read_text()
    for old, new in (
        ("/var/log/tcpd.log {", f"{busy.log} {{"),
        ("create 0640 tcpd adm", f"create 0640 {user} {group}"),
        ("tcpd-ctl reopen", f"{sys.executable} -m tcpd.ctl --socket {busy.control} reopen"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = busy.log.with_name("logrotate.conf")
    path.write_text(text)
    path.chmod(0o644)
    return path


def rotate(conf: Path) -> subprocess.CompletedProcess[str]:
    assert LOGROTATE
    return subprocess.run(
        [LOGROTATE, "--force", "--state", str(conf.with_name("state")), str(conf)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_rotation_loses_and_duplicates_no_line(busy: BusyDaemon) -> None:
    conf = adapted(busy)
    for _ in range(4):
        done = rotate(conf)
        assert (done.returncode, done.stderr) == (0, "")
    busy.stop_client()
    before = busy.log.read_text()
    assert "REOPEN" in before
    assert busy.log.stat().st_mode & 0o777 == 0o640
    count = busy.count
    busy.stop()
    names = sorted(each.name for each in busy.log.parent.glob("tcpd.log*"))
    assert names == ["tcpd.log", "tcpd.log.1", "tcpd.log.2.gz", "tcpd.log.3.gz", "tcpd.log.4.gz"]
    whole = "".join(
        gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        for path in map(busy.log.with_name, names)
    )
    ids = re.findall(r"service daytime: connection (\d+) from", whole)
    assert len(ids) == len(set(ids)) == count
    assert "stopped after" in busy.log.read_text()


def test_rotation_without_a_daemon_succeeds(busy: BusyDaemon) -> None:
    conf = adapted(busy)
    busy.stop()
    assert busy.log.stat().st_size
    done = rotate(conf)
    assert done.returncode == 0, done.stderr
    assert "there is no control socket" in done.stderr
    assert busy.log.with_name("tcpd.log.1").exists()
