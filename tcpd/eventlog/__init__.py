"""Event logs: put the events of chat into one order."""
