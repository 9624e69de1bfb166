"""The diffs of docs/howto/extend-irc.rst apply to the code, and do what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from docs.diffs import apply

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "extend-irc.rst").read_text(encoding="utf-8")

USE = """
from chat.irc_chat import IrcChat

chat = IrcChat()
ann = chat.irc_client("ann", "labeled-response", "batch", joined="#tea")
bob = chat.irc_client("bob", "example/shout", joined="#tea")
cid = chat.irc_client("cid", joined="#tea")
for client in (ann, bob, cid):
    client.lines()
[line] = ann.send("@label=x FLIP")
assert line.startswith("@label=x :chat.example.net NOTICE ann :It shows "), line
assert "Throws a coin." in ann.send("HELP FLIP")[1]
ann.send("PRIVMSG #tea :hello")
assert bob.lines() == [":ann!~ann@localhost PRIVMSG #tea :HELLO"]
assert cid.lines() == [":ann!~ann@localhost PRIVMSG #tea :hello"]
"""


def test_the_diffs_of_the_page(tmp_path: Path) -> None:
    """'Adding an example command and an example capability is shown in docs/howto as one diff
    each.'"""
    shutil.copytree(ROOT / "tcpd", tmp_path / "tcpd", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = re.findall(r"^\.\. code-block:: diff\n\n((?:(?:    .*)?\n)+)", PAGE, re.M)
    assert len(blocks) == 3
    for block in blocks:
        apply(textwrap.dedent(block).strip("\n") + "\n", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
