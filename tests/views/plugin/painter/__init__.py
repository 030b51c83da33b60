"""A renderer of posed images that is right in closed form."""
