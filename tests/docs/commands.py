"""Literal blocks of a page, and the commands in them with their output.

A page is README.rst or a file of docs. Its blocks follow ``::`` or ``.. code-block:: LANGUAGE``.
The block and the paragraph before it decide what it is:

* A line that begins with ``$`` and a space is a command of a user, one with ``#`` a command of
  root; the lines below it are its output. A backslash at the end of a line continues a command. A
  block has one kind of prompt, that of its first line.
* After a paragraph whose last sentence has "file NAME", NAME in double backquotes, and ends in a
  colon, the block is the content of a file.
* A comment before it does the same: ``.. file: NAME``. After ``.. log`` the block is lines of the
  daemon's log, after ``.. command`` one command without a prompt.
* After ``.. screen: PROGRAM``, the block is input and screen of a program that uses the whole
  terminal.
* A paragraph with "stop ... Ctrl-C" stops the last program first.

In output, ``...`` is any number of lines; :func:`masked` removes what differs between runs.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Pages whose commands are run.
PAGES = [
    "README.rst",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for directory in ("tutorial", "howto", "reference")
        for path in (ROOT / "docs" / directory).glob("*.rst")
    ),
]

_INDENT = r"(?P<indent> *(?:[*-] )*)"
_BLOCK = re.compile(rf"{_INDENT}(?:\.\. code-block:: *(?P<language>\w+)|(?!\.\. ).*::)\s*$")
_FILE = re.compile(r"\bfile ``([^`]+)``(?:(?!\bfile ``|\. ).)*:$")
_INLINE = re.compile(
    r"(?:\S*/)?(?:twistd|nc|openssl|irssi|pip|python3?|man|sphinx-build|systemctl|systemd-analyze"
    r"|journalctl|apt|ln|rm|groupdel|certbot|setpriv|socat|kill) (?!-\S+$)"
)
_DIRECTION = re.compile(r" *(?:[*-] )*\.\. (?:test-)?(file|log|command|screen)(?:: (.*))?$")
_STOP = re.compile(r"\b[Ss]top\b[^.]*\bCtrl-C\b")

#: Languages in which ``#`` begins a comment and ``$`` is no prompt.
_NO_COMMANDS = {"ini", "python", "text", "yaml", "toml", "json"}


@dataclass(frozen=True)
class PageCommand:
    """A command of a page.

    :ivar prompt: ``$`` or ``#``.
    :ivar text: the command, on one line.
    :ivar shown: its output on the page.
    """

    prompt: str
    text: str
    shown: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return f"{self.prompt} {self.text}"


@dataclass(frozen=True)
class Block:
    """A literal block.

    :ivar language: of ``code-block``; ``""`` after ``::``.
    :ivar section: the title above it.
    :ivar line: the number of its first line in the page, for messages.
    :ivar file: the name of the file whose content it is, or ``""``.
    :ivar screen: the program whose screen it is, or ``""``.
    :ivar is_log: whether it is lines of the daemon's log.
    :ivar is_command: whether it is one command without a prompt.
    :ivar stops: whether the paragraph before it stops the last program.
    """

    text: str
    language: str
    section: str
    line: int
    file: str
    screen: str
    is_log: bool
    is_command: bool
    stops: bool

    @cached_property
    def commands(self) -> list[PageCommand]:
        """The commands, in order."""
        if self.is_command:
            return [PageCommand("$", self.text.strip(), (), self.line)]
        if self.language in _NO_COMMANDS or self.file or self.screen:
            return []
        if self.text[:2] not in ("$ ", "# "):
            return []
        pieces = re.split(rf"^(?={re.escape(self.text[:2])})", self.text, flags=re.M)
        return list(self._commands(pieces[1:], self.line))

    def _commands(self, pieces: Sequence[str], line: int) -> Iterator[PageCommand]:
        for piece in pieces:
            found = re.match(r"([$#]) ((?:.*\\\n)*.*)(?:\n|\Z)", piece)
            assert found
            text = re.sub(r"\\\n\s*", "", found[2]).strip()
            yield PageCommand(
                found[1], text, tuple(piece[found.end() :].rstrip().splitlines()), line
            )
            line += piece.count("\n")


class Page:
    """A page.

    :param name: its path, from the root of the tree.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / name).read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """The literal blocks, in order."""
        return list(self._blocks(self.text.splitlines()))

    @property
    def commands(self) -> list[PageCommand]:
        """All its commands, in order."""
        return [command for block in self.blocks for command in block.commands]

    @property
    def inline(self) -> list[str]:
        """Commands with arguments in its sentences, except those with placeholders."""
        text = " ".join(self.text.split())
        found = re.findall(r"``([^`]+)``", text)
        return [each for each in found if _INLINE.match(each) and not re.search("[A-Z]{3}", each)]

    @property
    def introduction(self) -> str:
        """The text before the title of the first section."""
        return re.split(r"^(.+)\n-{4,}$", self.text, maxsplit=1, flags=re.M)[0]

    def mentions(self, *words: str) -> bool:
        """Return whether one paragraph contains all these words, however its lines are broken."""
        paragraphs = (" ".join(each.split()) for each in self.text.split("\n\n"))
        return any(all(word in each for word in words) for each in paragraphs)

    def section(self, title: str) -> list[PageCommand]:
        """Return the commands below a title.

        :raise AssertionError: if there is no such title.
        """
        assert re.search(rf"^{re.escape(title)}\n[-=~]+$", self.text, re.M), title
        return [
            command for block in self.blocks if block.section == title for command in block.commands
        ]

    def _blocks(self, lines: Sequence[str]) -> Iterator[Block]:
        section, paragraph, stops = "", "", False
        directions: dict[str, str] = {}
        number = 0
        while number < len(lines):
            line = lines[number]
            following = lines[number + 1] if number + 1 < len(lines) else ""
            number += 1
            if line and re.fullmatch(r"([-=~])\1{3,}", following):
                section, paragraph, directions = line, "", {}
                continue
            if direction := _DIRECTION.match(line):
                directions[direction[1]] = direction[2] or ""
                continue
            if line.strip():
                paragraph = f"{paragraph} {line.strip()}"
            elif number < len(lines) and not _BLOCK.match(lines[number]):
                # the last paragraph, until the next one begins
                paragraph = ""
            stops = stops or bool(_STOP.search(paragraph))
            found = _BLOCK.match(line)
            if not found:
                continue
            least = len(found["indent"]) + 1
            first = number
            while number < len(lines) and (
                not lines[number].strip()
                or len(lines[number]) - len(lines[number].lstrip()) >= least
            ):
                number += 1
            content = textwrap.dedent("\n".join(lines[first:number]))
            text = content.strip("\n")
            if text:
                first += len(content) - len(content.lstrip("\n"))
                words = re.sub(r"\.\. code-block.*|:(?=:$)", "", paragraph).strip()
                named = _FILE.search(words)
                yield Block(
                    text=text + "\n",
                    language=found["language"] or "",
                    section=section,
                    line=first + 1,
                    file=directions.get("file") or (named[1] if named else ""),
                    screen=directions.get("screen", ""),
                    is_log="log" in directions,
                    is_command="command" in directions,
                    stops=stops,
                )
                stops = False
            paragraph, directions = "", {}


