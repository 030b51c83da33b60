"""Deformation between two shapes by an explicit velocity field."""
