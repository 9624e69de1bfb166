"""Pages for those who move: no option of the other program is left out, and the examples work."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, Daemon, receive_until

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"


def packaged(package: str, page: str) -> str:
    """The source of a page of the manual that a Debian package installs."""
    try:
        listed = subprocess.run(
            ["dpkg", "-L", package], capture_output=True, text=True, timeout=60, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"Debian's package {package} is not installed")
    files = [Path(name) for name in listed if name.endswith(f"/{page}.gz")]
    if not files or not files[0].exists():
        pytest.skip(f"{package} is installed without its manual")
    return gzip.decompress(files[0].read_bytes()).decode("utf-8")


def rows(page: str) -> set[str]:
    """What stands in the first column of its tables, name by name."""
    text = (HOWTO / page).read_text("utf-8")
    cells = re.findall(r"^   \* - (``(?:.+\n {7}(?=``))*.+)$", text, re.M)
    return {name for cell in cells for name in re.findall(r"``(\w+)``", cell)}


def test_each_attribute_of_xinetd_s_has_its_row() -> None:
    """xinetd.conf(5) lists them as ``.TP`` and ``.B name``, flags and values in capitals."""
    manual = packaged("xinetd", "xinetd.conf.5")
    attributes, rest = re.split(r"^You don't need to specify all", manual, flags=re.M)
    named = set(re.findall(r"^\.TP.*\n\.B (?:\\fB)?([a-z][a-z_]+)", attributes, re.M))
    assert {"only_from", "rlimit_cpu", "deny_time"} <= named
    # one is named only where the defaults entry is described
    assert ".B disabled" in rest
    assert named | {"disabled"} <= rows("xinetd.rst")


def test_each_option_of_stunnel_s_has_its_row() -> None:
    """stunnel(8) has each as an item, ``name = VALUE``."""
    manual = packaged("stunnel4", "stunnel4.8")
    named = set(re.findall(r'\.IP "\\fB(?:\\s-1)?(\w+)(?:\\s0)?\\fR \\?=|', manual)) - {""}
    assert {"chroot", "verifyChain", "OCSP", "TIMEOUTidle"} <= named
    assert len(named) > 90
    assert named <= rows("stunnel.rst")


def example(page: str, language: str, word: str) -> str:
    """The one block of a page in this language that has this word, as text."""
    text = (HOWTO / page).read_text("utf-8")
    blocks = re.findall(rf"code-block:: {language}\n\n((?: {{10}}.*\n|\n)+)", text)
    (found,) = [textwrap.dedent(block) for block in blocks if word in block]
    return f"{found.strip()}\n"


@contextlib.contextmanager
def stunnel(directory: Path, configuration: str) -> Iterator[int]:
    """A running stunnel; gives the port that it chose."""
    # stunnel reads no paths beside its file
    configuration = configuration.replace("fullchain.pem", str(directory / "fullchain.pem"))
    configuration = configuration.replace("privkey.pem", str(directory / "privkey.pem"))
    (directory / "stunnel.conf").write_text(f"debug = info\n{configuration}")
    process = subprocess.Popen(
        ["stunnel", "stunnel.conf"], cwd=directory, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        told = []
        for line in process.stderr:
            told.append(line)
            found = re.search(r"bound to 127\.0\.0\.1:(\d+)", line)
            if found:
                # nobody reads on: what it logs from here on is little
                yield int(found[1])
                break
        else:
            raise AssertionError("".join(told))
    finally:
        process.kill()  # now and then it does not hear SIGTERM
        process.wait(PATIENCE)
        process.stderr.close()


@contextlib.contextmanager
def tcpd(directory: Path, configuration: str) -> Iterator[int]:
    """The same of tcpd, with the one listener on a port that the system chooses."""
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
def test_stunnel_and_tcpd_take_each_other_s_place(server: str, client: str, tmp_path: Path) -> None:
    """The four files of the page, in every combination: hello goes through and comes back."""
    if shutil.which("stunnel") is None:
        pytest.skip("stunnel is not installed")
    made = certificates.make(tmp_path, "www.example.org")
    for name in ("far", "server", "client"):
        (tmp_path / name).mkdir()
        shutil.copy(made.certificate_file, tmp_path / name / "fullchain.pem")
        shutil.copy(made.key_file, tmp_path / name / "privkey.pem")
        os.chmod(tmp_path / name / "privkey.pem", 0o600)
    at_server = example("stunnel.rst", LANGUAGE[server], "8000").replace(":8443", ":0")
    at_client = example("stunnel.rst", LANGUAGE[client], "8001").replace(":8001", ":0")
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