_MASKS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # dates and times of day
        (r"\b[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "DATE"),
        (r"[A-Z][a-z]+day, [A-Z][a-z]+ \d+, \d{4} \d\d:\d\d:\d\d-UTC", "DATE"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "DATE"),
        (r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d{4}))?", "DATE"),
        (r"\b\d+ days left", "N days left"),
        (r"(?:[A-Z][a-z]{2}, )?\b\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d", "DATE"),
        (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "DATE"),
        (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d\b", "DATE"),
        (r"\b\d+ \d{10} :seconds", "N N :seconds"),
        # durations, as 1m29s and as 0.003 s
        (r"\b(?:\d+(?:ms|[dhms]))+\b", "TIME"),
        (r"\b\d+(?:\.\d+)? (s|ms|us)\b", "TIME"),
        (r'"(seconds|pid|uid)":[\d.]+', r'"\1":N'),
        # ports that the kernel chose (net.ipv4.ip_local_port_range), after an address
        (r"(?<=[\d\]]:)(?:3[2-9]|[45]\d|6[0-5])\d{3}\b", "PORT"),
        # sequence numbers, process ids, hashes
        (r"\b(seq|ack|rtt)=\d+", r"\1=N"),
        (r"\b(pid|uid|user|process|Main PID:) +\d+", r"\1 N"),
        (r"\b[0-9a-f]{32,}\b|\$scrypt\$\S+|\b[a-z0-9]{16}\.hidden\b", "HASH"),
        (r"\bid [0-9A-F-]{8,}", "id HASH"),
        (r"\b(window|scale) \d+(?: \(x\d+\))?|\bwscale=\d+", r"\1 N"),
        # numbers of connections, which health checks consume, too
        (r"^id +\d+|\bconnection \d+ from\b", "connection N"),
        # amounts of bytes
        (r"\b\d+(?:\.\d+)?[KM]\b|\b\d+ MiB\b", "SIZE"),
        (r"\b\d+ bytes", "N bytes"),
        # both peers close at the end of HTTP over TLS: which one is first is a race
        (r"\b(client|server|lost)(?=, N bytes in, N bytes out, TLS)", "END"),
        # rates, and the kernel's counts of sockets
        (r"\b\d+(?:\.\d+)?[KM]?/s", "RATE"),
        (r"\b(inuse|orphan|tw|alloc|mem) \d+", r"\1 N"),
        # alignment
        (r"-{3,}", "---"),
        (r"\s+", " "),
    )
]


def masked(line: str) -> str:
    """Replace what differs between runs by placeholders."""
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line.strip()


def difference(shown: Sequence[str], printed: Sequence[str]) -> str:
    """Return the difference between output and page, or ``""``.

    ``...`` as a line of the page is any number of lines; at the end of a line it is any text.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else _line_pattern(line) for line in shown
    )
    text = "".join(f"{masked(line)}\n" for line in printed)
    if re.fullmatch(pattern, text):
        return ""
    return (
        "the page shows:\n"
        + "".join(f"    {masked(line)}\n" for line in shown)
        + "but the output is:\n"
        + textwrap.indent(text, "    ")
    )


def _line_pattern(line: str) -> str:
    kept = masked(line)
    if kept.endswith("..."):
        return re.escape(kept[:-3].strip()) + r".*\n"
    return re.escape(kept) + r"\n"
