"""Runs a page in a sandbox: each command in its order, and its output compared with the page."""

from __future__ import annotations

import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Sequence

from docs.commands import Page, PageCommand, difference, masked
from docs.sandbox import CHECKOUT, PATIENCE, RunningProgram, Sandbox, Shell

#: User by prompt.
USERS = {"$": "ann", "#": "root"}

#: Commands that run until they are stopped.
_DAEMON = re.compile(
    r"\btwistd (?=.*-n\b)(?=.*\btcpd\b)(?!.*--(?:check|show-|print-|version|help))"
)
_PERSISTENT = re.compile(
    r"socat .*LISTEN.*|stunnel \S+|python3 -m http\.server .*|tcpd-ctl events"
    r"|python -m benchmarks.crowd .*--hold [1-9].*"
)
#: Commands that exit before their daemon has opened its ports.
_EARLY_EXIT = re.compile(r"xinetd .*|haproxy -D .*")
#: Commands that succeed when a persistent program without a listening socket has started.
_STARTED = {
    # a connection that has sent data, beside the connection of this command
    "tcpd-ctl events": "[ $(tcpd-ctl connections --service control | awk '$6 > 0' | wc -l) -gt 2 ]",
}
#: Commands that prompt on a shell: prompts and answers.
_PROMPTS = {
    "tcpd-ctl hash-password": [
        ("Password:", "correct-horse-battery"),
        ("Again:", "correct-horse-battery"),
    ]
}
#: Interactive commands.
_CONVERSATION = re.compile(r"(?:nc|openssl s_client|telnet) [^|<>]*(?:2>/dev/null)?")

#: Text on the screen of a program when it is ready for input.
_READY = {"irssi": "[(status)]", "weechat": "Plugins loaded:"}

#: Lines that a server sends; the other lines of a conversation are typed.
_RECEIVED = re.compile(
    r"\d{3}[ -]"  # line
    r"|:\S+ |PING |ERROR "  # IRC
    r"|Welcome to the chat|Type the nickname|Hello |/help lists|Goodbye"  # chat
    r"|\* |  |#\S+ [<*]|\[private|! "
    r"|depth=|verify |\.\.\.$|$"
)
_JOINED = re.compile(r"\* (\S+) joined ")


