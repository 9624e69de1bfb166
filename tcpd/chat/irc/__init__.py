"""The IRC door: the rooms as any IRC client sees them."""
