"""A run in a browser, on viser."""
