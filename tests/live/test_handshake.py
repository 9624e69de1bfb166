"""Reports of the handshake, compared with tcpdump and ss."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from running import PATIENCE, TWISTD, Daemon, client_context, receive_all, receive_until
from wires import Capture, Packet, VethPair, need, ss

from tcpd.handshake.client_hello import parse_client_hello
from tcpd.handshake.ja4 import ja4
from tcpd.net.handshake_capture import self_test

pytestmark = pytest.mark.live

CONFIG = """
[tcpd]
server_name = test.example
{tcpd}
[policy:default]
access_log = yes
log_handshake = yes
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:line]
protocol = line
listen =
    *:0
[service:shake]
protocol = handshake
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
[service:program]
protocol = handshake
format = json
listen =
    127.0.0.1:0
"""


def name_of(client: socket.socket) -> str:
    """Format the client's address as reports and tcpdump do."""
    host, port = client.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ask(client: socket.socket, command: str) -> dict[str, Any]:
    """Send a command and return its JSON, values without unit and source."""
    client.sendall(f"{command} json\r\n".encode())
    reply = receive_until(client, b"\r\n").decode()
    assert reply.startswith("250 "), reply
    report: dict[str, Any] = json.loads(reply[4:])
    for part in ("handshake", "layers"):
        for section, found in report.get(part, {}).items():
            values = {name: each["value"] for name, each in found["values"].items()}
            report[part][section] = values
    return report


def greeted(client: socket.socket) -> socket.socket:
    client.settimeout(PATIENCE)
    receive_until(client, b"\r\n")
    return client


def compare(report: dict[str, Any], seen: tuple[Packet, Packet, Packet]) -> None:
    """Compare each number of the report with the capture."""
    syn, syn_ack, ack = seen
    of_syn = report["handshake"]["syn"]
    assert (of_syn["source"], of_syn["destination"]) == (syn.source, syn.destination)
    assert of_syn["sequence_number"] == syn.seq
    assert of_syn["window"] == syn.window
    assert of_syn["ttl"] == syn.ttl
    assert of_syn["mss"] == syn.mss
    assert of_syn["window_scale"] == syn.wscale
    assert of_syn["sack_permitted"] == syn.sack
    assert of_syn["timestamps"] == (syn.timestamp is not None)
    assert of_syn.get("timestamp_value") == syn.timestamp
    of_syn_ack = report["handshake"]["syn_ack"]
    assert of_syn_ack["source"] == syn_ack.source
    assert of_syn_ack["acknowledgment_number"] == syn_ack.ack == syn.seq + 1 & 0xFFFFFFFF
    assert of_syn_ack["mss"] == syn_ack.mss
    assert of_syn_ack["window_scale"] == syn_ack.wscale
    assert of_syn_ack["sack_permitted"] == syn_ack.sack
    assert of_syn_ack.get("timestamp_echo_reply") == syn_ack.echo
    assert of_syn_ack["window"] in (syn_ack.window, None)
    of_ack = report["handshake"]["ack"]
    assert of_ack["source"] == ack.source
    assert of_ack["round_trip_time"] > 0
    if of_syn_ack["sequence_number"] is not None:
        assert of_syn_ack["sequence_number"] == syn_ack.seq
        assert of_ack["acknowledgment_number"] == ack.ack == syn_ack.seq + 1 & 0xFFFFFFFF


def hints_of(report: dict[str, Any]) -> set[str]:
    return {each["id"] for each in report["hints"]}


@pytest.fixture
def line(start: Callable[[str], Daemon]) -> Daemon:
    """A daemon with all facts enabled."""
    isn = "server_isn = yes" if os.geteuid() == 0 else ""
    return start(CONFIG.format(tcpd=isn))


