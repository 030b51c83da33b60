"""The one trainer: stages, passes, updates, checkpoints."""
