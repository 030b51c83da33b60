"""Pages about runs: one file of HTML each, which opens without a network."""
