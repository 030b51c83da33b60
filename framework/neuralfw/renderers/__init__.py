"""Core's renderers."""
