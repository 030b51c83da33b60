"""Posed photographs as the user has them: cameras, distortion, masks, points. NumPy and Pillow, without torch."""

from neuralfw.photos.distortion import MODELS, Distortion
from neuralfw.photos.model import Capture, DepthMap, Tracks, View
from neuralfw.photos.sniff import FORMATS, detect, read_capture

__all__ = ["FORMATS", "MODELS", "Capture", "DepthMap", "Distortion", "Tracks", "View", "detect", "read_capture"]
