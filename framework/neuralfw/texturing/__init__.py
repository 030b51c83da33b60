"""Meshes with a texture: charts, the colours of their texels, files."""
