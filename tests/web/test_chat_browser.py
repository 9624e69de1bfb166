"""The chat page in Chromium: against a live daemon, and against a server that keeps history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from running import Daemon
from terminal import Screen, has
from text_client import PlainTextClient
from wires import need

pytest.importorskip("selenium")

from selenium.webdriver.common.keys import Keys
from web.browsing import Chromium
from web.chat_site import ChatSite, HistoryServer

pytestmark = [
    pytest.mark.live,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CONFIG = """
[tcpd]
server_name = test.example
[policy:default]
per_address = 1000
[service:irc]
protocol = irc
websocket_origins = {origin}
listen =
    127.0.0.1:0
    127.0.0.1:0 websocket
[service:chat]
protocol = chat
rate = none
listen =
    127.0.0.1:0
"""

WEB = """
[service:web]
protocol = web
listen =
    127.0.0.1:{port}
"""

ROW = ".chat-log:not([hidden]) .row"


class ChatPage(Chromium):
    """The chat page in a browser."""

    def __init__(self, directory: Path, url: str, width: int = 1400, dark: bool = False) -> None:
        super().__init__(directory, width)
        if dark:
            self.scheme("dark")
        self.driver.get(url)

    def join(self, nick: str) -> None:
        """Join with the keyboard only: the field has the focus."""
        self.keys(nick, Keys.ENTER)
        self.until(lambda: self.find(".chat-input").is_displayed(), "joined")
        self.until(lambda: f"{nick}" in self.find(".chat-members").get_attribute("textContent"))

    def say(self, text: str) -> None:
        self.run("arguments[0].focus()", self.find(".chat-input"))
        self.keys(text, Keys.ENTER)

    def texts(self, selector: str = ROW) -> list[str]:
        """Return the texts of rows without their times."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((row) => (row.querySelector('.content') ?? row).textContent)"
        )
        found: list[str] = self.run(script, selector)
        return found

    def sees(self, text: str) -> None:
        """Wait until a row contains the text."""
        self.until(lambda: any(text in row for row in self.texts()), text)


Open = Callable[..., ChatPage]


@pytest.fixture
def site() -> Iterator[ChatSite]:
    site = ChatSite()
    yield site
    site.close()


@pytest.fixture
def browse(site: ChatSite, tmp_path: Path) -> Iterator[Open]:
    """Open the page in browsers."""
    need("chromium", "chromedriver")
    opened: list[ChatPage] = []

    def browse(**options: Any) -> ChatPage:
        opened.append(ChatPage(tmp_path / f"profile{len(opened)}", site.url, **options))
        return opened[-1]

    yield browse
    for each in opened:
        each.driver.quit()


@pytest.fixture
def start(start: Callable[[str], Daemon], site: ChatSite) -> Callable[[], Daemon]:
    """Start daemons behind the site."""

    def behind() -> Daemon:
        daemon = start(CONFIG.format(origin=site.origin))
        site.irc = daemon.ports["irc", "websocket"]
        return daemon

    return behind


