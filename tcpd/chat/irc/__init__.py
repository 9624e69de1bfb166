"""The IRC frontend."""
