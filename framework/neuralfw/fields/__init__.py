"""Core's fields."""
