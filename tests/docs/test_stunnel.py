"""docs/howto/stunnel.rst: its examples work, each with each other."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from docs.commands import Page
from running import PATIENCE, Daemon, receive_until


def example(language: str, word: str) -> str:
    """Return the one block of a page in this language that contains a word."""
    (found,) = [
        block.text
        for block in Page("docs/howto/stunnel.rst").blocks
        if block.language == language and word in block.text
    ]
    return found


@contextlib.contextmanager
def stunnel(directory: Path, configuration: str) -> Iterator[int]:
    """Run stunnel; yield its port."""
    # stunnel does not resolve paths relative to its file
    configuration = configuration.replace("fullchain.pem", str(directory / "fullchain.pem"))
    configuration = configuration.replace("privkey.pem", str(directory / "privkey.pem"))
    (directory / "stunnel.conf").write_text(f"debug = info\n{configuration}")
    process = subprocess.Popen(
        ["stunnel", "stunnel.conf"], cwd=directory, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        log = []
        for line in process.stderr:
            log.append(line)
            found = re.search(r"bound to 127\.0\.0\.1:(\d+)", line)
            if found:
                # the rest of its log fits into the pipe
                yield int(found[1])
                break
        else:
            raise AssertionError("".join(log))
    finally:
        process.kill()  # stunnel sometimes ignores SIGTERM
        process.wait(PATIENCE)
        process.stderr.close()


@contextlib.contextmanager
def tcpd(directory: Path, configuration: str) -> Iterator[int]:
    """Run tcpd with its listener on an ephemeral port; yield the port."""
    free = re.sub(r"^listen = (\S+)(.*)", r"listen =\n    \1\2", configuration, flags=re.M)
    daemon = Daemon(directory, free)
    try:
        (port,) = {port for (name, _), port in daemon.ports.items() if name == "web"}
        yield port
    finally:
        daemon.stop()


RUN = {"stunnel": stunnel, "tcpd": tcpd}
LANGUAGE = {"stunnel": "text", "tcpd": "ini"}


@pytest.mark.live
@pytest.mark.parametrize(
    ("server", "client"),
    [
        ("stunnel", "tcpd"),
        ("tcpd", "stunnel"),
        pytest.param("tcpd", "tcpd", marks=pytest.mark.long),
        pytest.param("stunnel", "stunnel", marks=pytest.mark.long),
    ],
)
def test_stunnel_and_tcpd_are_interchangeable(server: str, client: str, tmp_path: Path) -> None:
    """All combinations of the page's files as TLS server and as TLS client."""
    if shutil.which("stunnel") is None:
        pytest.skip("stunnel is not installed")
    made = certificates.make(tmp_path, "www.example.org")
    for name in ("far", "server", "client"):
        (tmp_path / name).mkdir()
        shutil.copy(made.certificate_file, tmp_path / name / "fullchain.pem")
        shutil.copy(made.key_file, tmp_path / name / "privkey.pem")
        os.chmod(tmp_path / name / "privkey.pem", 0o600)
    at_server = example(LANGUAGE[server], "8000").replace(":8443", ":0")
    at_client = example(LANGUAGE[client], "8001").replace(":8001", ":0")
    with contextlib.ExitStack() as running:
        far = running.enter_context(
            tcpd(tmp_path / "far", "[service:web]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
        )
        near = running.enter_context(
            RUN[server](tmp_path / "server", at_server.replace(":8000", f":{far}"))
        )
        port = running.enter_context(
            RUN[client](tmp_path / "client", at_client.replace(":8443", f":{near}"))
        )
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client_socket:
            client_socket.settimeout(PATIENCE)
            client_socket.sendall(b"hello")
            assert receive_until(client_socket, b"hello") == b"hello"
