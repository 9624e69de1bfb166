"""After each kind of install, ``twistd`` has the plugin in any directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import installing
import pytest
from installing import Distributions, Environment
from running import Daemon, receive_until

pytestmark = [pytest.mark.long, pytest.mark.live]

ECHO = "[service:echo]\nprotocol = echo\nlisten =\n    127.0.0.1:0\n"

#: The beginning of tcpd's line in ``twistd --help``.
NAMED = "\n    tcpd "


def assert_serves(environment: Environment, **variables: str) -> None:
    """Assert that help, check, sample and a daemon work, outside any checkout."""

    def tcpd(*arguments: str) -> str:
        return environment.run("twistd", "-n", "--pidfile=", "tcpd", *arguments, **variables)

    assert NAMED in environment.run("twistd", "--help", **variables)
    assert tcpd("--check") == "the built-in sample: nothing is wrong\n"
    (environment.elsewhere / "printed.ini").write_text(tcpd("--print-config"))
    assert tcpd("--config", "printed.ini", "--check") == "printed.ini: nothing is wrong\n"
    daemon = Daemon(environment.elsewhere, ECHO, environment.tool("twistd"), variables)
    try:
        with daemon.connect("echo") as client:
            client.sendall(b"hello")
            assert receive_until(client, b"hello") == b"hello"
    finally:
        daemon.stop()


def assert_twisted_is_whole(environment: Environment) -> None:
    program = (
        "from importlib.metadata import files\n"
        "print([str(file) for file in files('Twisted') if not file.locate().exists()])"
    )
    assert environment.run("python", "-c", program) == "[]\n"


def test_wheel_installs_and_uninstalls(
    environment: Environment, distributions: Distributions
) -> None:
    environment.pip("install", "--quiet", distributions.wheel)
    assert_serves(environment)
    version = distributions.wheel.name.split("-")[1]
    printed = environment.run("twistd", "tcpd", "--version")
    assert printed.startswith(f"tcpd {version}, Twisted ")
    page = environment.directory / "share" / "man" / "man5" / "tcpd.ini.5"
    sample = environment.directory / "share" / "tcpd" / "etc" / "tcpd.ini"
    assert sample.read_bytes() == (installing.ROOT / "etc" / "tcpd.ini").read_bytes()
    assert "tcpd.ini - " in page.read_text("utf-8").replace("\\-", "-")

    environment.pip("uninstall", "--quiet", "--yes", "tcpd")
    left = environment.run("twistd", "--help")
    assert NAMED not in left
    assert "\n    web " in left
    assert_twisted_is_whole(environment)
    assert not sample.exists()
    assert not page.exists()
    assert not list(environment.directory.glob("lib/python*/site-packages/tcpd*"))


def test_directory_installs(environment: Environment, checkout: Path) -> None:
    environment.pip("install", "--quiet", checkout)
    shutil.rmtree(checkout)
    assert_serves(environment)


def test_reinstall_of_a_directory_removes_deleted_modules(
    environment: Environment, checkout: Path
) -> None:
    """The build/ directory of the first install must not restore the modules."""
    gone = [checkout / "tcpd" / "gone.py", checkout / "tcpd" / "lost" / "__init__.py"]
    gone.append(checkout / "twisted" / "plugins" / "tcpd_gone.py")
    for file in gone:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    program = (
        "import importlib.util\n"
        "names = ('tcpd.gone', 'tcpd.lost', 'twisted.plugins.tcpd_gone', 'tcpd.tap')\n"
        "print([name for name in names if importlib.util.find_spec(name)])"
    )
    environment.pip("install", "--quiet", checkout)
    assert "lost" in environment.run("python", "-c", program)
    for file in gone:
        file.unlink()
    (checkout / "tcpd" / "lost").rmdir()
    environment.pip("install", "--quiet", "--force-reinstall", "--no-deps", checkout)
    assert environment.run("python", "-c", program) == "['tcpd.tap']\n"


def test_directory_installs_editable(environment: Environment, checkout: Path) -> None:
    environment.pip("install", "--quiet", "--editable", checkout)
    assert_serves(environment)
    quotes = checkout / "tcpd" / "small" / "quotes.txt"
    program = "import tcpd.small; print(tcpd.small.__file__)"
    assert Path(environment.run("python", "-c", program).strip()).parent == quotes.parent

    environment.pip("uninstall", "--quiet", "--yes", "tcpd")
    assert NAMED not in environment.run("twistd", "--help")
    assert_twisted_is_whole(environment)
    assert quotes.exists()


def test_checkout_runs_without_install(environment: Environment, checkout: Path) -> None:
    """``PYTHONPATH=. twistd -n tcpd``, with tcpd's requirements installed."""
    environment.pip("install", "--quiet", *installing.requirements())
    assert NAMED not in environment.run("twistd", "--help")
    assert_serves(environment, PYTHONPATH=str(checkout))


def test_plugin_package_installs(
    environment: Environment, distributions: Distributions, checkout: Path
) -> None:
    """The example package, by pip; its protocol is served."""
    environment.pip("install", "--quiet", distributions.wheel, checkout / "tests" / "example")
    daemon = Daemon(
        environment.elsewhere, ECHO.replace("= echo", "= shout"), environment.tool("twistd")
    )
    try:
        with daemon.connect("echo") as client:
            client.sendall(b"hello\n")
            assert receive_until(client, b"\n").startswith(b"HELLO")
    finally:
        daemon.stop()
