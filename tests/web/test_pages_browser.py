"""The pages of ``protocol = web`` in Chromium."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from running import TWISTD, Daemon
from wires import Capture, Packet, VethPair

pytest.importorskip("selenium")

from selenium.webdriver.common.keys import Keys
from web.browsing import Chromium, axe_source

from tcpd.web.exercises import EXERCISES
from tcpd.web.lesson import CHAPTERS

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
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:web]
protocol = web
status = 0.0.0.0/0, ::/0
listen =
    {listen}
[service:irc]
protocol = irc
listen =
    127.0.0.1:0
[service:chat]
protocol = chat
listen =
    127.0.0.1:0
"""

PATHS = [
    "/",
    "/learn",
    *(f"/learn/{name}" for name in CHAPTERS),
    "/learn/exercises",
    *(f"/learn/check/{name}" for name in EXERCISES),
    "/chat",
    "/status",
    "/nowhere",
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("daemon")
    certificates.make(directory, "localhost")
    daemon = Daemon(directory, CONFIG.format(listen="127.0.0.1:0"))
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(shared: Chromium) -> Chromium:
    """A browser with an empty page and without new entries in its logs."""
    shared.scheme("light")
    shared.resize(1280)
    shared.driver.get("about:blank")
    shared.errors()
    shared.requests()
    return shared


@pytest.fixture
def origin(daemon: Daemon) -> str:
    return f"http://127.0.0.1:{daemon.ports['web', '']}"


def open_all(browser: Chromium, origin: str, daemon: Daemon) -> Iterator[str]:
    """Open each page, the chat with a member and the status with data; yield their paths."""
    for path in PATHS:
        browser.driver.get(origin + path)
        if path == "/":
            browser.until(lambda: browser.texts(".chart-range")[:1] > [""], "a sample")
            browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        elif path == "/chat":
            yield f"{path}, before the join"
            browser.run("sessionStorage.clear(); localStorage.clear()")
            browser.driver.get(origin + path)
            browser.until(lambda: browser.find(".chat-nick").is_displayed())
            browser.keys("ann", Keys.ENTER)
            browser.until(lambda: browser.find(".chat-input").is_displayed(), "joined")
            browser.keys("hello, see http://a.example/ \x02now\x02", Keys.ENTER)
            browser.until(lambda: browser.texts(".row.message"), "a message")
        elif path == "/status":
            # events are followed while a client watches
            browser.until(lambda: browser.texts(".chart-range")[:1] > [""], "live")
            daemon.ctl("ban", "192.0.2.7", "1h", "a reason")
            browser.until(lambda: browser.texts("#events li"), "an event")
        yield path


@pytest.mark.parametrize(
    ("scheme", "width"),
    [("light", 1280), ("light", 360), ("light", 3840), ("dark", 1280), ("dark", 360)],
)
def test_pages_have_no_faults(
    daemon: Daemon, browser: Chromium, origin: str, scheme: str, width: int
) -> None:
    """ "axe-core must find no serious or critical problem"; no error on the console, no request to
    another server, no violation of the Content-Security-Policy, and no horizontal scrolling."""
    axe = axe_source()
    browser.scheme(scheme)
    browser.resize(width)
    found = {}
    for path in open_all(browser, origin, daemon):
        # the console logs the status of the error page
        errors = [each for each in browser.errors() if "/nowhere" not in each]
        faults = [
            *errors,
            *browser.foreign_requests(),
            *browser.violations(),
            *browser.overflow(),
            *browser.serious_problems(axe),
        ]
        if faults:
            found[path] = faults
    assert found == {}


@pytest.fixture
def far(wire: VethPair, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon in the other network namespace."""
    wire.inside("ip", "link", "set", "lo", "up")
    twistd = tmp_path / "twistd"
    twistd.write_text(f'#!/bin/sh\nexec ip netns exec {wire.space} {TWISTD} "$@"\n')
    twistd.chmod(0o755)
    certificates.make(tmp_path, "localhost")
    daemon = Daemon(tmp_path, CONFIG.format(listen="*:0"), twistd)
    yield daemon
    daemon.stop()


def drawn(browser: Chromium) -> dict[str, str]:
    """Return the values of the drawing by their names, such as ``syn.mss``."""
    found: dict[str, str] = browser.run("""
        const values = document.querySelectorAll(".diagram.wide [data-name]");
        return Object.fromEntries([...values].map((each) => [each.dataset.name, each.textContent]));
        """)
    return found


def expected(syn: Packet, syn_ack: Packet, ack: Packet) -> dict[str, str]:
    """Return what the drawing has to show of these packets."""
    found = {
        "syn.sequence_number": f"seq={syn.seq}",
        "syn_ack.sequence_number": f"seq={syn_ack.seq}",
        "syn_ack.acknowledgment_number": f"ack={syn_ack.ack}",
        "ack.sequence_number": f"seq={(syn.seq + 1) % 2**32}",
        "ack.acknowledgment_number": f"ack={ack.ack}",
    }
    for step, packet in (("syn", syn), ("syn_ack", syn_ack)):
        assert packet.wscale is not None
        found |= {
            f"{step}.mss": f"{packet.mss}",
            f"{step}.window": f"{packet.window}",
            f"{step}.window_scale": f"{packet.wscale} (×{1 << packet.wscale})",
            f"{step}.sack_permitted": "yes" if packet.sack else "no",
            f"{step}.timestamps": "no" if packet.timestamp is None else "yes",
        }
    assert syn.wscale is not None
    found["syn.ttl"] = f"{syn.ttl}"
    found["ack.window"] = f"{ack.window << syn.wscale}"
    return found


@pytest.mark.parametrize("version", [4, 6])
def test_diagram_equals_a_capture(
    far: Daemon, browser: Chromium, wire: VethPair, version: int
) -> None:
    """The numbers on the page are those of the packets on the wire."""
    host, port = wire.address_inside(version), far.ports["web", ""]
    with Capture(wire.here, port) as capture:
        browser.driver.get(f"http://{host}:{port}/")
        (client,) = re.findall(r"from (\S+\d)\. ", browser.find(".lede").text)
        packets = capture.handshake(client)
    shown = drawn(browser)
    wanted = expected(*packets)
    # unknown if the first data arrived before the server accepted the connection
    for name in ("syn_ack.window", "ack.window"):
        if shown[name] == "unknown":
            del wanted[name]
    assert {name: shown.get(name) for name in wanted} == wanted
    assert browser.find(".diagram.wide .address").text == client
    assert browser.errors() == []


#: Keeps the event streams of a page in ``window.streams``.
KEEP_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...values) {
    super(...values);
    window.streams.push(this);
  }
};
"""


def test_charts_show_samples_until_the_minute_is_over(browser: Chromium, origin: str) -> None:
    """docs/reference/web.rst: "TCP_INFO of the connection, each second for a minute"."""
    script = browser.before_scripts(KEEP_STREAMS)
    try:
        browser.driver.get(f"{origin}/")
    finally:
        browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    lines = "return document.querySelector('.chart-line').getAttribute('points')?.split(' ').length"
    browser.until(lambda: (browser.run(lines) or 0) >= 2, "two samples")
    assert re.fullmatch(r"[\d.]+ (µs|ms|s)", browser.texts(".chart output")[0])
    (status,) = browser.texts(".live-status")
    assert re.fullmatch(r"Connection from \S+:\d+: one sample a second, for a minute\.", status)
    # the event at the end of the minute
    browser.run("streams[0].dispatchEvent(new MessageEvent('end', { data: '{}' }))")
    assert browser.texts(".live-status") == ["The minute is over. Watch another minute"]
    assert browser.run("return streams[0].readyState === EventSource.CLOSED")
    browser.find(".live-status button").click()
    browser.until(lambda: browser.run(lines), "samples of another stream")
    assert browser.run("return streams.length") == 2
    assert browser.errors() == []


def test_status_follows_connections_and_events(
    daemon: Daemon, browser: Chromium, origin: str
) -> None:
    """docs/reference/web.rst: "``status``, each second, and ``log``"."""
    browser.driver.get(f"{origin}/status")
    browser.until(lambda: browser.find("#stream-state").text.startswith("Live"), "live")

    def row(service: str) -> list[str]:
        rows = browser.run(
            "return [...document.querySelectorAll('#services tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        (found,) = [cells for cells in rows if cells[0] == service]
        return list(found)

    accepted = int(row("irc")[4])
    assert row("irc")[3] == "0"
    with daemon.connect("irc"):
        browser.until(lambda: row("irc")[3] == "1", "an open connection")
        assert row("irc")[4] == str(accepted + 1)
    browser.until(lambda: row("irc")[3] == "0", "a closed connection")
    daemon.ctl("ban", "192.0.2.77", "1h", "<b>tea</b>")
    browser.until(lambda: any("192.0.2.77" in each for each in browser.texts("#events li")), "ban")
    assert browser.run("return document.querySelectorAll('#events b').length") == 0
    assert browser.errors() == []


def test_keyboard_reaches_content_and_explanations(browser: Chromium, origin: str) -> None:
    """The first Tab offers to skip the navigation; a value explains itself on focus."""
    browser.driver.get(f"{origin}/")
    browser.keys(Keys.TAB)
    skip = browser.driver.switch_to.active_element
    assert skip.text == "Skip to the content"
    assert skip.rect["y"] >= 0
    browser.keys(Keys.ENTER, Keys.TAB)
    visited = []
    while not browser.run("return document.activeElement.matches('.val')"):
        visited.append(browser.run("return document.activeElement.getAttribute('href')"))
        browser.keys(Keys.TAB)
        assert len(visited) < 20, visited
    # the numbers on the arrows come first, the navigation does not come
    assert visited[:2] == ["#syn-sequence-number", "#syn-ack-sequence-number"]
    value = browser.driver.switch_to.active_element
    tip = browser.find(".val:focus .tip")
    browser.until(lambda: float(tip.value_of_css_property("opacity")) == 1, "the explanation")
    assert "Maximum segment size" in tip.text.replace("\n", " ")
    assert (value.get_attribute("aria-label") or "").startswith("SYN, MSS ")
    browser.keys(Keys.ESCAPE)
    browser.until(lambda: tip.value_of_css_property("visibility") == "hidden", "hidden")
    # Enter leads to the explanation in the text
    browser.run("arguments[0].focus()", value)
    browser.keys(Keys.ENTER)
    assert browser.run("return document.querySelector(':target').id") == "syn-mss"


@pytest.mark.parametrize("path", ["/", "/learn/syn", "/learn/exercises", "/status"])
def test_print_has_no_navigation(browser: Chromium, origin: str, path: str) -> None:
    """Paper has the content in dark ink on white, all layers open."""
    browser.scheme("dark")
    browser.driver.get(f"{origin}{path}")
    printed = base64.b64decode(browser.cdp("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF-")
    browser.scheme("dark", "print")
    for selector in (".top nav", ".skip", ".bottom"):
        assert not browser.find(selector).is_displayed(), selector
    assert browser.find("h1").is_displayed()
    ink = browser.find("body").value_of_css_property("color")
    assert ink == "rgba(22, 32, 46, 1)"
    if path == "/":
        assert browser.find(".diagram.wide").is_displayed()
        assert not browser.find(".diagram.narrow").is_displayed()
    assert browser.errors() == []


#: Contrasts of the texts of drawings with what is painted behind them: axe-core skips SVG.
CONTRASTS = """
const light = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
for (const text of document.querySelectorAll(".diagram text, .diagram tspan")) {
  if (![...text.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  if (!text.getClientRects().length) continue;
  const group = text.closest(".val, .tip");
  const shape = text.closest(".tip")?.querySelector("rect")
    ?? group?.querySelector(".chip")
    ?? (text.closest(".on-done") && text.closest("svg").querySelector(".done"))
    ?? (text.previousElementSibling?.matches(".end") && text.previousElementSibling);
  const behind = shape ? getComputedStyle(shape).fill
    : getComputedStyle(text.closest("figure")).backgroundColor;
  const [more, less] = [light(getComputedStyle(text).fill), light(behind)].sort((a, b) => b - a);
  found.push([(more + 0.05) / (less + 0.05), text.textContent]);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_drawings_has_contrast(browser: Chromium, origin: str, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: "a contrast ratio of at least 4.5:1"."""
    browser.scheme(scheme)
    for path, width in (("/", 1280), ("/", 360), *((f"/learn/{name}", 1280) for name in CHAPTERS)):
        browser.resize(width)
        browser.driver.get(origin + path)
        found = browser.run(CONTRASTS)
        assert path != "/" or len(found) > 15
        assert [each for each in found if each[0] < 4.5] == [], path