@pytest.fixture
def wrapped_daemon(tmp_path: Path) -> Iterator[Callable[[str, str], Daemon]]:
    """Start a daemon through a wrapper command, with further keys in ``[tcpd]``."""
    started: list[Daemon] = []

    def start(wrapper: str, tcpd: str) -> Daemon:
        wrapped = tmp_path / "twistd"
        wrapped.write_text(f'#!/bin/sh\nexec {wrapper} {TWISTD} "$@"\n')
        wrapped.chmod(0o755)
        directory = tmp_path / "daemon"
        directory.mkdir()
        certificates.make(directory, "localhost")
        started.append(Daemon(directory, CONFIG.format(tcpd=tcpd), wrapped))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop()


@pytest.mark.serial
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_report_over_loopback_matches_tcpdump(start: Callable[[str], Daemon], host: str) -> None:
    """ "Live tests compare every field with an independent witness": tcpdump. On a dual-stack
    listener, which reports v4-mapped addresses as IPv4."""
    need("tcpdump")
    if os.geteuid() != 0:
        pytest.skip("tcpdump requires root")
    daemon = start(CONFIG.format(tcpd="server_isn = yes"))
    port = daemon.ports["line", ""]
    with (
        Capture("lo", port) as capture,
        socket.create_connection((host, port), PATIENCE) as client,
    ):
        name = name_of(greeted(client))
        report = ask(client, "HANDSHAKE")
        layers = ask(client, "LAYERS")["layers"]
        seen = capture.handshake(name)
    compare(report, seen)
    assert report["handshake"]["syn_ack"]["sequence_number"] == seen[1].seq
    assert layers["link"]["source"] == "00:00:00:00:00:00"
    assert layers["physical"]["interface"] == "lo"
    assert layers["network"]["source"] == host
    assert layers["presentation"]["encoding"] == "UTF-8"
    assert layers["presentation"]["line_ending"] == "CRLF"
    assert layers["application"]["commands"] == 2
    assert layers["application"]["protocol"] == "line"
    # the access log has a summary
    daemon.wait_for(lambda text: f"mss={seen[0].mss} wscale={seen[0].wscale} sack=yes" in text)


@pytest.mark.serial
@pytest.mark.parametrize("version", [4, 6])
def test_report_over_ethernet_matches_tcpdump(line: Daemon, wire: VethPair, version: int) -> None:
    """ "across a veth pair in network namespaces made by the test ... IPv6 as well": with MAC
    addresses; TCP_INFO is that of ``ss -ti``."""
    port = line.ports["line", ""]
    with Capture(wire.here, port) as capture, wire.connect(port, version) as client:
        name = name_of(greeted(client))
        handshake, layers = ask(client, "HANDSHAKE"), ask(client, "LAYERS")["layers"]
        info = ask(client, "TCPINFO")["tcpinfo"]["now"]
        seen = capture.handshake(name)
        witness = ss(name)
    compare(handshake, seen)
    assert handshake["handshake"]["syn_ack"]["sequence_number"] == seen[1].seq
    assert layers["link"]["source"] == seen[0].source_mac == wire.mac(inside=True)
    assert layers["link"]["destination"] == seen[0].destination_mac == wire.mac(inside=False)
    assert layers["physical"]["interface"] == wire.here
    assert layers["link"]["mtu"] == 1500
    assert layers["network"]["hops"] == 0
    assert layers["transport"]["congestion_control"] == witness["cc"]
    assert f"{info['snd_wscale']},{info['rcv_wscale']}" == witness["wscale"]
    assert info["snd_mss"] == int(witness["mss"])
    assert info["pmtu"] == int(witness["pmtu"])
    assert info["advmss"] == int(witness["advmss"])
    assert info["bytes_received"] == int(witness["bytes_received"])
    assert "mss-low" not in hints_of(handshake)


@pytest.mark.serial
def test_clamped_mss_gives_a_hint(line: Daemon, wire: VethPair) -> None:
    """ "MSS clamped by nftables/iptables in the namespace is seen and hinted at" """
    rules = (
        "add table inet clamp",
        "add chain inet clamp out { type filter hook output priority 0; }",
        "add rule inet clamp out tcp flags syn tcp option maxseg size set 1200",
    )
    for rule in rules:
        wire.inside("nft", rule)
    try:
        port = line.ports["line", ""]
        with Capture(wire.here, port) as capture, wire.connect(port, 4) as client:
            name = name_of(greeted(client))
            report = ask(client, "HANDSHAKE")
            seen = capture.handshake(name)
    finally:
        wire.inside("nft", "delete table inet clamp")
    compare(report, seen)
    assert report["handshake"]["syn"]["mss"] == 1200
    assert "mss-low" in hints_of(report)


