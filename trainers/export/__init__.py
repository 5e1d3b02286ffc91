"""A trained model as a folder that stands alone: weights, card, recipe, ONNX."""

from trainers.export.folder import export, load

__all__ = ["export", "load"]
