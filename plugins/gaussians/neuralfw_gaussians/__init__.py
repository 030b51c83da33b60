"""3D Gaussian splatting for neuralfw."""
