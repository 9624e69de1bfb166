"""Events of chat, and their encoding for stores and other nodes."""
