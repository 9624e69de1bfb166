"""Tables of commands of pages that run elsewhere or differ, and the preparation of sandboxes.

A command in none of these tables is run in a sandbox by tests/docs/test_commands.py, as shown.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace

from docs.commands import Page, PageCommand
from docs.sandbox import CHECKOUT

#: Where commands are run instead of in a sandbox.
BOX, INSTALL, NOWHERE = "box", "install", "nowhere"

#: Page, regular expression for the whole command, where it is run instead, and why.
ELSEWHERE = [
    (
        "README.rst",
        r".*\.venv/bin/pytest -n 4",
        NOWHERE,
        ".ci/run runs it: it runs these tests",
    ),
    (
        "README.rst",
        r"nc localhost 7080 \| head -n 13",
        NOWHERE,
        "test_readme.py connects, if the kernel has the server's sequence number",
    ),
    (
        "docs/tutorial/first-service.rst",
        r"python3 -m venv .venv|.venv/bin/pip install \.|man .*",
        INSTALL,
        "pip requires a package index, and installs the manual",
    ),
    ("docs/howto/add-a-command.rst", r".*", INSTALL, "pip requires a package index"),
    ("docs/howto/add-a-protocol.rst", r".*", INSTALL, "pip requires a package index"),
    ("docs/howto/acme.rst", r"acme\.sh .*", NOWHERE, "no Debian package has acme.sh"),
    ("docs/howto/logs.rst", r"journalctl .*", BOX, "journald is systemd's"),
    ("docs/howto/install.rst", r".*", BOX, "it sets up units of systemd"),
    (
        "docs/reference/chat.rst",
        r"nc 127\.0\.0\.1 7200",
        NOWHERE,
        "tests/chat/test_text_reference.py holds both conversations",
    ),
]

#: Page, command in a sentence, and what runs it, or why nothing does.
INLINE = [
    ("docs/tutorial/tour.rst", "irssi -c localhost -p 7667", "irc.rst runs irssi"),
    (
        "README.rst",
        ".venv/bin/pip install -e '.[docs]' && .venv/bin/sphinx-build docs docs/_build",
        "test_pages.py builds the pages",
    ),
    ("README.rst", "nc localhost 7080", "handshake.rst runs it"),
    ("docs/tutorial/tour.rst", "nc localhost 7080", "handshake.rst runs it"),
    ("README.rst", "man twistd-tcpd", "test_man.py shows each page of the manual"),
    ("docs/tutorial/tour.rst", "twistd tcpd --print-config", "install.rst runs it"),
    ("docs/howto/acme.rst", "systemctl restart tcpd", "install.rst runs it"),
    ("docs/howto/low-ports.rst", "systemctl edit tcpd", "it opens an editor"),
    ("docs/howto/tls.rst", "openssl x509 -fingerprint -sha256", "it has options only"),
    ("docs/howto/xinetd.rst", "systemctl stop xinetd", "the page starts xinetd without systemd"),
    (
        "docs/tutorial/first-service.rst",
        "apt install netcat-openbsd openssl",
        "it requires a mirror of Debian; .ci/run installs both",
    ),
    ("docs/reference/command-line.rst", "python -m tcpd", "test_daemon.py runs it"),
    ("docs/howto/install.rst", "pip wheel --no-deps .", "tests/install installs a wheel"),
    ("docs/howto/install.rst", "systemctl edit tcpd", "it opens an editor"),
    ("docs/howto/install.rst", "systemctl edit tcpd.socket", "it opens an editor"),
    ("docs/howto/install.rst", "apt remove", "tests/box/test_debian_package.py removes it"),
    ("docs/howto/install.rst", "apt purge", "tests/box/test_debian_package.py purges it"),
]

#: Page, part of a command or of its output, its substitute, and why.
SUBSTITUTED = [
    ("README.rst", "/dev/vda        252G   28G   74G  28% /", "...", "the disk of the machine"),
    ("docs/howto/tuning.rst", "19700", "150", "too slow, and too many descriptors, for a test"),
    ("docs/howto/tuning.rst", "99  100  1h00m", "1  100  1h00m", "fewer clients than addresses"),
    ("docs/howto/add-a-command.rst", "250 4", "...", "a random number"),
    ("docs/howto/tuning.rst", "--hold 20", "--hold 3", "too slow for a test"),
    ("docs/howto/tuning.rst", "--tls --", "--tls --hold 0 --", "too slow for a test"),
    (
        "docs/howto/haproxy.rst",
        "tcpd-ctl connection 3",
        "tcpd-ctl connection $(tcpd-ctl connections --service line | awk 'NR == 2 {print $1}')",
        "HAProxy's health checks have connection numbers, too",
    ),
    ("docs/reference/exec.rst", "it is 2026-11-22 22:48", "it is ...", "the time"),
    ("docs/reference/small-services.rst", "Tue Feb 22 17:37:43 UTC 2022", "...", "the time"),
    ("docs/reference/small-services.rst", " 229 191 157 231", "...", "the time"),
    ("docs/reference/small-services.rst", "1645551463", "...", "the time"),
    (
        "docs/reference/small-services.rst",
        "Adaptability to change must be designed into all levels of\nInternet host software.\n"
        "        -- RFC 1122, 1.2.2 Robustness Principle",
        "...",
        "one of many quotes",
    ),
    ("docs/reference/websocket.rst", "curl -i", "curl -si", "the progress meter is for a terminal"),
]

#: The same, for sandboxes where tcpd is installed already.
WITHOUT_PIP = [
    (
        "README.rst",
        "python3 -m venv .venv && .venv/bin/pip install . && ",
        "",
        "pip requires a package index",
    ),
]


def _daemon(config: str, options: str = "--config /srv/page.ini") -> str:
    """Return a part of a setup: a background daemon of root."""
    return (
        f"cat >/srv/page.ini <<'INI'\n{textwrap.dedent(config)}INI\n"
        f"twistd --pidfile=/srv/page.pid -l /srv/page.log tcpd {options}\n"
    )


#: Setup of the sandbox of a page: a script of root.
SETUPS: dict[str, str] = {
    "docs/howto/operate.rst": """
        usermod -a -G adm ann
        mkdir -p /usr/share/bash-completion/completions
        """,
    "docs/howto/low-ports.rst": "useradd --system --user-group tcpd",
    "docs/howto/tls.rst": """
        mkdir /etc/tcpd
        cd /etc/tcpd
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 10 \\
            -subj /CN=chat.example.org -addext subjectAltName=DNS:chat.example.org \\
            -keyout privkey.pem -out fullchain.pem
        """,
    # a host name and a trusted certificate
    "docs/howto/irc.rst": f"""
        echo '127.0.0.1 irc.example.net' >>/etc/hosts
        cd {CHECKOUT}
        openssl req -x509 -newkey rsa:2048 -noenc -days 30 -subj /CN=irc.example.net \\
            -addext subjectAltName=DNS:irc.example.net \\
            -keyout irc.example.net.key -out irc.example.net.pem
        chown ann irc.example.net.key irc.example.net.pem
        cat irc.example.net.pem >>/etc/ssl/certs/ca-certificates.crt
        cp irc.example.net.pem /etc/ssl/certs/$(openssl x509 -noout -hash -in irc.example.net.pem).0
        """,
    "docs/howto/web.rst": f"""
        useradd --system --user-group tcpd
        echo '127.0.0.1 learn.example.org' >>/etc/hosts
        cd {CHECKOUT}
        openssl req -x509 -newkey rsa:2048 -noenc -days 30 -subj /CN=learn.example.org \\
            -addext subjectAltName=DNS:learn.example.org \\
            -keyout learn.example.org.key -out learn.example.org.pem
        cat learn.example.org.pem >>/etc/ssl/certs/ca-certificates.crt
        cat learn.example.org.pem learn.example.org.key >/etc/haproxy/site.pem
        """,
    # an ACME server under the name of Let's Encrypt, with a trusted certificate
    "docs/howto/acme.rst": """
        useradd --system --user-group tcpd
        echo '127.0.0.1 chat.example.org acme-v02.api.letsencrypt.org' >>/etc/hosts
        mkdir /srv/ca
        cd /srv/ca
        openssl req -x509 -newkey rsa:2048 -noenc -days 30 -subj /CN=authority \\
            -addext subjectAltName=DNS:acme-v02.api.letsencrypt.org -keyout key.pem -out cert.pem
        cat cert.pem >>/etc/ssl/certs/ca-certificates.crt
        cat cert.pem key.pem >both.pem
        echo '{"pebble": {"listenAddress": "127.0.0.1:14000", "httpPort": 80, "tlsPort": 4443,
            "certificate": "cert.pem", "privateKey": "key.pem"}}' >pebble.json
        # the directory of pebble has another path than that of Let's Encrypt
        echo '
            defaults
              mode http
              timeout connect 9s
              timeout client 9s
              timeout server 9s
            listen authority
              bind 127.0.0.1:443 ssl crt both.pem
              http-request set-path /dir if { path /directory }
              server pebble 127.0.0.1:14000 ssl verify none
        ' >haproxy.cfg
        haproxy -D -f haproxy.cfg
        PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 setsid pebble -config pebble.json \\
            </dev/null >log 2>&1 &
        until ss -Hlnt | grep -q :14000; do sleep 0.02; done
        # answers to certbot's questions; no random sleep before a renewal
        mkdir -p /etc/letsencrypt
        printf '%s = true\\n' agree-tos register-unsafely-without-email non-interactive \\
            no-random-sleep-on-renew >/etc/letsencrypt/cli.ini
        cd /
        """,
    # Debian enables a jail for sshd, which requires this log
    "docs/howto/fail2ban.rst": "touch /var/log/auth.log; fail2ban-client start",
    # far sides in another network namespace, with the names and addresses of the page
    "docs/howto/forward.rst": """
        ip netns add far
        ip link add name near type veth peer name far netns far
        ip address add 192.0.2.1/24 dev near
        ip link set near up
        ip -n far address add 192.0.2.10/24 dev far
        ip -n far address add 192.0.2.20/24 dev far
        ip -n far link set far up
        echo '192.0.2.10 db.example.org' >>/etc/hosts
        mkdir /run/postgresql
        serve() { setsid "$@" </dev/null >/dev/null 2>&1 & }
        serve ip netns exec far socat TCP-LISTEN:25,fork SYSTEM:'echo 220 mail.example.org ESMTP'
        serve ip netns exec far socat TCP-LISTEN:389,fork EXEC:cat
        serve ip netns exec far socat TCP-LISTEN:5432,fork EXEC:cat
        serve socat UNIX-LISTEN:/run/postgresql/.s.PGSQL.5432,fork,mode=777 EXEC:cat
        until [ $(ip netns exec far ss -Hlnt | wc -l) = 3 ]; do sleep 0.02; done
        """,
    "docs/howto/xinetd.rst": """
        useradd --system --user-group --create-home --home-dir /srv/git git
        runuser -u git -- sh -ec '
            git init -q --bare -b main /srv/git/repo.git
            cd /srv/git/repo.git
            made=$(git -c user.name=x -c user.email=x commit-tree -m x $(git mktree </dev/null))
            git update-ref refs/heads/main $made
        '
        """,
    "docs/reference/command-line.rst": "useradd --system --user-group tcpd; mkdir /etc/tcpd",
    "docs/reference/exec.rst": _daemon("""
        [service:when]
        protocol = exec
        command = /bin/date -u '+it is %F %H:%M'
        user = nobody
        listen = 127.0.0.1:7113
        """),
    "docs/reference/line-protocol.rst": "echo '127.0.0.1 example.net' >>/etc/hosts\n"
    + _daemon("""
        [tcpd]
        server_name = example.net
        [service:line]
        protocol = line
        listen = 127.0.0.1:7100
        """),
    "docs/reference/small-services.rst": "twistd tcpd --print-config >/srv/sample.ini\n"
    + _daemon(
        """
        [service:time]
        listen =
          127.0.0.1:7037
          127.0.0.1:7037 udp
        """,
        "--config /srv/sample.ini --config /srv/page.ini",
    ),
    "docs/reference/websocket.rst": _daemon("""
        [service:web]
        protocol = irc
        listen = 127.0.0.1:7301 websocket
        """),
}


def place_of(page: Page, command: PageCommand) -> str:
    """Return where a command is run instead of in a sandbox, or ``""``."""
    for name, pattern, place, _ in ELSEWHERE:
        if name == page.name and re.fullmatch(pattern, command.text):
            return place
    return ""


#: External programs on pages; a test is skipped if one is not installed.
PROGRAMS = {
    *("certbot", "curl", "fail2ban-client", "git", "haproxy", "irssi", "lego", "logrotate", "man"),
    *("nc", "nft", "nstat", "openssl", "pebble", "perl", "pgrep", "promtool", "rdate", "script"),
    *("setpriv", "socat"),
    *("ss", "stunnel", "sysctl", "systemd-socket-activate", "tmux", "weechat", "xinetd"),
}


def programs(page: Page) -> set[str]:
    """Return the external programs of a page's sandbox."""
    typed = [found.text for each in page.commands if (found := typed_for(page, each))]
    setup = SETUPS.get(page.name, "")
    words = {word for text in (*typed, setup) for word in re.findall(r"[\w-]+", text)}
    screens = {block.screen for block in page.blocks if block.screen}
    return PROGRAMS & (words | screens | ({"tmux"} if screens else set()))


