"""Rooms to talk in: a sans-IO hub, and one package for each front door."""
