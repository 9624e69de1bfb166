"""Where the control socket is, by one rule for the daemon and for tcpd-ctl."""

from __future__ import annotations

import pytest

from tcpd.config.locations import control_candidates, control_path, locate, state_directory


@pytest.mark.parametrize(
    ("control", "state", "environ", "uid", "path"),
    [
        ("/x", "/s", {"RUNTIME_DIRECTORY": "/r"}, 0, "/x"),
        ("none", "/s", {"RUNTIME_DIRECTORY": "/r"}, 0, ""),
        ("auto", "/s", {"RUNTIME_DIRECTORY": "/r:/q", "XDG_RUNTIME_DIR": "/u"}, 7, "/r/control"),
        ("auto", "/s", {"XDG_RUNTIME_DIR": "/u"}, 0, "/run/tcpd/control"),
        ("auto", "/s", {"XDG_RUNTIME_DIR": "/u"}, 7, "/u/tcpd/control"),
        ("auto", "/s", {}, 7, "/s/control"),
        ("auto", "", {"STATE_DIRECTORY": "/t"}, 7, "/t/control"),
        ("auto", "", {}, 7, ""),
    ],
)
def test_the_rule(control: str, state: str, environ: dict[str, str], uid: int, path: str) -> None:
    assert control_path(control, state, environ, uid) == path


def test_tcpd_ctl_looks_for_a_users_own_daemon_before_the_systems() -> None:
    assert control_candidates({"XDG_RUNTIME_DIR": "/u"}, 7) == [
        "/u/tcpd/control",
        "/run/tcpd/control",
    ]
    assert control_candidates({}, 7) == ["/run/tcpd/control"]
    assert control_candidates({}, 0) == ["/run/tcpd/control"]


def test_the_state_is_what_is_configured_or_systemds() -> None:
    assert state_directory("/s", {"STATE_DIRECTORY": "/t"}) == "/s"
    assert state_directory("", {"STATE_DIRECTORY": "/t:/u"}) == "/t"
    assert state_directory("", {}) == ""


def test_where_a_file_is() -> None:
    """systemd.exec(5), LoadCredential=: credentials are in $CREDENTIALS_DIRECTORY."""
    assert locate("/etc/x.pem", None) == "/etc/x.pem"
    assert locate("credential:x.pem", "/run/credentials/tcpd.service") == (
        "/run/credentials/tcpd.service/x.pem"
    )
    for nowhere in (None, ""):
        with pytest.raises(ValueError, match=r"write LoadCredential=x\.pem:PATH in the unit"):
            locate("credential:x.pem", nowhere)
