"""Volume rendering of signed distances: NeuS and VolSDF."""
