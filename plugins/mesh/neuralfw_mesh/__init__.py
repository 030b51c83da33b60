"""Differentiable mesh rendering for neuralfw."""
