"""Core's encoders."""
