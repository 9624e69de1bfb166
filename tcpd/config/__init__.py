"""Configuration: fields, the listen grammar, the ini reader and the settings it makes. Standard library only."""
