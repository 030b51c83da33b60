"""The version of neuralfw's core, read by the build and by `neuralfw --version`."""

__version__ = "0.1.0"
