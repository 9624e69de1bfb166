"""Stores of chat: the history of rooms."""