class ScreenSession:
    """A program that uses the whole shell, in tmux.

    Lines of a page that begin with a slash are typed, and lines that begin with a lower-case letter
    and have no bar. Each other line must appear in a line of the screen, in any order.
    """

    def __init__(self, shell: Shell, program: str) -> None:
        self._shell = shell
        self._tmux = f"tmux -S /tmp/{program.split()[0]}.tmux -f /dev/null"
        self._failure = ""
        self._thread = threading.Thread(target=list)
        #: Always set: a screen never waits for another conversation.
        self.waits = threading.Event()
        self.waits.set()
        self._do(f"new-session -d -x 120 -y 70 {shlex.quote(program)}")
        self._until("its start", lambda screen: has(screen, _READY[program]))

    def _do(self, command: str) -> str:
        status, printed = self._shell.run(f"{self._tmux} {command}")
        assert status == 0, printed
        return printed

    def follow(self, shown: Sequence[str]) -> None:
        """Type or expect these lines, in a thread."""
        self.finish()
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
        # the input line is the last of the screen; several lines at once would count as pasted
        self._until(line, lambda screen: line[:60] in screen.rstrip().splitlines()[-1])
        self._do("send-keys Enter")
        self._until(line, lambda screen: line[:60] not in screen.rstrip().splitlines()[-1])

    def _until(self, line: str, wanted: Callable[[str], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not wanted(screen := self._do("capture-pane -p")):
            assert time.monotonic() < end, f"the screen does not show: {line}\n{screen}"
            time.sleep(0.05)

    def finish(self) -> None:
        """Wait until the screen has shown all lines."""
        if self._thread.ident:
            self._thread.join()
        assert not self._failure, self._failure

    def close(self) -> None:
        """Stop the program."""
        self._do("kill-server")


class ShownConversation:
    """An interactive client: lines typed and lines received.

    It runs in a thread, as two clients in a room wait for each other.
    """

    def __init__(self, program: RunningProgram, command: PageCommand) -> None:
        self._program = program
        self._command = command
        self._failure = ""
        #: Set when the next line depends on another conversation, and at the end.
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
            if not _RECEIVED.match(expected):
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
            assert line is not None, f"it has exited before: {expected}"
            assert same(expected, line), difference([expected], [line])
            number += 1
        if self._program.ended and not skips:
            assert self._program.lines[number:] == [], "the page does not show all lines"

    def finish(self) -> None:
        """Wait until all lines of the page were received.

        :raise AssertionError: if the conversation differs from the page.
        """
        self._thread.join(PATIENCE + 1)
        assert not self._thread.is_alive(), "no further line"
        assert not self._failure, f"line {self._command.line}: {self._command}\n{self._failure}"

    def close(self) -> None:
        """Stop the client, if it still runs."""
        self._program.stop(signal.SIGTERM)


def assert_shows(program: RunningProgram, shown: tuple[str, ...]) -> None:
    """Wait until a program has printed these lines, in their order."""
    number = 0
    for line in shown:
        if line != "...":
            number = program.wait_for(lambda each, line=line: same(line, each), number) + 1


def has(screen: str, line: str) -> bool:
    """Return whether a line of a screen contains this line of a page."""
    return any(masked(line) in masked(each) for each in screen.splitlines())


def same(shown: str, line: str) -> bool:
    """Return whether a line of a page matches this line."""
    return not difference([shown], [line])


class Reader:
    """Runs pages.

    :param typed: returns the command to run for a command of the page; ``None`` to skip it.
    """

    def __init__(
        self, sandbox: Sandbox, typed: Callable[[PageCommand], PageCommand | None]
    ) -> None:
        self._sandbox = sandbox
        self._typed = typed
        self._programs: list[tuple[RunningProgram, tuple[str, ...]]] = []
        self._conversations: list[ShownConversation | ScreenSession] = []
        self._screens: dict[str, ScreenSession] = {}
        self._log: Callable[[], list[str]] = list

    def follow(self, page: Page) -> None:
        """Run a page, and compare the output with it.

        :raise AssertionError: with page and line, at the first difference.
        """
        self._sandbox.must(f"cd {CHECKOUT}", USERS["$"])
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
        self._sandbox.write(path, text, user)

    def _type(self, shown: PageCommand) -> None:
        command = self._typed(shown)
        if command is None:
            return
        text = command.text
        user = USERS[command.prompt]
        before, and_then, last = text.rpartition("&& ")
        if _DAEMON.search(last):
            if and_then:
                self._sandbox.must(before.rstrip("& "), user)
            self._start_daemon(last, user, command.shown)
        elif text in _PROMPTS:
            self._answer(command, user)
        elif _PERSISTENT.fullmatch(text):
            self._start(text, user, command.shown)
        elif _CONVERSATION.fullmatch(text):
            conversation = ShownConversation(self._sandbox.start(text, user), command)
            self._conversations.append(conversation)
            conversation.waits.wait(PATIENCE)
        else:
            for conversation in self._conversations:
                conversation.finish()
            self._run(command, user)

    def _look(self, program: str, shown: Sequence[str]) -> None:
        for screen in self._screens.values():
            screen.finish()
        if program not in self._screens:
            screen = ScreenSession(self._sandbox.open_shell(USERS["$"]), program)
            self._screens[program] = screen
            self._conversations.append(screen)
        self._screens[program].follow(shown)

    def _answer(self, command: PageCommand, user: str) -> None:
        """Run a command that prompts on a terminal."""
        script = f"script -qfec {shlex.quote(command.text)} /dev/null"
        program = self._sandbox.start(script, user)
        for prompt, answer in _PROMPTS[command.text]:
            program.wait_for_prompt(prompt)
            program.type(answer)
        program.wait_for_end()
        wrong = difference(command.shown, program.lines)
        assert not wrong, f"{command}\n{wrong}"

    def _run(self, command: PageCommand, user: str) -> None:
        text = command.text
        stopping = re.fullmatch(r"kill \$\(cat (\S+)\)", text)
        if stopping:
            for program, shown in self._programs:
                assert_shows(program, shown)
        process = self._sandbox.must(f"cat {stopping[1]}", user).strip() if stopping else ""
        exits_early = _EARLY_EXIT.fullmatch(text)
        listening = self._listening() if exits_early else 0
        status, printed = self._sandbox.run(text, user)
        if exits_early and not status:
            self._wait(lambda: self._listening() > listening, text)
        if command.shown:
            wrong = difference(command.shown, printed.splitlines())
            assert not wrong, f"{command}\n{wrong}"
        else:
            assert status == 0, f"{command}\nexit status {status}\n{printed}"
        if process:
            self._wait(lambda: self._sandbox.run(f"kill -0 {process}", user)[0] != 0, text)
        log = re.search(r"\btwistd .*-l (\S+) .*\btcpd\b", text)
        if log and status == 0:
            self._log = lambda: self._sandbox.must(f"cat {log[1]}").splitlines()

    def _start(self, text: str, user: str, shown: tuple[str, ...]) -> None:
        """Start a program whose output is compared when it is stopped."""
        listening = self._listening()
        program = self._sandbox.start(text, user)
        self._programs.append((program, shown))
        if "benchmarks.crowd" in text:
            program.wait_for(lambda line: "connections answered" in line)
        elif has_started := _STARTED.get(text):
            self._wait(lambda: self._sandbox.run(has_started, user)[0] == 0, text)
        else:
            self._wait(lambda: self._listening() > listening, text)

    def _listening(self) -> int:
        """Return the number of listening sockets in the sandbox."""
        return int(self._sandbox.must("ss -Hlntx | wc -l"))

    def _start_daemon(self, text: str, user: str, shown: tuple[str, ...]) -> None:
        program = self._sandbox.start(text, user)
        self._programs.append((program, ()))
        self._log = lambda: program.lines
        if shown:
            assert_shows(program, shown)
        else:
            program.wait_for(lambda line: " started: services " in line)
            # the reactor installs its signal handlers later
            self._wait(lambda: program.catches(signal.SIGTERM), text)

    def _find(self, shown: list[str]) -> None:
        """Wait until these lines are in the log; the page may omit time and logger."""

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
            assert time.monotonic() < end, f"{what}: timed out"
            time.sleep(0.02)

    def _end_conversations(self) -> None:
        for conversation in self._conversations:
            conversation.finish()
        while self._conversations:
            self._conversations.pop().close()
        self._screens.clear()

    def _stop_last(self) -> None:
        """Press Ctrl-C."""
        self._end_conversations()
        assert self._programs, "no program runs"
        program, shown = self._programs.pop()
        assert_shows(program, shown)
        program.stop(signal.SIGINT)
        log = "\n".join(program.lines)
        assert "Traceback" not in log, log
        assert "Unhandled" not in log, log
