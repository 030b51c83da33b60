"""`python -m neuralfw` is the command line."""

from .cli import main

main()