def test_two_browsers_and_a_plain_client_share_a_room(
    start: Callable[[], Daemon], browse: Open
) -> None:
    """ "two browsers, nc and the page talk in one room" """
    daemon = start()
    ann, bob = browse(), browse(width=500)
    ann.join("ann")
    bob.join("bob")
    nc = PlainTextClient(daemon, "nick")
    ann.sees("nick joined")
    bob.sees("nick joined")
    ann.say("hello all")
    bob.sees("ann: hello all")
    nc.sees("hello all")
    nc.type("tea, bob?")
    ann.sees("nick: tea, bob?")
    bob.sees("nick: tea, bob?")
    assert bob.texts(f"{ROW}.mention") == ["nick: tea, bob?"]
    assert ann.texts(f"{ROW}.mention") == []
    # typing notices
    bob.run("arguments[0].focus()", bob.find(".chat-input"))
    bob.keys("so")
    ann.until(lambda: ann.find(".chat-typing").text == "bob is typing …", "typing")
    bob.keys("on", Keys.ENTER)
    ann.sees("bob: soon")
    ann.until(lambda: ann.find(".chat-typing").text == "", "no longer typing")
    # an action, a topic, a nickname
    bob.say("/me pours")
    nc.sees("bob pours")
    ann.sees("bob pours")
    ann.say("/join #tea")
    ann.until(lambda: ann.find(".chat-title").text == "#tea")
    ann.say("/topic \x02Assam\x02 & <b>co</b>")
    ann.until(lambda: ann.find(".chat-topic").text == "Assam & <b>co</b>", "topic")
    ann.until(lambda: "operator" in ann.find(".chat-member").text, "rank")
    bob.say("/nick bert")
    bob.sees("bob is now bert")
    # private messages are conversations, and notify a user who allowed it
    ann.run(
        "globalThis.notified = [];"
        "globalThis.Notification = class { static permission = 'granted';"
        " constructor(title, { body }) { notified.push([title, body]); } }"
    )
    bob.say("/msg ann psst")
    ann.until(lambda: "bert" in ann.find(".chat-rooms").text)
    ann.until(lambda: ann.find(".chat-room.mentioned .chat-unread"))
    assert ann.run("return notified") == [["bert", "psst"]]
    ann.chord(Keys.ALT, Keys.ARROW_DOWN)
    ann.sees("bert: psst")
    nc.close()
    ann.say("/nick")
    ann.say("/foo")
    ann.sees("There is no command /foo")
    assert ann.errors() == []
    assert bob.errors() == []


class WebDaemon:
    """A daemon with ``protocol = web``, and browsers on its page."""

    def __init__(self, directory: Path) -> None:
        need("chromium", "chromedriver")
        self._directory = directory
        self._config = WEB.format(port=0)
        self._pages: list[ChatPage] = []
        self._daemons: list[Daemon] = []
        self.start()
        # a restart keeps the port
        self._port = self.daemon.ports["web", ""]
        self._config = WEB.format(port=self._port)

    @property
    def daemon(self) -> Daemon:
        return self._daemons[-1]

    def start(self) -> None:
        directory = self._directory / f"web{len(self._daemons)}"
        directory.mkdir()
        certificates.make(directory, "localhost")
        self._daemons.append(Daemon(directory, CONFIG.format(origin="same") + self._config))

    def browse(self, **options: Any) -> ChatPage:
        profile = self._directory / f"web-profile{len(self._pages)}"
        url = f"http://127.0.0.1:{self._port}/chat"
        self._pages.append(ChatPage(profile, url, **options))
        return self._pages[-1]

    def close(self) -> None:
        for page in self._pages:
            page.close()
        for daemon in self._daemons:
            daemon.stop()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebDaemon]:
    made = WebDaemon(tmp_path)
    yield made
    made.close()


