"""Core's meshers."""
