"""Chat rooms: a sans-IO hub, and one package for each frontend."""
