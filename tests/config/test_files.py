"""Files that an ini file names: reading never blocks, and fails with one exception."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcpd.chat.irc.protocol import read_motd
from tcpd.config.errors import SettingError
from tcpd.config.files import LONGEST, Unreadable, read_file, to_system
from tcpd.config.settings import TLSSettings
from tcpd.config.values import FILE, FILES, PATH
from tcpd.net.tls_files import load
from tcpd.relay.exec_settings import COMMAND, ENVIRONMENT
from tcpd.relay.forward_tls import FarTLS
from tcpd.relay.target import TARGET
from tcpd.small.qotd import load_quotes


def test_read_file_returns_content_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x\0y")
    file.chmod(0o640)
    data, mode = read_file(str(file))
    assert data == b"x\0y"
    assert mode & 0o7777 == 0o640


def odd(directory: Path) -> dict[str, str]:
    """Unreadable paths of every system, by the error."""
    os.mkfifo(directory / "fifo")
    os.symlink("loop", directory / "loop")
    with open(directory / "large", "wb") as file:
        file.truncate(LONGEST + 1)
    return {
        f"{directory}/fifo": "it is not a regular file",
        f"{directory}": "Is a directory",
        "/dev/zero": "it is not a regular file",
        f"{directory}/none": "No such file or directory",
        f"{directory}/loop": "Too many levels of symbolic links",
        f"{directory}/{'x' * 300}": "File name too long",
        f"{directory}/a\0b": "it has a NUL character",
        f"{directory}/large": "it is larger than 16 MiB",
        "": "No such file or directory",
    }


def test_unreadable_files(tmp_path: Path) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    for path, why in odd(tmp_path).items():
        with pytest.raises(Unreadable) as caught:
            read_file(path)
        assert str(caught.value) == why
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_unreadable_file_is_reported_with_its_key(tmp_path: Path) -> None:
    for path, why in odd(tmp_path).items():
        if not path:
            continue
        for key, read in (
            ("certificate", lambda path: load(TLSSettings(certificate=(path,)), None)),
            ("motd", read_motd),
            ("quotes", load_quotes),
            ("ca", lambda path: FarTLS("a.example", path, "", "")),
        ):
            with pytest.raises(SettingError, match="cannot") as caught:
                read(path)
            assert caught.value.key == key
            assert why in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (PATH, "/a\0b"),
        (FILE, "/a\0b"),
        (FILES, "/a\n/a\0b"),
        (TARGET, "unix:/a\0b"),
        (COMMAND, "/bin/cat 'a\0b'"),
        (ENVIRONMENT, "A=a\0b"),
    ],
)
def test_path_with_nul_is_rejected(kind: object, text: str) -> None:
    with pytest.raises(ValueError, match="it has a NUL character"):
        kind.parse(text)  # type: ignore[attr-defined]


def test_file_names_are_utf8_in_every_locale(tmp_path: Path) -> None:
    """File names are bytes; the names in an ini file are UTF-8."""
    assert to_system("/日本") == "/日本"
    (tmp_path / "日本").write_text("here")
    code = (
        "import sys\n"
        "from tcpd.config.files import read_file\n"
        "from tcpd.config.values import PATH\n"
        "from tcpd.relay.exec_settings import COMMAND\n"
        "path = PATH.parse('\\u65e5\\u672c')\n"
        "assert PATH.show(path) == '\\u65e5\\u672c'\n"
        "assert COMMAND.show(COMMAND.parse('/bin/\\xe4 \\u65e5')) == \"'/bin/\\xe4' '\\u65e5'\"\n"
        "print(sys.getfilesystemencoding(), read_file(path))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        cwd=tmp_path,
        env={"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("ascii (b'here', ")
