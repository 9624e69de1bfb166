"""Builds the manual pages from the sources of the documentation: ``python docs/man.py DIRECTORY``.

Each file of docs/man includes pages of docs/reference; DIRECTORY gets man1, man5 and man7, as in
share/man. setup.py calls this when it builds a wheel, so it imports nothing of tcpd, and of other
packages only docutils, which is small and requires nothing itself, as Sphinx does not.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from docutils.parsers.rst import roles
from docutils.parsers.rst.states import Inliner
from docutils.writers import manpage

DOCS = Path(__file__).resolve().parent
SOURCES = sorted((DOCS / "man").glob("*.rst"))

#: What pages of the documentation became which page of the manual.
MANUAL = {
    "reference/command-line": ("twistd-tcpd", "1"),
    "reference/configuration": ("tcpd.ini", "5"),
    "reference/control": ("tcpd-ctl", "1"),
    "reference/tcpd-ctl": ("tcpd-ctl", "1"),
    "reference/line-protocol": ("tcpd-line", "7"),
}


def doc(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Inliner,
    options: object = None,
    content: object = None,
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Sphinx's role of this name: a page of the manual where there is one, otherwise the file."""
    title, target = re.fullmatch(r"(?:(.*\S)\s*<)?([^<>]+)>?", text, re.S).groups()  # type: ignore[union-attr]
    source, _ = inliner.reporter.get_source_and_line(lineno)
    start = DOCS if target.startswith("/") else Path(source).resolve().parent
    page = (start / target.lstrip("/")).resolve().relative_to(DOCS).as_posix()
    if not (DOCS / f"{page}.rst").exists():
        message = inliner.reporter.error(f"there is no page {page}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]
    found: list[nodes.Node]
    if page in MANUAL:
        manual, section = MANUAL[page]
        found = [nodes.strong("", manual), nodes.Text(f"({section})")]
    else:
        found = [nodes.emphasis("", f"docs/{page}.rst")]
    if title:
        found = [nodes.Text(f"{title} ("), *found, nodes.Text(")")]
    return found, []


def untabled(document: nodes.document) -> None:
    """Turn tables of two columns into lists of terms, which fit any terminal."""
    for table in list(document.findall(nodes.table)):
        rows = [
            [*entries]
            for row in table.findall(nodes.row)
            if not isinstance(row.parent, nodes.thead)
            for entries in [row.children]
        ]
        if any(len(row) != 2 for row in rows):
            raise ValueError(f"{table.source}:{table.line}: a table that has not two columns")
        table.replace_self(nodes.definition_list("", *(item(*row) for row in rows)))


def item(term: nodes.Element, definition: nodes.Element) -> nodes.definition_list_item:
    """One row as a term and what it means."""
    return nodes.definition_list_item(
        "",
        nodes.term("", "", *term[0].children),
        nodes.definition("", *definition.children),
    )


class Translator(manpage.Translator):  # type: ignore[misc]
    """Writes headings as pages of the manual have them, whatever the version of docutils."""

    def header(self) -> str:
        title, section = self._docinfo["title"], self._docinfo["manual_section"]
        # without a date: two builds of one source are the same
        return (
            f'.TH "{title.upper()}" "{section}" "" "tcpd {self.settings.release}" "tcpd"\n'
            f".SH NAME\n{title} \\- {self._docinfo['subtitle']}\n"
        )

    def visit_title(self, node: nodes.title) -> None:
        if self.section_level == 1:
            text = node.astext()
            # the sections of an ini file are spelled in lower case
            heading = text if text.startswith("[") else text.upper()
            self.body.append(f".SH {self.deunicode(heading)}\n")
            raise nodes.SkipNode
        super().visit_title(node)

    def visit_superscript(self, node: nodes.superscript) -> None:
        self.body.append("^")

    def depart_superscript(self, node: nodes.superscript) -> None:
        pass


def build(directory: Path, release: str) -> list[Path]:
    """Write the pages; return where they are.

    :param release: the version of tcpd, for their last lines.
    :raise docutils.utils.SystemMessage: for a source that is wrong in anything.
    """
    roles.register_local_role("doc", doc)
    settings: dict[str, Any] = {
        "halt_level": 2,
        "syntax_highlight": "none",
        "smart_quotes": False,
        "input_encoding": "utf-8",
        "output_encoding": "unicode",
        "release": release,
    }
    pages = []
    for source in SOURCES:
        tree = publish_doctree(
            source.read_text("utf-8"), source_path=str(source), settings_overrides=settings
        )
        untabled(tree)
        writer = manpage.Writer()
        writer.translator_class = Translator
        text = publish_from_doctree(tree, writer=writer, settings_overrides=settings)
        section = next(name[1] for name in MANUAL.values() if name[0] == source.stem)
        page = directory / f"man{section}" / f"{source.stem}.{section}"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        pages.append(page)
    return pages


if __name__ == "__main__":
    setup = configparser.ConfigParser()
    setup.read(DOCS.parent / "setup.cfg", "utf-8")
    for built in build(Path(sys.argv[1]), setup["metadata"]["version"]):
        print(built)
