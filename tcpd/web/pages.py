"""The pages of a web service, and what holds for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from tcpd.handshake.as_json import as_json
from tcpd.handshake.facts import Facts
from tcpd.handshake.page import page
from tcpd.handshake.report import Report, build
from tcpd.http.response import HTML, PLAIN, Response, etag_of, text
from tcpd.http.site import Answer, Handler, OpenWebSocket, Site, Visit
from tcpd.interfaces import IContext, IWebSocketFactory
from tcpd.net.http_protocol import HTTPFactory
from tcpd.net.own_names import is_own
from tcpd.net.websocket_settings import allows
from tcpd.policy.workqueue import share_of
from tcpd.web import connection_page, lesson
from tcpd.web.diagram import svg
from tcpd.web.exercises import EXERCISES
from tcpd.web.rendering import NAVIGATION, Templates, static_files
from tcpd.web.settings import WebSettings
from tcpd.web.status import StatusFeed
from tcpd.web.streams import SecondStream, Streams, event

JSON = "application/json"
SVG = "image/svg+xml"
_HTML = "text/html"

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": SVG,
    "png": "image/png",
}

#: Seconds for which the page of a connection is live.
LIVE_SECONDS = 60

#: Seconds for which a browser uses only TLS for this host (RFC 6797), once it came over TLS.
_HSTS_SECONDS = 180 * 24 * 3600

_SECURITY = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
_NO_STORE = ("Cache-Control", "no-store")
#: The browser asks whether its copy is current, by the entity tag.
_NO_CACHE = ("Cache-Control", "no-cache")

#: Fields that HTTP proxies add to requests.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

_CONNECTION_SCRIPTS = ("/static/connection.js", "/static/live.js")

_ADVICE = {
    403: "Ask the operator of this server, if you think that you should see it.",
    404: "Check the address, or choose a page above.",
    405: "Open the page in a browser, or request it with GET.",
    503: "Try again later.",
}


class Pages:
    """The handlers of a web service.

    :param settings: the keys of the service.
    :param context: of the service.
    """

    def __init__(self, settings: WebSettings, context: IContext) -> None:
        self._settings = settings
        self._context = context
        navigation = [entry for entry in NAVIGATION if self._has(entry.path)]
        self._templates = Templates(navigation)
        self._static = {
            name: Response(
                200,
                _TYPES[name.rpartition(".")[2]],
                content,
                (_NO_CACHE,),
                etag_of(content),
            )
            for name, content in static_files().items()
        }
        self._streams = Streams(context.clock, settings.streams)
        self._feed = StatusFeed(context)

    def _has(self, path: str) -> bool:
        if path == "/status":
            return bool(self._settings.status)
        return path != "/chat" or self._settings.chat != "none"

    def site(self) -> Site:
        """Make the site."""
        pages: dict[str, Handler] = {
            "/": self.connection,
            "/connection.json": self.facts,
            "/connection.svg": self.drawing,
            "/live": self.live,
            "/learn": self.learn,
            "/learn/*": self.learn,
            "/static/*": self.static,
            "/favicon.ico": self.icon,
        }
        if self._has("/chat"):
            pages |= {"/chat": self.chat, "/irc": self.irc}
        if self._has("/status"):
            pages |= {"/status": self.status, "/status/events": self.status_events}
        return Site(pages, self.headers, self.error)

    # --- common to all pages ---

    @staticmethod
    def headers(connection: Any) -> list[tuple[str, str]]:
        """Return the fields of all responses."""
        found = list(_SECURITY)
        if connection is not None and connection.tls is not None:
            found.append(("Strict-Transport-Security", f"max-age={_HSTS_SECONDS}"))
            # browsers ignore it without TLS, and log an error
            found.append(("Cross-Origin-Opener-Policy", "same-origin"))
        return found

    def error(self, visit: Visit, status: int, sentence: str) -> Response:
        """Make the page of an error: short, with what to do."""
        title = f"{sentence[0].upper()}{sentence[1:]}"
        advice = _ADVICE[status]
        if not visit.quality(_HTML):
            return text(status, f"{title}. {advice}", _NO_STORE)
        return _html(self._templates.error(status, title, advice), status)

    def _is_own(self, visit: Visit) -> bool:
        """Whether the request names this server, as a defense against DNS rebinding, and comes from
        a page of this server, if from any."""
        host, origin = visit.header("host"), visit.header("origin")
        own = partial(is_own, visit.connection)
        if visit.header("sec-fetch-site") in ("cross-site", "same-site"):
            return False
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return own(name) and (not origin or allows(("same",), origin, host, own))

    # --- the connection ---

    def connection(self, visit: Visit) -> Response:
        """``/``: the report on the connection, as a page, as text or as JSON."""
        report = build(self._facts(visit))
        if visit.quality(JSON) > visit.quality(_HTML):
            return _json(as_json(report))
        if not visit.quality(_HTML):
            return _lines(page(report, utf8=True))
        return _html(
            connection_page.html(
                report,
                self._templates,
                origin=self._place(visit, report).origin,
                scripts=_CONNECTION_SCRIPTS,
            )
        )

    def facts(self, visit: Visit) -> Response:
        """``/connection.json``: the report as JSON."""
        return _json(as_json(build(self._facts(visit))))

    def drawing(self, visit: Visit) -> Response:
        """``/connection.svg``: the picture alone."""
        return Response(200, SVG, svg(build(self._facts(visit))).encode(), (_NO_STORE,))

    def live(self, visit: Visit) -> Answer:
        """``/live``: TCP_INFO of the connection, each second for a minute."""
        if not self._is_own(visit):
            return self.error(visit, 403, "this stream is for pages of this server")
        connection = visit.connection
        if connection.tcp_sample() is None:
            return self.error(visit, 404, "this connection has no TCP_INFO")

        def read() -> bytes:
            found = connection.tcp_sample()
            # a browser may open another connection than that of the page
            return b"" if found is None else event("sample", {"peer": connection.peer, **found})

        return self._stream(visit, read, LIVE_SECONDS)

    def _stream(
        self,
        visit: Visit,
        read: Callable[[], bytes],
        events: int | None,
        stopped: Callable[[], object] = lambda: None,
    ) -> Answer:
        connection = visit.connection
        share = share_of(connection.address, connection)
        if not self._streams.has_room(share):
            stopped()
            return self.error(visit, 503, "too many event streams are open")
        return SecondStream(self._streams, share, read, events, stopped)

    def _facts(self, visit: Visit) -> Facts:
        facts: Facts = visit.connection.facts()
        return replace(facts, encoding="UTF-8", line_ending="CRLF")

    # --- the lesson ---

    def learn(self, visit: Visit) -> Response:
        """``/learn``, its chapters, the exercises, and ``/learn/check/NAME``."""
        report = build(self._facts(visit))
        _, _, name = visit.path.removeprefix("/learn").partition("/")
        if not name:
            return _html(lesson.index_page(report, self._templates))
        place = self._place(visit, report)
        if name == "exercises":
            return _on_own_connection(_html(lesson.exercises_page(report, self._templates, place)))
        if name in lesson.CHAPTERS:
            return _html(lesson.chapter_page(name, report, self._templates))
        exercise = name.removeprefix("check/")
        if exercise == name or exercise not in EXERCISES:
            return self.error(visit, 404, "there is no such chapter")
        if not visit.quality(_HTML):
            return _lines(lesson.answer_text(exercise, report))
        return _on_own_connection(
            _html(lesson.answer_page(exercise, report, self._templates, place))
        )

    def _place(self, visit: Visit, report: Report) -> lesson.Place:
        """Return what commands connect to."""
        secure = visit.connection.tls is not None
        return lesson.place_of(report, visit.header("host") or None, secure)

    # --- chat ---

    def chat(self, visit: Visit) -> Response:
        """``/chat``: an IRC client."""
        lobby = self._context.chat.hub.lobby
        name = "" if lobby is None else lobby.name
        return _html(self._templates.render("chat.html", here="/chat", lobby=name))

    def irc(self, visit: Visit) -> Answer:
        """``/irc``: a WebSocket to the IRC service."""
        return OpenWebSocket(self._irc_factory())

    def _irc_factory(self) -> Any:
        wanted = self._settings.chat
        for entry in self._context.directory():
            if wanted in (entry.name, "auto") and entry.protocol == "irc":
                factory = self._context.factory(entry.name)
                if IWebSocketFactory.providedBy(factory):
                    return factory
        return None

    # --- status ---

    def status(self, visit: Visit) -> Response:
        """``/status``: the daemon at a glance."""
        if not self._may_see_status(visit):
            return self.error(visit, 403, "this page is for operators")
        status = self._context.status()
        if visit.quality(JSON) > visit.quality(_HTML):
            return _json(status)
        return _html(self._templates.render("status.html", here="/status", **status))

    def status_events(self, visit: Visit) -> Answer:
        """``/status/events``: the status each second, and events of the log."""
        if not self._may_see_status(visit):
            return self.error(visit, 403, "this stream is for operators")
        watcher = self._feed.watch()
        return self._stream(visit, watcher.read, None, watcher.leave)

    def _may_see_status(self, visit: Visit) -> bool:
        connection = visit.connection
        if connection.proxy is None and any(map(visit.header, _FORWARDED)):
            return False  # the address is that of an HTTP proxy, often loopback
        address = connection.address
        listed = address is None or any(address in network for network in self._settings.status)
        return listed and self._is_own(visit)

    # --- files ---

    def static(self, visit: Visit) -> Response:
        """``/static/NAME``: a style sheet, a script or a picture, from memory."""
        found = self._static.get(visit.path.removeprefix("/static/"))
        return found or self.error(visit, 404, "there is no such file")

    def icon(self, visit: Visit) -> Response:
        """``/favicon.ico``, for browsers that request it unasked."""
        return self._static["icon.svg"]


def _on_own_connection(page: Response) -> Response:
    """Close the connection after a page, so that the next check is of a new one."""
    return replace(page, is_last=True)


def _html(content: str, status: int = 200) -> Response:
    return _by_accept(HTML, content, status)


def _json(data: Any) -> Response:
    return _by_accept(JSON, f"{json.dumps(data, indent=2)}\n")


def _lines(lines: Iterable[str]) -> Response:
    return _by_accept(PLAIN, "".join(f"{line}\n" for line in lines))


def _by_accept(content_type: str, content: str, status: int = 200) -> Response:
    """Make a response whose form the client chose by its Accept field."""
    return Response(status, content_type, content.encode(), (_NO_STORE, ("Vary", "Accept")))


def web_factory(settings: WebSettings, context: IContext) -> HTTPFactory:
    """Make the factory of a web service."""
    return HTTPFactory(Pages(settings, context).site(), context)
