"""Configuration: fields, the listen grammar, the ini reader and the settings. Standard library."""
