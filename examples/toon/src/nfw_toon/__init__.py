"""Cel shading: surfaces in a few tones, with dark outlines."""