def test_browsers_nc_and_weechat_share_a_room(
    web: WebDaemon, screen: Callable[[str], Screen], tmp_path: Path
) -> None:
    """ "two browsers, nc and WeeChat talk in one room" of ``protocol = web``, irc and chat; hostile
    text stays text."""
    need("nc", "weechat")
    ann, bob = web.browse(), web.browse(width=500)
    ann.join("ann")
    bob.join("bob")
    ports = web.daemon.ports
    nc = screen(f"nc 127.0.0.1 {ports['chat', '']}")
    nc.shows(has("Type the nickname"))
    nc.type("__proto__\n")
    # the first member of a room is its operator
    for page in (ann, bob):
        page.say("/join #tea")
        page.until(lambda page=page: page.find(".chat-title").text == "#tea")
    nc.type("/join #tea\n")
    for page in (ann, bob):
        page.sees("__proto__ joined")
    options = [
        f"/server add net 127.0.0.1/{ports['irc', '']} -notls -nicks=wee",
        "/set irc.server.net.autojoin #tea",
        "/connect net",
    ]
    runs = " ".join(f"-r '{option}'" for option in options)
    wee = screen(f"weechat --dir {tmp_path / 'weechat'} {runs}")
    for page in (ann, bob):
        page.sees("wee joined")
    wee.type("/buffer #tea\n")
    # each is seen by all others
    ann.say("from ann")
    bob.say("from bob")
    nc.type("from nc\n")
    wee.type("from wee\n")
    for page in (ann, bob):
        for text in ("ann: from ann", "bob: from bob", "__proto__: from nc", "wee: from wee"):
            page.sees(text)
    for window in (nc, wee):
        for name in ("ann", "bob", "nc", "wee"):
            window.shows(has(f"from {name}"))
    # markup from each side
    markup = "<img src=x onerror=document.title=1><script>document.title=2</script>"
    nc.type(f"{markup}\n")
    wee.type("<b>bold</b> &amp; <svg/onload=document.title=3>\n")
    ann.say("&lt;i&gt; <i>tea</i>")
    ann.say("/topic <h1>tea</h1>")
    nc.shows(has("&lt;i&gt; <i>tea</i>"))
    for page in (ann, bob):
        page.sees(f"__proto__: {markup}")
        page.sees("wee: <b>bold</b> &amp; <svg/onload=document.title=3>")
        page.sees("ann: &lt;i&gt; <i>tea</i>")
        page.until(lambda page=page: page.find(".chat-topic").text == "<h1>tea</h1>", "topic")
        marked = "document.querySelectorAll('#chat :is(img, script, b, svg, i, .chat-topic h1)')"
        assert page.run(f"return {marked}.length") == 0
        assert not re.search(r"\d", page.driver.title)
        members = page.texts(".chat-member")
        assert {each.split(" ")[0].lstrip("@") for each in members} == {
            *("ann", "bob", "wee", "__proto__")
        }
        assert page.violations() == []
        assert page.foreign_requests() == []
        assert page.errors() == []


def test_restart_of_the_web_service(web: WebDaemon) -> None:
    """The page says that it is disconnected, connects again, says so, and rejoins."""
    page = web.browse()
    page.join("ann")
    page.say("/join #tea")
    page.until(lambda: page.find(".chat-title").text == "#tea")
    page.say("before")
    page.sees("ann: before")
    web.daemon.stop()
    page.until(lambda: page.find(".chat-status").text.startswith("Disconnected"), "disconnected")
    web.start()
    nc = PlainTextClient(web.daemon, "nick")
    nc.type("/join #tea")
    nc.sees("What you type goes to #tea now.")
    page.until(lambda: not page.find(".chat-status").is_displayed(), "reconnected")
    page.sees("Connected again")
    page.until(lambda: "nick" in page.find(".chat-members").text, "rejoined")
    page.say("after")
    nc.sees("after")
    page.sees("ann: after")
    nc.close()
    assert page.violations() == []
    assert page.errors() == []


def test_keyboard_only(start: Callable[[], Daemon], browse: Open) -> None:
    """Join, send, complete, change the room and come back, without a pointer."""
    start()
    page = browse()
    page.join("ann")
    page.keys("hel", Keys.TAB)  # nothing to complete: Tab moves the focus
    assert page.run("return document.activeElement.textContent") == "Send"
    page.chord(Keys.SHIFT, Keys.TAB)
    page.keys(Keys.END, Keys.BACKSPACE * 3)
    page.keys("/jo", Keys.TAB, "#tea", Keys.ENTER)
    page.until(lambda: page.find(".chat-title").text == "#tea")
    page.keys("an", Keys.TAB, "hi", Keys.ENTER)
    page.sees("ann: ann: hi")
    for _ in range(30):
        if page.run("return document.activeElement.matches('.chat-room')"):
            break
        page.chord(Keys.SHIFT, Keys.TAB)
    page.keys(Keys.ARROW_UP, Keys.ENTER)
    page.until(lambda: page.find(".chat-title").text == "#lobby")
    assert page.run("return document.activeElement.className") == "chat-input"
    page.run("document.querySelector('.chat-log:not([hidden])').focus()")
    page.keys(Keys.ESCAPE)
    assert page.run("return document.activeElement.className") == "chat-input"
    page.keys("/list", Keys.ENTER)
    page.until(lambda: "#tea" in page.find(".chat-list-rows").text)
    page.keys(Keys.ESCAPE)
    page.until(lambda: not page.find(".chat-list").is_displayed())
    page.say("é" * 400)
    page.until(lambda: sum(row.count("é") for row in page.texts()) == 400, "split")
    assert page.errors() == []


