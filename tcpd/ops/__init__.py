"""Logs, events, metrics, and supervision of the process."""
