"""What puts the events of chat into one order."""
