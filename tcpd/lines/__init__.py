"""Protocols of lines: what the ``line`` service and the frontends of chat share."""
