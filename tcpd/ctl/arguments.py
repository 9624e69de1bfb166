"""A command line whose errors name the nearest right word."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

#: The exit status for a wrong command line.
USAGE = 2

# argparse's messages; a message that differs is shown unchanged
_INVALID = re.compile(
    r"argument (?P<name>.+?): invalid choice: (?P<quote>['\"])(?P<word>.*?)(?P=quote) \("
)


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the nearest command, option or choice.

    A command line that is wrong ends the process with status 2.
    """

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parse a command line; without any command the help is printed to standard error."""
        args = sys.argv[1:] if args is None else args
        if args and args[0].startswith("--") and args[0] != "--":
            # argparse would take the value of an option that it does not know for the command
            name = args[0].partition("=")[0]
            if not any(known.startswith(name) for known in self.options()):
                self.error(f"there is no option {name}{_near(name, self.options())}")
        asked: argparse.Namespace
        asked, unknown = self.parse_known_args(args, namespace)
        command: str | None = asked.command
        if unknown:
            word = unknown[0].partition("=")[0]
            chosen = self.commands().get(command or "")
            near = _near(word, [*self.options(), *(chosen.options() if chosen else ())])
            what = "option" if word.startswith("-") else "argument"
            where = f" of {command}" if chosen else ""
            self.error(f"there is no {what} {word}{where}{near}")
        if command is None:
            self.print_help(sys.stderr)
            self.exit(USAGE)
        return asked

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with status 2."""
        found = _INVALID.match(message)
        if found:
            name, word = found["name"], found["word"]
            if name == "COMMAND":
                near = _near(word, self.commands())
                message = f"there is no command {word}{near or f'; {self.prog} --help lists them'}"
            else:
                known = [str(one) for each in self._actions for one in each.choices or ()]
                message += _near(word, known)
        super().error(message)

    def options(self) -> list[str]:
        """Return its options, without those of its commands."""
        return [name for action in self._actions for name in action.option_strings]

    def commands(self) -> dict[str, Parser]:
        """Return the parsers of its commands, by name."""
        for action in self._actions:
            if isinstance(action.choices, dict):
                return action.choices
        return {}

    def arguments(self) -> Iterator[argparse.Action]:
        """Yield its arguments, without those of its commands."""
        yield from self._actions


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""
