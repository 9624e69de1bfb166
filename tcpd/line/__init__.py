"""An extensible line command protocol: a sans-IO core and its Twisted protocol."""
