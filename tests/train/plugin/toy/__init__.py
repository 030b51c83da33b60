"""Small components with known answers, for the trainer's tests; found like any plugin."""