def test_nickname_in_use_asks_for_another(start: Callable[[], Daemon], browse: Open) -> None:
    daemon = start()
    nc = PlainTextClient(daemon, "ann")
    page = browse()
    page.keys("ann", Keys.ENTER)
    page.until(lambda: "in use" in page.find(".chat-join-error").text)
    page.keys("anna", Keys.ENTER)
    page.until(lambda: page.find(".chat-input").is_displayed())
    page.say("it is me")
    nc.sees("it is me")
    nc.close()
    assert page.errors() == []


def test_replies_and_errors_are_in_plain_words(start: Callable[[], Daemon], browse: Open) -> None:
    """ "error numerics and FAIL/WARN/NOTE shown in plain words in the room" """
    daemon = start()
    nc = PlainTextClient(daemon, "nick")
    nc.type("/join #tea")
    nc.sees("What you type goes to #tea now.")
    page = browse()
    page.join("ann")
    page.say("/join tea")
    page.until(lambda: page.find(".chat-title").text == "#tea")
    page.until(lambda: page.texts(".chat-member")[:1] == ["@nick operator"], "ranks")
    page.say("/whois nick")
    page.sees("nick is on ")
    page.say("/who")
    page.sees("End of the list.")
    page.say("/away at tea")
    page.sees("You are marked as away.")
    page.until(lambda: "ann away, you" in page.texts(".chat-member")[1])
    page.say("/away")
    page.sees("You are no longer away.")
    nc.type("/op ann")
    page.until(lambda: page.texts(".chat-member")[:1] == ["@ann operator, you"], "MODE +o")
    nc.type("/deop ann")
    page.until(lambda: page.texts(".chat-member")[:1] == ["@nick operator"], "MODE -o")
    page.say("/topic mine")
    page.sees("Only operators of #tea can do this.")
    page.say("/nick nick")
    page.sees("The nickname nick is in use. Choose another.")
    page.say("/msg nobody hello")
    page.until(lambda: page.find(".chat-title").text == "nobody")
    page.sees("There is no user or room nobody.")
    page.say("/part")
    page.until(lambda: page.find(".chat-title").text == "#lobby")
    page.chord(Keys.ALT, Keys.ARROW_DOWN)
    nc.type("/kick #tea ann enough")
    page.sees("nick removed you from #tea: enough")
    page.say("may I?")
    page.sees("You are not in #tea.")
    page.run("document.querySelector('.chat-input').value = ''")
    page.say("/join #tea")
    page.until(lambda: "left" not in page.find(".chat-room[aria-current]").get_attribute("class"))
    page.say("again")
    nc.sees("again")
    page.say("/quit bye")
    nc.sees("bye")
    page.until(lambda: page.find(".chat-nick").is_displayed())
    page.keys(Keys.ENTER)
    page.until(lambda: page.find(".chat-input").is_displayed())
    assert page.errors() == []
    nc.close()


HOSTILE = [
    "<img src=x onerror=document.title=1><script>document.title=2</script>",
    "\u202eevil\u2066 text\u202e",
    "z" + "\u0301\u0323" * 60,
    "\U0001f600" * 90,
    "x" * 380,
    "\x02\x1f\x0304,02<b>\x0f http://a.example/\u202egnp.exe javascript:alert(1)",
]


