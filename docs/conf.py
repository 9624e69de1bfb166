"""Sphinx: ``sphinx-build -W -b html docs docs/_build``."""

from importlib import metadata

project = "tcpd"
author = "tcpd maintainers"
release = metadata.version("tcpd")
extensions = ["sphinx.ext.autodoc"]
# what docs/man.py builds the manual from
exclude_patterns = ["_build", "man"]
html_theme = "furo"
html_title = f"{project} {release}"
# interfaces of zope: what follows self in them is described, not typed
autodoc_member_order = "bysource"