@pytest.mark.serial
@pytest.mark.parametrize(
    ("setting", "option", "hint"),
    [
        ("tcp_sack", "sack_permitted", "no-sack"),
        ("tcp_timestamps", "timestamps", "no-timestamps"),
        ("tcp_window_scaling", "window_scale", "no-window-scaling"),
    ],
)
def test_disabled_option_gives_a_hint(
    line: Daemon, wire: VethPair, setting: str, option: str, hint: str
) -> None:
    """ "No SACK, no window scaling, no timestamps" """
    proc = f"/proc/sys/net/ipv4/{setting}"
    before = wire.inside("cat", proc).strip()
    wire.inside("sh", "-c", f"echo 0 > {proc}")
    try:
        port = line.ports["line", ""]
        with Capture(wire.here, port) as capture, wire.connect(port, 4) as client:
            name = name_of(greeted(client))
            report = ask(client, "HANDSHAKE")
            seen = capture.handshake(name)
    finally:
        wire.inside("sh", "-c", f"echo {before} > {proc}")
    compare(report, seen)
    assert report["handshake"]["syn"][option] in (False, None)
    assert hint in hints_of(report)


def test_handshake_service(line: Daemon) -> None:
    """ "connect and read the report, `nc host port`": drawing, steps, hints and layers."""
    with line.connect("shake") as client:
        text = receive_all(client).decode("ascii")
        name = name_of(client)
    assert max(map(len, text.split("\r\n"))) <= 79
    number = re.search(r"SYN seq=(\d+)", text)
    assert number is not None
    assert f"ack={(int(number[1]) + 1) % 2**32}" in text
    assert f"Handshake of {name} with 127.0.0.1:" in text
    assert "Layer 7, application" in text


def test_report_has_the_tls_parameters(line: Daemon) -> None:
    """ "6 presentation (TLS version, cipher, curve, ALPN, SNI...)" """
    with line.connect_tls("shake") as client:
        text = receive_all(client).decode("ascii")
        version, cipher = client.version(), client.cipher()
    assert cipher is not None
    assert version is not None
    assert re.search(rf"TLS version +{re.escape(version)}", text), text
    assert re.search(rf"cipher suite +{re.escape(cipher[0])}", text), text
    assert re.search(r"localhost", text)


def test_report_as_json_and_for_operators(line: Daemon) -> None:
    """ "JSON of all of it"; "other connections' data only to operators on the control socket" """
    with line.connect("program") as client:
        name = name_of(client)
        report = json.loads(receive_all(client))
    assert report["remote"] == name
    with line.connect("line") as client:
        greeted(client)
        own = ask(client, "HANDSHAKE")
        listed = json.loads(line.ctl("connections", "--service", "line", "--json").stdout)
        (found,) = listed["connections"]
        seen = json.loads(line.ctl("handshake", found["id"], "--json").stdout)
        text = line.ctl("handshake", found["id"]).stdout
    syn = seen["handshake"]["syn"]["values"]["sequence_number"]["value"]
    assert syn == own["handshake"]["syn"]["sequence_number"]
    assert f"SYN seq={syn}" in text
    assert line.ctl("handshake", "999999").returncode == 1