def test_hostile_text_stays_text(start: Callable[[], Daemon], browse: Open) -> None:
    """Markup, scripts, overrides, combining marks and emoji change neither document nor layout."""
    daemon = start()
    page = browse(width=500)
    page.join("ann")
    nc = PlainTextClient(daemon, "__proto__")
    page.sees("__proto__ joined")
    for text in HOSTILE:
        nc.type(text)
    nc.type("the end")
    page.sees("the end")
    log = ".chat-log:not([hidden])"
    shown = page.texts(f"{log} .message")
    assert shown[0] == f"__proto__: {HOSTILE[0]}"
    assert page.run(f"return document.querySelectorAll('{log} :is(img, script, b)').length") == 0
    links = page.run(
        f"return [...document.querySelectorAll('{log} a')]"
        ".map((a) => [a.href, a.rel, a.referrerPolicy, a.target])"
    )
    assert links == [
        ["http://a.example/", "noopener noreferrer nofollow ugc", "no-referrer", "_blank"]
    ]
    width, room = page.run(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width <= room
    # times stay in their column, left of the texts
    lefts = page.run(
        f"return [...document.querySelectorAll('{log} .message time')]"
        ".map((time) => time.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    assert page.errors() == []
    nc.close()


def test_hostile_nicknames_and_long_clusters(site: ChatSite, browse: Open) -> None:
    """ "100 combining marks or 400 emoji do not break it"; the server allows any nickname"""
    nick = "<img/src=x>\u202e\u0301"
    with HistoryServer() as server:
        site.irc = server.port
        page = browse(width=500)
        page.join("bob")
        metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        server.say(nick, "bob: z" + "\u0301\u0323" * 50 + "\u202e")
        server.say("n" * 300, "\U0001f600" * 400)
        server.say("ann", "the end")
        page.sees("the end")
        log = ".chat-log:not([hidden])"
        assert page.texts(f"{log} .message")[0].startswith("<img/src=x>\u0301: bob: z")
        assert page.run(f"return document.querySelectorAll('{log} img').length") == 0
        wide = page.run(
            f"return [...document.querySelectorAll('html, {log}, {log} .row')]"
            ".filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.className)"
        )
        assert wide == []
        # the marks neither make the row higher than its line, nor are painted outside of it
        height, clip = page.run(
            f"const row = document.querySelector('{log} .message');"
            "const { height } = row.querySelector('.content').getBoundingClientRect();"
            "return [height, getComputedStyle(row).overflowY]"
        )
        assert height < 40
        assert clip == "clip"
        assert page.errors() == []


def test_daemon_restart(start: Callable[[], Daemon], browse: Open, site: ChatSite) -> None:
    """The page says that it is disconnected and when it tries again, and rejoins the rooms."""
    daemon = start()
    page = browse()
    page.join("ann")
    page.say("/join #tea")
    page.until(lambda: page.find(".chat-title").text == "#tea")
    page.say("before")
    page.sees("ann: before")
    site.irc = 0
    daemon.stop()
    page.until(lambda: page.find(".chat-status").text.startswith("Disconnected"))
    assert "Next attempt at" in page.find(".chat-status").text
    page.say("too early")
    page.sees("Not connected")
    assert page.find(".chat-input").get_attribute("value") == "too early"
    page.run("document.querySelector('.chat-input').value = ''")
    daemon = start()
    nc = PlainTextClient(daemon, "nick")
    nc.type("/join #tea")
    nc.sees("What you type goes to #tea now.")
    page.until(lambda: not page.find(".chat-status").is_displayed(), "reconnected")
    page.until(lambda: "nick" in page.find(".chat-members").text, "rejoined")
    page.say("after")
    nc.sees("after")
    page.sees("ann: after")
    assert page.texts().count("ann: before") == 1
    assert page.texts().count("ann: after") == 1
    nc.close()
    assert page.errors() == []


def test_history_of_the_daemon(start: Callable[[], Daemon], browse: Open, site: ChatSite) -> None:
    """ "history by scrolling back as far as there is", "reconnect that fills the gap without a
    repeat": 100 messages are kept by default."""
    daemon = start()
    nc = PlainTextClient(daemon, "nick")
    for number in range(80):
        nc.type(f"early {number}")
    page = browse(width=800)
    page.join("bob")
    page.sees("nick: early 79")
    nc.type("last seen")
    page.sees("nick: last seen")
    site.cut()
    page.until(lambda: page.find(".chat-status").is_displayed())
    for number in range(15):
        nc.type(f"missed {number}")
    site.irc = daemon.ports["irc", "websocket"]
    page.sees("nick: missed 14")
    nc.type("live")
    page.sees("nick: live")

    def begins() -> bool:
        page.run("document.querySelector('.chat-log:not([hidden])').scrollTop = 0")
        return "The history begins here." in page.texts(f"{ROW}.marker")

    page.until(begins, "the first message")
    wanted = [f"early {n}" for n in range(80)] + ["last seen"]
    wanted += [f"missed {n}" for n in range(15)] + ["live"]
    assert page.texts(f"{ROW}.message") == [f"nick: {text}" for text in wanted]
    nc.close()
    assert page.errors() == []


def test_gap_is_filled_once(site: ChatSite, browse: Open) -> None:
    """ "fills the gap by CHATHISTORY AFTER the last msgid without showing a message twice" """
    with HistoryServer() as server:
        site.irc = server.port
        for number in range(5):
            server.say("ann", f"early {number}")
        page = browse()
        page.join("bob")
        page.sees("early 4")
        server.say("ann", "last seen")
        page.sees("last seen")
        site.cut()
        page.until(lambda: page.find(".chat-status").is_displayed())
        for number in range(120):  # three requests
            server.say("ann", f"missed {number}")
        site.irc = server.port
        page.sees("missed 119")
        server.say("ann", "live")
        page.sees("live")
        said = page.texts(f"{ROW}.message")
        wanted = [f"early {n}" for n in range(5)] + ["last seen"]
        wanted += [f"missed {n}" for n in range(120)] + ["live"]
        assert said == [f"ann: {text}" for text in wanted]
        page.until(lambda: page.texts(f"{ROW}.marker") == ["The history begins here."])
        assert page.errors() == []


def test_gap_that_cannot_be_filled_is_marked(site: ChatSite, browse: Open) -> None:
    """After a restart the server has no messages from before; later ones are shown after a mark."""
    with HistoryServer() as server:
        site.irc = server.port
        server.say("ann", "old")
        page = browse()
        page.join("bob")
        page.sees("old")
        site.cut()
        page.until(lambda: page.find(".chat-status").is_displayed())
        server.forgets = True
        server.say("ann", "new")
        site.irc = server.port
        page.sees("ann: new")
        rows = [row for row in page.texts() if row.startswith(("ann:", "Messages"))]
        assert rows == [
            "ann: old",
            "Messages sent while you were disconnected may be missing here.",
            "ann: new",
        ]
        assert page.errors() == []


def test_scrolling_back_loads_history(site: ChatSite, browse: Open) -> None:
    """History is loaded by CHATHISTORY BEFORE until there is none; at most 2,000 rows are kept."""
    with HistoryServer() as server:
        for number in range(230):
            server.say("ann", f"line {number}")
        site.irc = server.port
        page = browse()
        page.join("bob")
        page.sees("line 229")
        log = "document.querySelector('.chat-log:not([hidden])')"
        page.until(lambda: len(page.texts(f"{ROW}.message")) >= 50)
        first = page.texts(f"{ROW}.message")[0]
        assert first != "ann: line 0"

        def back() -> bool:
            page.run(f"{log}.scrollTop = 0")
            return "The history begins here." in page.texts()

        page.until(back)
        assert page.texts(f"{ROW}.message") == [f"ann: line {n}" for n in range(230)]
        # flooded, the page keeps the latest
        page.run(f"{log}.scrollTop = {log}.scrollHeight")
        for number in range(230, 2300):
            server.say("ann", f"line {number}")
        page.sees("line 2299")
        assert page.run(f"return {log}.childElementCount") <= 2000
        assert page.texts()[-1] == "ann: line 2299"
        # reading back from there, the far end is dropped, and loaded again at the end

        def further_back() -> bool:
            page.run(f"{log}.scrollTop = 0")
            return page.texts(f"{ROW}.message")[0] == "ann: line 0"

        page.until(further_back)
        assert page.run(f"return {log}.childElementCount") <= 2000
        assert "ann: line 2299" not in page.texts()
        page.find(".chat-latest").click()
        page.sees("line 2299")
        assert page.errors() == []
