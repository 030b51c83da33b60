"""Core's losses: those that more than one method uses."""
