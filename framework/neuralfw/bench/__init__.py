"""Recipes x scenes x seeds: many runs side by side, as a table."""
