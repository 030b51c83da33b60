"""Components exchanged for any others that fit: every combination around a recipe, and whether it trains."""
