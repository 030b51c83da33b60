"""Recipes: TOML text on one side, checked settings on the other."""
