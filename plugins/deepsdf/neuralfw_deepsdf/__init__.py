"""DeepSDF and its relatives as components of neuralfw."""
