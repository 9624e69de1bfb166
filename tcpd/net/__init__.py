"""Listeners, the connection layer, TLS and datagrams."""
