"""Pictures and films of a trained scene: where the camera goes, what it sees, and the files that show it."""
