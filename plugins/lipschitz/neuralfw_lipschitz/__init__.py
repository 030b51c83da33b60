"""Lipschitz-bounded networks for neuralfw (LipMLP)."""
