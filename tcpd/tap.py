"""``twistd tcpd``: its options, and the Service that it runs."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import os
import pwd
import re
import sys
import time
from collections.abc import MutableMapping, Sequence
from typing import Any, NoReturn

from twisted.application import app
from twisted.application.service import IService
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.logger import Logger
from twisted.python import usage

from tcpd.config.errors import ConfigError
from tcpd.config.load import find_files, load
from tcpd.config.settings import Settings
from tcpd.config.show import sample, show_config
from tcpd.daemon.compose import SECTIONS, check, make_daemon
from tcpd.daemon.pidfile import PidFile
from tcpd.daemon.registry import BUILT_IN, KindError, Kinds
from tcpd.daemon.starting import StandardError, show_start_errors
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.daemon.stop_signals import StopSignals
from tcpd.net.clock import use_monotonic_clock
from tcpd.net.lookups import Lookups
from tcpd.net.names import NameResolver
from tcpd.net.threads import use_daemon_threads
from tcpd.ops.garbage import freeze_objects
from tcpd.ops.versions import version_of
from tcpd.wire.output import discard_output, use_utf8

_log = Logger()


class Options(usage.Options):
    """The command line behind ``twistd tcpd``.

    :ivar settings: the configuration, after the command line was parsed.
    :ivar kinds: the kinds of services, by name.
    """

    synopsis = "[options]"
    longdesc = (
        "Serves small TCP services, each declared in an ini file. Protocols: "
        f"{', '.join(BUILT_IN)}. Reads /etc/tcpd/tcpd.ini, or the files of --config; without "
        "either it serves a built-in sample on 127.0.0.1."
    )
    optFlags = [
        ["check", None, "Check the configuration, print its errors, and exit."],
        ["show-config", None, "Print all effective values and their sources, and exit."],
        ["print-config", None, "Print an annotated sample configuration, and exit."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["config"] = []
        self.settings: Settings
        self.kinds: Kinds

    def opt_config(self, path: str) -> None:
        """An ini file, or a directory of them. May be repeated; later ones win."""
        self["config"].append(path)

    opt_c = opt_config

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line. Called by twistd.

        :raise usage.UsageError: for a wrong one, with the nearest right option.
        """
        use_utf8()
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            unknown = re.search(r"--(\S+) not recognized", str(error))
            hint = self._nearest(unknown[1]) if unknown else ""
            raise usage.UsageError(f"{error}{hint}") from None

    def parseArgs(self, *words: str) -> None:
        """Refuse words that are no options."""
        if words:
            hint = self._nearest(words[0]) or "; tcpd-ctl has the commands for a running daemon"
            raise usage.UsageError(f"tcpd takes options only, and not {words[0]!r}{hint}")

    def _nearest(self, word: str) -> str:
        names = [name.rstrip("=") for name in self.longOpt]
        near = difflib.get_close_matches(word, names, 1)
        return f"; did you mean --{near[0]}?" if near else ""

    def opt_help(self) -> None:
        """Display this help and exit."""
        _leave(str(self))

    def opt_version(self) -> None:
        """Display the versions of tcpd and Twisted, and exit."""
        _leave(f"tcpd {version_of('tcpd')}, Twisted {version_of('twisted')}")

    def postOptions(self) -> None:
        """Read the configuration, and run the options that need no daemon."""
        try:
            self.kinds = Kinds()
            if self["print-config"]:
                others = self.kinds.of_other_packages()
                _leave(sample(self.kinds.built_in(), SECTIONS, others))
            self.settings = self.read()
            self._choose_reactor()
            if self["show-config"]:
                _leave(f"# reactor: {_reactor_name()}\n{show_config(self.settings)}")
            if self["check"]:
                remarks = check(self.settings, self.kinds, time.time, _environment(self))
                files = ", ".join(find_files(self["config"])) or "the built-in sample"
                _leave("\n".join([*remarks, f"{files}: nothing is wrong"]))
        except (ConfigError, KindError) as error:
            _fail(str(error))

    def _choose_reactor(self) -> None:
        """Install tcpd's own reactor, unless there is another by now (--reactor)."""
        if "twisted.internet.reactor" not in sys.modules:
            # without epoll, tcpd runs on the reactor that Twisted chooses
            with contextlib.suppress(ImportError):
                from tcpd.net.reactor import install

                install()

    def read(self) -> Settings:
        """Read the configuration that the command line names; again at each reload.

        :raise ConfigError: with all that is wrong.
        """
        files = find_files(self["config"])
        # making the sample loads every kind, of which most configurations serve two or three
        built_in = "" if files else sample(self.kinds.built_in(), SECTIONS)
        return load(files, built_in, self.kinds, SECTIONS)


def makeService(options: Options) -> IService:
    """Build what ``twistd`` runs. Called by it, as root if it was started so."""
    from twisted.internet import reactor

    use_monotonic_clock(reactor)
    use_daemon_threads(reactor)
    if (_twistd(options) or {}).get("rundir", ".") != ".":
        # twistd is going to change its directory; a reload must still find the files
        options["config"] = [os.path.abspath(path) for path in options["config"]]
    try:
        daemon = make_daemon(
            options.settings,
            options.kinds,
            reactor,
            time.time,
            read=options.read,
            twistd=_twistd(options),
            environment=_environment(options),
        )
    except ConfigError as error:
        _fail(str(error))
    if IReactorPluggableNameResolver.providedBy(reactor):
        reactor.installNameResolver(NameResolver(Lookups(reactor)))
    twistd = _twistd(options) or {}
    stop_signals = StopSignals(daemon, reactor, twistd.get("pidfile") or "")
    stop_signals.setServiceParent(daemon)
    atexit.register(stop_signals.check)
    PidFile(twistd, twistd.get("uid")).setServiceParent(daemon)
    terminal = StandardError(background=bool(twistd) and not twistd.get("nodaemon"))
    daemon.start_failed = terminal.failed
    reactor.callWhenRunning(terminal.close)
    sys.excepthook = show_start_errors
    freeze_objects()
    return daemon


def _environment(options: Options) -> StartupEnvironment:
    """The environment of the process, and the user that it changes to."""
    twistd = _twistd(options) or {}
    owner, group = twistd.get("uid"), twistd.get("gid")
    if owner is not None and group is None:
        with contextlib.suppress(KeyError):  # twistd reports it
            group = pwd.getpwuid(owner).pw_gid
    return StartupEnvironment(os.environ, os.geteuid(), owner, group)


def _twistd(options: Options) -> MutableMapping[str, Any] | None:
    """The options of twistd before the word tcpd; ``None`` under ``twist``."""
    above: Any = options.parent
    return above if isinstance(above, app.ServerOptions) else None


def _reactor_name() -> str:
    """Which reactor the daemon would run on."""
    from twisted.internet import reactor

    return type(reactor).__qualname__


def _leave(text: str) -> NoReturn:
    """Print a text and exit."""
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        discard_output()
    except OSError as error:
        discard_output()
        _fail(f"standard output cannot be written: {error.strerror}")
    sys.exit(0)


def _fail(text: str) -> NoReturn:
    """Print what is wrong and exit."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()
    sys.exit(1)
