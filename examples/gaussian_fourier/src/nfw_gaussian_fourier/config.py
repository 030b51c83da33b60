"""Options of the encoder. This module imports no torch."""

from neuralfw.config import EncoderConfig, Option


class GaussianFourierConfig(EncoderConfig):
    """Options of `gaussian_fourier`."""

    features: int = Option(64, ge=1, description="number of random directions; each gives a sine and a cosine")
    scale: float = Option(3.0, gt=0, description="standard deviation of the angular frequencies, per scene unit")
