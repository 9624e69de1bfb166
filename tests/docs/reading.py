"""A reader, who types a page from its top to its bottom, word for word, on a stage."""

from __future__ import annotations

import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Sequence

from docs.commands import Command, Page, difference, masked
from docs.stage import CHECKOUT, PATIENCE, Program, Stage, Terminal

#: Who types what stands behind which prompt.
USERS = {"$": "ann", "#": "root"}

#: Commands that go on until they are stopped.
_DAEMON = re.compile(
    r"\btwistd (?=.*-n\b)(?=.*\btcpd\b)(?!.*--(?:check|show-|print-|version|help))"
)
_GOES_ON = re.compile(
    r"socat .*LISTEN.*|stunnel \S+|python3 -m http\.server .*|tcpd-ctl events"
    r"|python -m benchmarks.crowd .*--hold [1-9].*"
)
#: Commands that return before their daemon has opened its ports.
_HASTY = re.compile(r"xinetd .*|haproxy -D .*")
#: How to see that a program that goes on has begun, if not by a port or socket that it opens.
_BEGUN = {
    # a connection that has sent something, beside that which asks
    "tcpd-ctl events": "[ $(tcpd-ctl connections --service control | awk '$6 > 0' | wc -l) -gt 2 ]",
}
#: Commands that ask on a terminal; what they ask, and the answers.
_ASKS = {
    "tcpd-ctl hash-password": [
        ("Password:", "correct-horse-battery"),
        ("Again:", "correct-horse-battery"),
    ]
}
#: Commands that somebody types into.
_CONVERSATION = re.compile(r"(?:nc|openssl s_client|telnet) [^|<>]*(?:2>/dev/null)?")

#: What is on the screen of such a program when it takes input.
_READY = {"irssi": "[(status)]", "weechat": "Plugins loaded:"}

#: Lines that a server says; in a conversation, the others are typed.
_SAID = re.compile(
    r"\d{3}[ -]"  # line
    r"|:\S+ |PING |ERROR "  # IRC
    r"|Welcome to the chat|Type the nickname|Hello |/help lists|Goodbye"  # chat
    r"|\* |  |#\S+ [<*]|\[private|! "
    r"|depth=|verify |\.\.\.$|$"
)
_JOINED = re.compile(r"\* (\S+) joined ")


