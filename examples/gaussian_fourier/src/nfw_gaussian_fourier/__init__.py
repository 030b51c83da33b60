"""Random Fourier features as an encoder for neuralfw."""