def test_report_for_a_unix_socket_and_for_a_proxy(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """ "UNIX sockets (says that there is no handshake), PROXY (says that this is the proxy's
    handshake)" """
    path = tmp_path / "shake"
    daemon = start(
        "[service:shake]\nprotocol = handshake\nformat = json\n"
        f"listen =\n    127.0.0.1:0 proxy=127.0.0.1\n    unix:{path} mode=0600\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.settimeout(PATIENCE)
        report = json.loads(receive_all(client))
    assert (report["transport"], report["no_saved_syn"]) == ("unix", "unix")
    with daemon.connect("shake", "proxy=127.0.0.1/32") as client:
        client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n")
        report = json.loads(receive_all(client))
        name = name_of(client)
    assert report["proxied"] is True
    assert report["handshake"]["syn"]["values"]["source"]["value"] == name
    assert "proxy" in {each["id"] for each in report["hints"]}
    assert "192.0.2.7:4711" in json.dumps(report)


def test_handshake_off_is_reported(start: Callable[[str], Daemon]) -> None:
    """handshake = no: the report says so in the field, nothing else changes."""
    daemon = start(CONFIG.format(tcpd="handshake = no"))
    with daemon.connect("line") as client:
        report = ask(greeted(client), "HANDSHAKE")
    assert report["no_saved_syn"] == "off"
    assert report["handshake"]["syn"]["sequence_number"] is None
    daemon.wait_for(lambda text: "mss=- wscale=- sack=- ts=- ttl=- rtt=-" in text)


def test_values_are_unavailable_with_syn_cookies(
    wrapped_daemon: Callable[[str, str], Daemon],
) -> None:
    """syncookies.c: with a SYN cookie, the kernel saves no SYN and no count of retransmissions."""
    need("unshare", "nsenter", "nc")
    if os.geteuid() != 0:
        pytest.skip("unshare -n requires root")
    setting = "echo 2 >/proc/sys/net/ipv4/tcp_syncookies"
    daemon = wrapped_daemon(f"unshare -n sh -c 'ip link set lo up; {setting}; exec \"$@\"' sh", "")
    done = subprocess.run(
        [
            *("nsenter", f"--net=/proc/{daemon.process.pid}/ns/net"),
            *("nc", "-N", "127.0.0.1", str(daemon.ports["line", ""])),
        ],
        input="HANDSHAKE json\r\nQUIT\r\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    report = json.loads(done.stdout.splitlines()[1].removeprefix("250 "))
    assert report["no_saved_syn"] == "cookies-or-lost"
    assert "syn-cookies" in hints_of(report)
    values = report["handshake"]["syn_ack"]["values"]
    for name, why in (("retransmissions", "no count"), ("window", "does not keep it")):
        assert values[name]["source"] == "unavailable"
        assert why in values[name]["why"]
    assert report["handshake"]["ack"]["values"]["round_trip_time"]["source"] == "unavailable"


def test_server_isn_without_the_capability_is_unavailable(
    wrapped_daemon: Callable[[str, str], Daemon],
) -> None:
    """ "no capability: says so once in the log, the report says so in the field" """
    need("setpriv")
    words = "--bounding-set=-net_admin --inh-caps=-net_admin"
    wrapper = f"setpriv {words}" if os.geteuid() == 0 else ""
    daemon = wrapped_daemon(wrapper, "server_isn = yes")
    (logged,) = [text for text in daemon.log if "TCP_REPAIR" in text]
    assert "CAP_NET_ADMIN" in logged
    with daemon.connect("line") as client:
        report = ask(greeted(client), "HANDSHAKE")
    assert report["no_server_isn"] == "no-capability"
    assert report["handshake"]["syn_ack"]["sequence_number"] is None
    assert report["handshake"]["syn"]["sequence_number"] is not None


LINE_OVER_TLS = """
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
alpn = irc, line
[service:line]
protocol = line
listen =
    127.0.0.1:0 tls=main
[service:echo]
protocol = echo
listen =
    127.0.0.1:0 tls=main
"""


class TLSClient:
    """Python's client, which keeps what it sends first."""

    def __init__(
        self,
        daemon: Daemon,
        context: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
        service: str = "line",
    ) -> None:
        self._socket = daemon.connect(service, "tls=main")
        self._input, self._output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._input, self._output, server_hostname="localhost", session=session
        )
        self.hello = b""
        self._do(self.tls.do_handshake)

    def __enter__(self) -> TLSClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _do(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                result = None
            if data := self._output.read():
                self.hello = self.hello or data
                self._socket.sendall(data)
            if result is not None or (call == self.tls.do_handshake and self.tls.cipher()):
                return result
            self._input.write(self._socket.recv(1 << 16))

    def layers(self) -> dict[str, Any]:
        """Return the values of layers 5 and 6."""
        self._do(lambda: self.tls.write(b"LAYERS json\r\n"))
        text = ""
        while "layers" not in text or not text.endswith("\r\n"):
            text += self._do(lambda: self.tls.read(1 << 16)).decode()
        found = json.loads(text[text.index("250 {") + 4 :])["layers"]
        values = found["session"]["values"] | found["presentation"]["values"]
        return {name: each["value"] for name, each in values.items()}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_report_has_what_the_client_offers_in_tls(
    start: Callable[[str], Daemon], version: ssl.TLSVersion
) -> None:
    """The report is on the bytes that the client sent, and says whether a session was resumed."""
    daemon = start(LINE_OVER_TLS)
    context = client_context(daemon.directory)
    context.maximum_version = version
    context.set_alpn_protocols(["line", "h2"])
    with TLSClient(daemon, context) as client:
        first = client.layers()
        session = client.tls.session
        hello = parse_client_hello(client.hello)
    assert hello is not None
    assert first["tls_ja4"] == ja4(hello)
    assert first["tls_offered_alpn"] == ["line", "h2"]
    assert first["tls_alpn"] == "line"
    assert len(first["tls_extensions"]) == len(hello.extensions)
    assert first["tls_group"].lower() in (name.lower() for name in first["tls_offered_groups"])
    assert (first["tls_resumed"], first["tls_offered_resumption"]) == (False, None)
    with TLSClient(daemon, context, session) as client:
        again = client.layers()
    how = "session ticket" if version is ssl.TLSVersion.TLSv1_2 else "pre-shared key"
    assert (again["tls_resumed"], again["tls_offered_resumption"]) == (True, how)


def test_client_hello_of_other_services_is_not_kept(start: Callable[[str], Daemon]) -> None:
    """ "kept only by services whose kind shows handshakes" """
    daemon = start(LINE_OVER_TLS)
    with TLSClient(daemon, client_context(daemon.directory), service="echo"):
        listed = json.loads(daemon.ctl("connections", "--service", "echo", "--json").stdout)
        (found,) = listed["connections"]
        seen = json.loads(daemon.ctl("handshake", found["id"], "--json").stdout)
    if self_test() is None:
        # the number is read for services that show handshakes
        assert seen["no_server_isn"] == "too-late"
    values = seen["layers"]["presentation"]["values"]
    assert values["tls_version"]["source"] == "seen"
    assert values["tls_ja4"]["source"] == "unavailable"


def test_server_isn_by_default(wrapped_daemon: Callable[[str, str], Daemon]) -> None:
    """ "auto: if the daemon has it", without a warning if it does not."""
    need("setpriv")
    words = "--bounding-set=-net_admin --inh-caps=-net_admin"
    wrapper = f"setpriv {words}" if os.geteuid() == 0 else ""
    daemon = wrapped_daemon(wrapper, "")
    assert not [text for text in daemon.log if "TCP_REPAIR" in text]
    with daemon.connect("line") as client:
        greeted(client)
        client.sendall(b"HANDSHAKE\r\nQUIT\r\n")
        text = receive_all(client).decode()
    drawn = " ".join(text.replace("\r\n250-", " ").split())
    missing = "the daemon lacks the capability CAP_NET_ADMIN."
    assert f"The server's ISN (?) is unknown: {missing}" in drawn


def test_watch_of_the_kernels_figures(line: Daemon) -> None:
    """TCPINFO watch: "a line of figures at once and then each second" """
    with line.connect("line") as client:
        greeted(client)
        client.sendall(b"TCPINFO watch 1\r\n")
        text = receive_until(client, b"250 1 line\r\n").decode()
        (figures,) = re.findall(r"250-rtt=(\d+)us .* cwnd=(\d+) .*\r\n", text)
        assert int(figures[0]) > 0
        assert int(figures[1]) > 0
        assert ask(client, "TCPINFO")["tcpinfo"]["now"]["snd_cwnd"] > 0
