"""`python -m neuralfw`."""

from .cli import main

main()
