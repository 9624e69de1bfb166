"""What happens in chat, as facts, and how they are written for a store or another node."""
