"""How large an untrained model is, counted without its weights being made."""

import torch

from spaces import Config
from trainers.backbone import Backbone
from trainers.model import SequenceModel, build_model
from trainers.tasks import Task


def count_parameters(family: type[Backbone], config: Config, task: Task) -> int:
    """The trainable parameters of a whole model, embedding and head included.

    Args:
        config: The whole tree, with `model` and `head`.

    Raises:
        ValueError: There is no such model: its settings do not fit one another.
    """
    try:
        with torch.device("meta"):
            model = build_model(family, config, task, seed=0)
    except RuntimeError:  # a family of one's own that looks at the values of its weights
        model = build_model(family, config, task, seed=0)
    return _trainable(model)


def _trainable(model: SequenceModel) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
