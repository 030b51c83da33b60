"""The checks of the contract kit, a module for each group of kinds; importing them adds them to the kit."""

from . import acting, component, data, encoder, field, loss, mesher, renderer

__all__ = ["acting", "component", "data", "encoder", "field", "loss", "mesher", "renderer"]
