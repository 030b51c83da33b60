"""Integrators: points carried along a velocity."""
