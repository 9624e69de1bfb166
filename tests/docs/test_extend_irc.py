"""Diffs of docs/howto/extend-irc.rst apply to the code, and have the described effect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docs.commands import ROOT, Page
from docs.diffs import apply

PAGE = Page("docs/howto/extend-irc.rst")

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


def test_diffs_apply_and_work(tmp_path: Path) -> None:
    """'Adding an example command and an example capability is shown in docs/howto as one diff
    each.'"""
    shutil.copytree(ROOT / "tcpd", tmp_path / "tcpd", ignore=shutil.ignore_patterns("__pycache__"))
    diffs = [block.text for block in PAGE.blocks if block.language == "diff"]
    assert len(diffs) == 2
    for diff in diffs:
        apply(diff, tmp_path)
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
