"""What an operator counts and reads."""
