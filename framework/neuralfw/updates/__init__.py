"""Core's updates."""