class Screen:
    """What somebody types into a program that has the whole terminal, and sees there.

    Lines of a page that begin with a slash are typed, and those that begin with a small letter and
    have no bar. The others are parts of lines of the screen, in any order.
    """

    def __init__(self, terminal: Terminal, program: str) -> None:
        self._terminal = terminal
        self._tmux = f"tmux -S /tmp/{program.split()[0]}.tmux -f /dev/null"
        self._failure = ""
        self._thread = threading.Thread(target=list)
        #: Always set: nobody waits for somebody else with a screen.
        self.waits = threading.Event()
        self.waits.set()
        self._do(f"new-session -d -x 120 -y 70 {shlex.quote(program)}")
        self._until("its start", lambda screen: has(screen, _READY[program]))

    def _do(self, command: str) -> str:
        status, printed = self._terminal.run(f"{self._tmux} {command}")
        assert status == 0, printed
        return printed

    def follow(self, shown: Sequence[str]) -> None:
        """Begin to type, and to look for, these lines."""
        self.hear_out()
        self._thread = threading.Thread(target=self._follow, args=[shown], daemon=True)
        self._thread.start()

    def _follow(self, shown: Sequence[str]) -> None:
        try:
            for line in shown:
                if re.match(r"/|[a-z][^|]*$", line):
                    self._type(line)
                elif line.strip() not in ("", "..."):
                    self._until(line, lambda screen, line=line: has(screen, line))
        except AssertionError as error:
            self._failure = str(error)

    def _type(self, line: str) -> None:
        self._do(f"send-keys -l {shlex.quote(line)}")
        # where it is typed is the last line of the screen; more at once would look as if pasted
        self._until(line, lambda screen: line[:60] in screen.rstrip().splitlines()[-1])
        self._do("send-keys Enter")
        self._until(line, lambda screen: line[:60] not in screen.rstrip().splitlines()[-1])

    def _until(self, line: str, wanted: Callable[[str], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not wanted(screen := self._do("capture-pane -p")):
            assert time.monotonic() < end, f"the screen does not show: {line}\n{screen}"
            time.sleep(0.05)

    def hear_out(self) -> None:
        """Wait until all that the page shows was seen."""
        if self._thread.ident:
            self._thread.join()
        assert not self._failure, self._failure

    def close(self) -> None:
        """End the program."""
        self._do("kill-server")


class Conversation:
    """What somebody types into a client, and reads there, line by line.

    It is held in a thread: two people in a room wait for each other.
    """

    def __init__(self, program: Program, command: Command) -> None:
        self._program = program
        self._command = command
        self._failure = ""
        #: Set when the next line has to wait for somebody else, and at the end.
        self.waits = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        try:
            self._follow()
        except AssertionError as error:
            self._failure = str(error)
        finally:
            self.waits.set()

    def _follow(self) -> None:
        typed: list[str] = []
        skips, number = False, 0
        for expected in self._command.shown:
            if expected == "...":
                skips = True
                continue
            if not _SAID.match(expected):
                self._program.type(expected)
                typed.append(expected)
                continue
            joined = _JOINED.match(expected)
            if joined and joined[1] not in typed:
                self.waits.set()
            if skips:
                number = self._program.wait_for(lambda line, e=expected: same(e, line), number)
                skips = False
            line = self._program.line(number)
            assert line is not None, f"it ended before: {expected}"
            assert same(expected, line), difference([expected], [line])
            number += 1
        if self._program.ended and not skips:
            assert self._program.lines[number:] == [], "it says more than the page shows"

    def hear_out(self) -> None:
        """Wait until all that the page shows was said.

        :raise AssertionError: if it went another way than the page shows.
        """
        self._thread.join(PATIENCE + 1)
        assert not self._thread.is_alive(), "nothing more comes"
        assert not self._failure, f"line {self._command.line}: {self._command}\n{self._failure}"

    def close(self) -> None:
        """Close the client, if it is still there."""
        self._program.stop(signal.SIGTERM)


def assert_shows(program: Program, shown: tuple[str, ...]) -> None:
    """Wait until a program has printed these lines, in this order."""
    number = 0
    for line in shown:
        if line != "...":
            number = program.wait_for(lambda said, line=line: same(line, said), number) + 1


def has(screen: str, line: str) -> bool:
    """Whether a line of a screen has this line of a page in it."""
    return any(masked(line) in masked(each) for each in screen.splitlines())


def same(shown: str, line: str) -> bool:
    """Whether a line of a page shows this line."""
    return not difference([shown], [line])


class Reader:
    """Somebody who follows a page.

    :param typed: gives what is typed for a command of the page; ``None`` leaves it out.
    """

    def __init__(self, stage: Stage, typed: Callable[[Command], Command | None]) -> None:
        self._stage = stage
        self._typed = typed
        self._programs: list[tuple[Program, tuple[str, ...]]] = []
        self._conversations: list[Conversation | Screen] = []
        self._screens: dict[str, Screen] = {}
        self._log: Callable[[], list[str]] = list

    def follow(self, page: Page) -> None:
        """Type all of a page, and compare what it shows with what comes.

        :raise AssertionError: where it differs, with the page and the line.
        """
        self._stage.must(f"cd {CHECKOUT}", USERS["$"])
        for block in page.blocks:
            try:
                if block.stops:
                    self._stop_last()
                if block.file:
                    self._write(block.file, block.text)
                elif block.is_log:
                    self._find(block.text.splitlines())
                elif block.screen:
                    self._look(block.screen, block.text.splitlines())
                for command in block.commands:
                    self._type(command)
            except AssertionError as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from None
        self._end_conversations()
        while self._programs:
            self._stop_last()

    def _write(self, path: str, text: str) -> None:
        user = USERS["#" if path.startswith("/") and not path.startswith("/tmp/") else "$"]
        self._stage.write(path, text, user)

    def _type(self, shown: Command) -> None:
        command = self._typed(shown)
        if command is None:
            return
        text = command.text
        user = USERS[command.prompt]
        before, and_then, last = text.rpartition("&& ")
        if _DAEMON.search(last):
            if and_then:
                self._stage.must(before.rstrip("& "), user)
            self._start_daemon(last, user, command.shown)
        elif text in _ASKS:
            self._answer(command, user)
        elif _GOES_ON.fullmatch(text):
            self._start(text, user, command.shown)
        elif _CONVERSATION.fullmatch(text):
            conversation = Conversation(self._stage.start(text, user), command)
            self._conversations.append(conversation)
            conversation.waits.wait(PATIENCE)
        else:
            for conversation in self._conversations:
                conversation.hear_out()
            self._run(command, user)

    def _look(self, program: str, shown: Sequence[str]) -> None:
        for screen in self._screens.values():
            screen.hear_out()
        if program not in self._screens:
            screen = Screen(self._stage.open_terminal(USERS["$"]), program)
            self._screens[program] = screen
            self._conversations.append(screen)
        self._screens[program].follow(shown)

    def _answer(self, command: Command, user: str) -> None:
        """Run a command that asks on a terminal."""
        script = f"script -qfec {shlex.quote(command.text)} /dev/null"
        program = self._stage.start(script, user)
        for prompt, answer in _ASKS[command.text]:
            program.wait_for_prompt(prompt)
            program.type(answer)
        program.wait_for_end()
        wrong = difference(command.shown, program.lines)
        assert not wrong, f"{command}\n{wrong}"

    def _run(self, command: Command, user: str) -> None:
        text = command.text
        stopping = re.fullmatch(r"kill \$\(cat (\S+)\)", text)
        if stopping:
            for program, shown in self._programs:
                assert_shows(program, shown)
        process = self._stage.must(f"cat {stopping[1]}", user).strip() if stopping else ""
        hasty = _HASTY.fullmatch(text)
        listening = self._listening() if hasty else 0
        status, printed = self._stage.run(text, user)
        if hasty and not status:
            self._wait(lambda: self._listening() > listening, text)
        if command.shown:
            wrong = difference(command.shown, printed.splitlines())
            assert not wrong, f"{command}\n{wrong}"
        else:
            assert status == 0, f"{command}\nexit status {status}\n{printed}"
        if process:
            self._wait(lambda: self._stage.run(f"kill -0 {process}", user)[0] != 0, text)
        log = re.search(r"\btwistd .*-l (\S+) .*\btcpd\b", text)
        if log and status == 0:
            self._log = lambda: self._stage.must(f"cat {log[1]}").splitlines()

    def _start(self, text: str, user: str, shown: tuple[str, ...]) -> None:
        """Start what shows its lines later, while other commands are typed."""
        listening = self._listening()
        program = self._stage.start(text, user)
        self._programs.append((program, shown))
        if "benchmarks.crowd" in text:
            program.wait_for(lambda line: "connections answered" in line)
        elif begun := _BEGUN.get(text):
            self._wait(lambda: self._stage.run(begun, user)[0] == 0, text)
        else:
            self._wait(lambda: self._listening() > listening, text)

    def _listening(self) -> int:
        """How many sockets listen on the stage."""
        return int(self._stage.must("ss -Hlntx | wc -l"))

    def _start_daemon(self, text: str, user: str, shown: tuple[str, ...]) -> None:
        program = self._stage.start(text, user)
        self._programs.append((program, ()))
        self._log = lambda: program.lines
        if shown:
            assert_shows(program, shown)
        else:
            program.wait_for(lambda line: " started: services " in line)
            # the reactor takes over signals a moment later
            self._wait(lambda: program.catches(signal.SIGTERM), text)

    def _find(self, shown: list[str]) -> None:
        """Wait until all these lines are in the log; the time and the logger may be left out."""

        def missing() -> list[str]:
            logged = [masked(line) for line in self._log()]
            return [
                line
                for line in shown
                if line != "..." and not any(each.endswith(masked(line)) for each in logged)
            ]

        end = time.monotonic() + PATIENCE
        while missing():
            log = "\n".join(self._log())
            assert time.monotonic() < end, f"not logged: {missing()}; the log is:\n{log}"
            time.sleep(0.02)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, f"{what}: it goes on"
            time.sleep(0.02)

    def _end_conversations(self) -> None:
        for conversation in self._conversations:
            conversation.hear_out()
        while self._conversations:
            self._conversations.pop().close()
        self._screens.clear()

    def _stop_last(self) -> None:
        """Press Ctrl-C."""
        self._end_conversations()
        assert self._programs, "there is nothing to stop"
        program, shown = self._programs.pop()
        assert_shows(program, shown)
        program.stop(signal.SIGINT)
        log = "\n".join(program.lines)
        assert "Traceback" not in log, log
        assert "Unhandled" not in log, log
