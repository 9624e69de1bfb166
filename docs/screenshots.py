"""Makes docs/images/*.png, the pages of ``protocol = web`` in Chromium.

``python docs/screenshots.py`` requires root, iproute2, chromium, chromedriver, and the packages of
the tests. It runs in a network namespace whose loopback interface has the MTU of Ethernet and
addresses for documentation (RFC 5737), so that the handshake on the pictures has usual values.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path.append(str(ROOT / "tests"))

import certificates  # noqa: E402
from running import Daemon  # noqa: E402
from web.browsing import Chromium  # noqa: E402

SERVER, CLIENT = "203.0.113.80", "192.0.2.10"

NETWORK = f"""
ip link set lo mtu 1500 up
ip address add {SERVER}/32 dev lo
ip address add {CLIENT}/32 dev lo
ip route change local {SERVER} dev lo src {CLIENT} table local
"""

CONFIG = f"""
[tcpd]
server_name = tcpd.example.net
[policy:default]
per_address = 1000
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:web]
protocol = web
status = 192.0.2.0/24
listen =
    {SERVER}:80
    {SERVER}:443 tls=main
[service:irc]
protocol = irc
listen =
    {SERVER}:6697 tls=main
    127.0.0.1:6667
[service:chat]
protocol = chat
listen =
    {SERVER}:7000
[service:echo]
protocol = echo
listen =
    {SERVER}:7
"""

#: The largest picture that is kept, in bytes.
MOST = 150_000

SECONDS = 45

Snap = Callable[[str], None]


class Person:
    """Someone in the chat who uses the text frontend.

    :param nick: the nickname.
    """

    def __init__(self, nick: str) -> None:
        self._socket = socket.create_connection((SERVER, 7000), 30)
        self._lines = self._socket.makefile()
        self.says(nick)
        self._sees("joined #lobby")
        self.says("/join #tcp")
        self._sees("What you type goes to #tcp now.")

    def _sees(self, text: str) -> None:
        while text not in self._lines.readline():
            pass

    def says(self, text: str) -> None:
        self._socket.sendall(f"{text}\r\n".encode())


def connection(browser: Chromium, snap: Snap) -> None:
    """The page of the connection: the drawing, light and dark."""
    browser.driver.get(f"http://{SERVER}/")
    browser.until(lambda: browser.texts(".chart-range")[:1] > [""])
    snap("connection")
    browser.scheme("dark")
    snap("connection-dark")
    browser.scheme("light")


def learn(browser: Chromium, snap: Snap) -> None:
    """A chapter of the lesson."""
    browser.driver.get(f"http://{SERVER}/learn/syn-ack")
    snap("learn")


def chat(browser: Chromium, snap: Snap) -> None:
    """A room with four people."""
    cleo = Person("cleo")
    cleo.says("/topic Ask about TCP; answers take a round trip")
    bob, dan = Person("bob"), Person("dan")
    browser.driver.get(f"http://{SERVER}/chat")
    browser.until(lambda: browser.find(".chat-nick").is_displayed())
    for text, shown in (("ann", "#lobby"), ("/join #tcp", "#tcp")):
        browser.keys(text, "\ue007")
        browser.until(lambda shown=shown: browser.find(".chat-title").text == shown)

    def say(person: Person | None, text: str) -> None:
        count = len(browser.texts(".chat-log:not([hidden]) .row"))
        if person is None:
            browser.keys(text, "\ue007")
        else:
            person.says(text)
        browser.until(lambda: len(browser.texts(".chat-log:not([hidden]) .row")) > count)

    say(bob, "why is the sequence number of my SYN not zero?")
    say(cleo, "it is random, so that nobody else can guess it and inject data")
    say(dan, "RFC 9293 section 3.4.1 has the reasons")
    say(bob, "and the ack is one more, though I sent no data")
    say(None, "the SYN itself counts as one byte. See http://203.0.113.80/learn/syn")
    say(bob, "ann: thanks!")
    say(cleo, "/me pours tea")
    say(dan, "ann: which client is this? I am on nc")
    snap("chat")


def status(browser: Chromium, snap: Snap) -> None:
    """The status, after some traffic."""
    browser.driver.get(f"http://{SERVER}/status")
    browser.until(lambda: browser.find("#stream-state").text.startswith("Live"))
    clients = []
    for second in range(SECONDS):
        seen = browser.texts(".chart-line")  # the page is alive
        assert seen
        for number in range(1 + second * second % 7):
            client = socket.create_connection((SERVER, 7), 30)
            client.sendall(b"x" * (400 + 211 * (second * number % 11)))
            clients.append(client)
        while len(clients) > 12 + second % 5:
            clients.pop(0).close()
        uptime = browser.find("[data-status=uptime]").text
        browser.until(lambda before=uptime: browser.find("[data-status=uptime]").text != before)
    snap("status")


def make() -> None:
    """Start a daemon and a browser, and take all pictures, at two widths."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        certificates.make(directory, "localhost")
        daemon = Daemon(directory, CONFIG)
        browser = Chromium(directory / "profile")
        browser.scheme("light")
        browser.cdp("Emulation.setScrollbarsHidden", hidden=True)

        def snap(name: str) -> None:
            for width, height in ((1280, 800), (390, 760)):
                if name.endswith("dark") and width < 1280:
                    continue
                browser.resize(width, height)
                browser.run("document.activeElement.blur(); scrollTo(0, 0)")
                data = browser.cdp("Page.captureScreenshot", format="png")["data"]
                save(IMAGES / f"{name}-{width}.png", base64.b64decode(data))

        try:
            for take in (connection, learn, chat, status):
                take(browser, snap)
        finally:
            browser.close()
            daemon.stop()


def save(path: Path, content: bytes) -> None:
    """Write a picture, with fewer colors if pngquant is installed."""
    path.write_bytes(content)
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--output", path, "64", path], check=True)
    size = path.stat().st_size
    assert size < MOST, f"{path.name}: {size} bytes"
    print(f"{path.relative_to(ROOT)}: {size} bytes")


if __name__ == "__main__":
    if "inside" in sys.argv:
        subprocess.run(["sh", "-ec", NETWORK], check=True)
        make()
    else:
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, "inside"])
