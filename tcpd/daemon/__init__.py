"""Puts settings, kinds and the connection layer together into one tree of Services."""
