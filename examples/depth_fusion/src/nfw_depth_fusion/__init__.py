"""Depth maps fused to a signed distance: a kind of data and the loss of its bounds."""
