"""Configuration: ini parser, listen grammar, options, settings. Standard library only."""
