"""From the name of a family to its class: "lstm", or a class of your own, "my_model.py:MyModel"."""

import sys

from spaces import Choice, SearchSpace, did_you_mean
from trainers.backbone import Backbone
from trainers.models import MODELS
from trainers.sources import load_class, source_text, split_name
from trainers.tasks import Task
from trainers.training.optim import training_space


def load_family(name: str, source: str | None = None) -> type[Backbone]:
    """The class of a family.

    Args:
        name: A name in `MODELS`, or `file.py:Class`, the path as seen from the working directory.
        source: The text of that file, where it is already known.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such family or class, the file cannot be run, or the class is no
            usable `Backbone`.
    """
    if _is_built_in(name):
        return MODELS[name]
    return load_class(name, Backbone, source)  # type: ignore[type-abstract] # what it must be of


def family_source(name: str) -> str | None:
    """The text of the file that a family of one's own stands in; None for a built-in one.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such built-in family.
    """
    return None if _is_built_in(name) else source_text(name)


def family_name(family: type[Backbone]) -> str:
    """The name under which `load_family` gave `family`."""
    for name, built_in in MODELS.items():
        if family is built_in:
            return name
    file = getattr(sys.modules.get(family.__module__), "__file__", None)
    return f"{file}:{family.__qualname__}"


def family_space(family: type[Backbone], task: Task, examples: int) -> SearchSpace:
    """All that may vary when `family` is trained on `task`: model, head and training.

    Args:
        examples: Number of training examples.
    """
    name = Choice((family_name(family),))
    return SearchSpace(
        {
            "model": SearchSpace({"name": name, **family.space(task.causal).children}),
            "head": task.head_space(),
            "training": training_space(task, examples),
        }
    )


def _is_built_in(name: str) -> bool:
    file, _ = split_name(name)
    if file is None and name.endswith(".py"):
        raise ValueError(f"a family in a file is named with its class, {name}:Class; got {name!r}")
    if file is None and name not in MODELS:
        raise ValueError(f"there is no family {name!r}{did_you_mean(name, set(MODELS))}")
    return file is None
