"""IRC frontend of chat."""
