"""Renders the pages' templates, and reads the static files."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined


class NavEntry(NamedTuple):
    """An entry of the navigation.

    :ivar path: the path of the page, such as ``/learn``.
    :ivar text: its name.
    """

    path: str
    text: str


#: All pages of the kind ``web``; a service without chat leaves one out.
NAVIGATION = (
    NavEntry("/", "Your connection"),
    NavEntry("/learn", "Learn"),
    NavEntry("/chat", "Chat"),
    NavEntry("/status", "Status"),
)


class Templates:
    """The compiled templates.

    :param navigation: the entries that each page shows.
    """

    def __init__(self, navigation: Sequence[NavEntry] = NAVIGATION) -> None:
        self._environment = Environment(
            loader=PackageLoader("tcpd.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.globals["navigation"] = tuple(navigation)
        # compiled here, so that an error in a template stops the start
        names = self._environment.list_templates(extensions=["html"])
        self._templates = {name: self._environment.get_template(name) for name in names}

    def render(self, name: str, **values: Any) -> str:
        """Render a template.

        :param name: a file in ``tcpd/web/templates``, such as ``error.html``.
        :param values: text is escaped, unless it is :class:`markupsafe.Markup`.
        """
        return self._templates[name].render(values)

    def error(self, status: int, title: str, advice: str) -> str:
        """Render the page of an error.

        :param status: the HTTP status.
        :param title: what happened, without a full stop.
        :param advice: what the reader can do, in sentences.
        """
        return self.render("error.html", here="", status=status, title=title, advice=advice)


def static_files() -> dict[str, bytes]:
    """Read the files below ``/static/``, by name."""
    directory = resources.files("tcpd.web").joinpath("static")
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}