def installs(name: str) -> bool:
    """Return whether a page runs pip."""
    rows = [*ELSEWHERE, *((*row, INSTALL) for row in WITHOUT_PIP)]
    return any(row[0] == name and INSTALL in row for row in rows)


def typed_for(page: Page, command: PageCommand, with_pip: bool = False) -> PageCommand | None:
    """Return the command to run in a sandbox, with its output; ``None`` if it is run elsewhere.

    :param with_pip: in a sandbox where pip installs tcpd.
    """
    place = place_of(page, command)
    if place and not (place == INSTALL and with_pip):
        return None
    text, shown = command.text, "\n".join(command.shown)
    for name, old, new, _ in SUBSTITUTED if with_pip else (*SUBSTITUTED, *WITHOUT_PIP):
        if name == page.name:
            text, shown = text.replace(old, new), shown.replace(old, new)
    return replace(command, text=text, shown=tuple(shown.splitlines()))


def unknown(name: str) -> list[str]:
    """Return the rows of the tables for a page that match none of its commands."""
    texts = [command.text for command in Page(name).commands]
    patterns = [row[1] for row in ELSEWHERE if row[0] == name]
    texts += ["\n".join(command.shown) for command in Page(name).commands]
    parts = [row[1] for row in (*SUBSTITUTED, *WITHOUT_PIP) if row[0] == name]
    inline = [row[1] for row in INLINE if row[0] == name]
    return [
        *(each for each in inline if each not in Page(name).inline),
        *(each for each in patterns if not any(re.fullmatch(each, text) for text in texts)),
        *(each for each in parts if not any(each in text for text in texts)),
    ]
