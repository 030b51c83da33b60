"""Surfaces that evolve under explicit flows: NIE's level-set update, MeshSDF's step."""
