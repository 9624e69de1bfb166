"""What chat keeps: the history of rooms."""
