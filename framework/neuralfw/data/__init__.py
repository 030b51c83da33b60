"""Core's datasets and samplers."""
