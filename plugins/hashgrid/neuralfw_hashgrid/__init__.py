"""The multiresolution hash grid of Instant-NGP as an encoder."""
