"""A line command protocol that anybody extends: a sans-IO core and its Twisted edge."""
