"""GS-Pull as components of neuralfw."""
