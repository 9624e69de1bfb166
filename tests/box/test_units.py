"""etc/systemd: the units under a real systemd."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from box.page import LOGS
from boxes import Box
from docs.places import BOX, place_of

pytestmark = pytest.mark.box

Configure = Callable[..., Box]

ECHO = """\
    [tcpd]
    log = journald
    [service:echo]
    protocol = echo
    listen = systemd:echo
    """

#: Connects and sends until /run/enough exists; prints the counts of answers and errors.
LOAD = """\
    import collections, json, os, socket
    seen = collections.Counter()
    while not os.path.exists("/run/enough"):
        try:
            with socket.create_connection(("127.0.0.1", 7), 30) as client:
                client.sendall(b"hello")
                seen["answered" if client.recv(5) == b"hello" else "closed"] += 1
        except OSError as error:
            seen[type(error).__name__] += 1
    print(json.dumps(seen))
    """

#: A command that blocks the reactor.
STUCK = """\
    import time
    from tcpd.line.command import command

    @command("STICK", help="Never returns.")
    def stick(request):
        while True:
            time.sleep(1)
    """


def test_clients_are_served_after_systemctl_start(configure: Configure) -> None:
    """Type=notify: systemctl start returns after READY=1."""
    box = configure("[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:7007\n")
    assert box.must("printf hi | nc -N 127.0.0.1 7007") == "hi"
    assert box.show("Type", "NotifyAccess") == "notify\nmain"
    box.wait_for("systemctl status tcpd | grep -q '1 accepted, 0 refused'")
    assert 'Status: "serving 1 service: ' in box.must("systemctl status tcpd")


def test_systemd_analyze_verifies_the_units(configure: Configure) -> None:
    printed = configure(ECHO).must("systemd-analyze verify --man=no tcpd.service tcpd.socket")
    assert printed == ""


def test_privileges_of_the_daemon(configure: Configure) -> None:
    """Exposure level of at most 1.5, a separate user, and no capabilities."""
    box = configure(ECHO)
    printed = box.must("systemd-analyze security --no-pager tcpd.service")
    found = re.search(r"Overall exposure level for tcpd.service: (\S+)", printed)
    assert found, printed
    assert float(found[1]) <= 1.5, printed
    status = box.must("cat /proc/$(systemctl show -p MainPID --value tcpd)/status")
    fields = dict(re.findall(r"^(\w+):\t(.*)$", status, re.M))
    assert fields["Uid"].split() == [box.must("id -u tcpd").strip()] * 4
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_socket_activation_on_a_low_port(configure: Configure) -> None:
    """A connection to port 7 starts the daemon, which has neither root nor capabilities."""
    box = configure(ECHO)
    box.must("systemctl stop tcpd.socket tcpd.service; systemctl start tcpd.socket")
    assert box.show("ActiveState") == "inactive"
    assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"
    assert box.show("ActiveState") == "active"


def test_second_socket_unit(configure: Configure) -> None:
    """A copy of tcpd.socket with another name and port, as its comment describes."""
    box = configure(ECHO)
    copy = "/etc/systemd/system/tcpd-line.socket"
    changes = (
        "s/^FileDescriptorName=.*/FileDescriptorName=line/; s/^ListenStream=.*/ListenStream=17/"
    )
    box.must(f"sed '{changes}' /opt/tcpd/share/tcpd/etc/systemd/tcpd.socket >{copy}")
    box.must("systemctl enable tcpd-line.socket")
    try:
        configure(ECHO + "[service:line]\n    protocol = line\n    listen = systemd:line\n")
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"
        assert "220 " in box.must("printf 'QUIT\\r\\n' | nc -N 127.0.0.1 17")
    finally:
        box.must(f"systemctl disable --now tcpd-line.socket; rm {copy}")


def test_restart_under_load_refuses_no_connection(configure: Configure) -> None:
    box = configure(ECHO)
    box.write("/root/load.py", LOAD)
    printed = box.must(
        "rm -f /run/enough; for i in 1 2 3 4; do python3 /root/load.py & done; sleep 0.3\n"
        "for i in 1 2 3; do systemctl restart tcpd; sleep 0.2; done; touch /run/enough; wait"
    )
    seen = [json.loads(line) for line in printed.splitlines()]
    assert len(seen) == 4
    for each in seen:
        assert each.pop("answered") > 100
        # connections open at the stop
        assert sum(each.values()) <= 3
        assert each.keys() <= {"closed", "ConnectionResetError", "BrokenPipeError"}, each


def test_watchdog_restarts_a_stuck_process(configure: Configure) -> None:
    """WatchdogSec=: systemd kills a process that sends no WATCHDOG=1. A plugin's command blocks the
    reactor."""
    box = configure(ECHO)
    packages = "/opt/tcpd/lib/python3.11/site-packages"
    box.write(f"{packages}/stuck.py", STUCK)
    box.write(f"{packages}/stuck-1.dist-info/METADATA", "Name: stuck\nVersion: 1\n")
    points = "[tcpd.line.commands]\nstick = stuck:stick\n"
    box.write(f"{packages}/stuck-1.dist-info/entry_points.txt", points)
    try:
        line = "[service:line]\n    protocol = line\n    listen = 127.0.0.1:7100\n"
        configure(ECHO + line, "WatchdogSec=1s")
        before = box.show("MainPID")
        box.must(f"sleep 2; test {before} = $(systemctl show -p MainPID --value tcpd)")
        box.must("printf 'STICK\\r\\n' | timeout 30 nc 127.0.0.1 7100 >/dev/null || true")
        box.wait_for("systemctl show tcpd | grep -q ^NRestarts=1 && systemctl is-active tcpd")
        assert box.show("MainPID") != before
        assert "Watchdog timeout" in box.log()
        assert box.must("printf hi | nc -N 127.0.0.1 7") == "hi"
    finally:
        box.must(f"rm -r {packages}/stuck.py {packages}/stuck-1.dist-info")


def test_systemctl_reload_reports_the_result(configure: Configure) -> None:
    box = configure(ECHO)
    before = box.show("MainPID")
    box.must("printf '    127.0.0.1:7007\\n' >>/etc/tcpd/tcpd.ini; systemctl reload tcpd")
    assert box.must("printf hi | nc -N 127.0.0.1 7007") == "hi"
    box.must("echo 'lisen = 127.0.0.1:7008' >>/etc/tcpd/tcpd.ini")
    failed = box.run("systemctl reload tcpd")
    assert failed.returncode != 0
    assert "lisen: there is no such key; did you mean listen?" in box.log()
    assert box.must("printf hi | nc -N 127.0.0.1 7007") == "hi"
    assert box.show("MainPID", "ActiveState") == f"{before}\nactive"


def test_private_key_of_root_as_a_credential(configure: Configure) -> None:
    box = configure(ECHO)
    box.must(
        "cd /etc/tcpd; openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null; chmod 0600 key.pem"
    )
    ini = "[tls:main]\ncertificate = {}cert.pem\nkey = {}key.pem\n[service:echo]\n{}"
    listen = "protocol = echo\nlisten = 127.0.0.1:7443 tls=main\n"
    loaded = "LoadCredential=cert.pem:/etc/tcpd/cert.pem\nLoadCredential=key.pem:/etc/tcpd/key.pem"
    configure(ini.format("credential:", "credential:", listen), loaded)
    client = (
        "import socket, ssl; context = ssl.create_default_context(cafile='/etc/tcpd/cert.pem');"
        "c = context.wrap_socket(socket.create_connection(('127.0.0.1', 7443), 10),"
        " server_hostname='localhost'); c.sendall(b'hi'); print(c.recv(2))"
    )
    assert box.must(f'python3 -c "{client}"') == "b'hi'\n"
    with pytest.raises(AssertionError, match=r"key: /etc/tcpd/key.pem cannot be read"):
        configure(ini.format("/etc/tcpd/", "/etc/tcpd/", listen))


def test_fields_in_the_journal(configure: Configure) -> None:
    box = configure(ECHO)
    pid = box.show("MainPID")
    printed = box.must(f"journalctl -u tcpd -o json TCPD_EVENT=service.listening _PID={pid}")
    (record,) = [
        found
        for line in printed.splitlines()
        if (found := json.loads(line))["TCPD_SERVICE"] == "echo"
    ]
    assert record["TCPD_LISTENER"] == "systemd:echo"
    assert record["MESSAGE"] == "service echo: listening on systemd:echo"
    assert (record["PRIORITY"], record["SYSLOG_IDENTIFIER"]) == ("6", "tcpd")


def test_query_of_the_journal(configure: Configure) -> None:
    """The command of docs/howto/logs.rst, after a refusal."""
    refusing = "[policy:default]\n    deny = 127.0.0.0/8\n    [service:line]\n    protocol = line\n"
    box = configure(f"{ECHO}{refusing}    listen = 127.0.0.1:7100\n")
    box.must("nc -N 127.0.0.1 7100 </dev/null")
    (command,) = (each for each in LOGS.commands if place_of(LOGS, each) == BOX)
    box.wait_for(f"{command.text} | grep 'service line: refused 127.0.0.1:.*: denied'")


def test_members_of_the_group_are_operators(configure: Configure) -> None:
    box = configure(ECHO)
    box.must("usermod -a -G tcpd ann; id bob || useradd bob")
    assert "services       1" in box.must("setpriv --reuid ann --init-groups tcpd-ctl status")
    assert "services       1" in box.must(
        "setpriv --reuid ann --regid ann --init-groups tcpd-ctl status"
    )
    refused = box.run("setpriv --reuid bob --regid bob --init-groups tcpd-ctl status")
    assert refused.returncode == 4, refused.stdout


def test_control_group_without_access_to_the_ini_file(configure: Configure) -> None:
    """control_group and SupplementaryGroups=, as docs/howto/install.rst describes."""
    configure(ECHO).must("getent group operators || groupadd operators")
    ini = ECHO.replace("[tcpd]\n", "[tcpd]\n    control_group = operators\n")
    box = configure(ini, "SupplementaryGroups=operators")
    box.must("id eve || useradd -G operators eve")
    become = "setpriv --reuid eve --regid eve --init-groups"
    assert "ready          yes" in box.must(f"{become} tcpd-ctl status")
    assert "Permission denied" in box.run(f"{become} cat /etc/tcpd/tcpd.ini").stdout


def test_drain_extends_the_stop_timeout(configure: Configure) -> None:
    """EXTEND_TIMEOUT_USEC; TimeoutStopSec= is for a stop that hangs."""
    box = configure(
        "[tcpd]\ndrain = 4s\n[service:chargen]\nprotocol = chargen\nlisten = 127.0.0.1:7019\n",
        "TimeoutStopSec=1s",
    )
    printed = box.must(
        # a client that does not read
        'python3 -c \'import socket, time; s = socket.create_connection(("127.0.0.1", 7019));'
        "print(flush=True); time.sleep(60)' & client=$!\n"
        "sleep 1; systemctl stop --no-block tcpd; sleep 2\n"
        "systemctl show tcpd -p ActiveState,StatusText; kill $client; wait $client || true\n"
    )
    assert "ActiveState=deactivating" in printed
    assert re.search(r"StatusText=stopping: 1 connection left, for \d s at most", printed)
    box.wait_for("systemctl show tcpd -p ActiveState | grep -q inactive")
    assert box.show("Result") == "success"


def test_exec_and_forward_under_the_unit(configure: Configure) -> None:
    """exec with a limit, and forward to a name, which is looked up without netlink."""
    box = configure(
        """\
        [service:exec]
        protocol = exec
        command = /bin/sh -c "id -un; ulimit -n; ls /home; touch /var/tmp/x /usr/x"
        files = 77
        stderr = client
        listen = 127.0.0.1:7998
        [service:forward]
        protocol = forward
        to = far.example:7998
        listen = 127.0.0.1:7999
        """
    )
    box.write("/etc/hosts", "127.0.0.1 far.example\n")
    user, files, *errors = box.must("nc -N 127.0.0.1 7999 </dev/null").splitlines()
    assert (user, files) == ("tcpd", "77")
    assert any("/home" in line for line in errors)
    assert any("/usr/x" in line and "Read-only" in line for line in errors)


def test_drop_in_for_server_isn(configure: Configure) -> None:
    """[tcpd] server_isn requires CAP_NET_ADMIN, by the two lines in the unit's comment."""
    ini = (
        "[tcpd]\nserver_isn = yes\n"
        "[service:handshake]\nprotocol = handshake\nformat = json\nlisten = 127.0.0.1:7080\n"
    )
    given = "AmbientCapabilities=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_NET_ADMIN"
    without = json.loads(configure(ini).must("nc -N 127.0.0.1 7080 </dev/null"))
    printed = json.loads(configure(ini, given).must("nc -N 127.0.0.1 7080 </dev/null"))
    assert without["no_server_isn"] == "no-capability"
    assert printed["no_server_isn"] is None
