"""From the name of a family to its class: "lstm", or a class of your own, "my_model.py:MyModel"."""

import hashlib
import inspect
import linecache
import sys
from pathlib import Path
from types import ModuleType

from spaces import Choice, SearchSpace, did_you_mean
from trainers.backbone import Backbone
from trainers.models import MODELS
from trainers.optim import training_space
from trainers.tasks import Task


def load_family(name: str, source: str | None = None) -> type[Backbone]:
    """The class of a family.

    A class of one's own is made from text, not imported: a worker, or a trained model on another
    machine, has the text and not the file. The same text is run once in a process.

    Args:
        name: A name in `MODELS`, or `file.py:Class`, the path as seen from the working directory.
        source: The text of that file, where it is already known.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such family or class, the file cannot be run, or the class is no
            usable `Backbone`.
    """
    file, class_name = _split(name)
    if file is None:
        return MODELS[class_name]
    text = Path(file).read_text(encoding="utf-8") if source is None else source
    return _find_class(_run(file, text), class_name, file)


def family_source(name: str) -> str | None:
    """The text of the file that a family of one's own stands in; None for a built-in one.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such built-in family.
    """
    file, _ = _split(name)
    return None if file is None else Path(file).read_text(encoding="utf-8")


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


def _split(name: str) -> tuple[str | None, str]:
    """File and class of a family of one's own; None and the name of a built-in one."""
    file, _, class_name = name.rpartition(":")
    if file:
        return file, class_name
    if name.endswith(".py"):
        raise ValueError(f"a family in a file is named with its class, {name}:Class; got {name!r}")
    if name not in MODELS:
        raise ValueError(f"there is no family {name!r}{did_you_mean(name, set(MODELS))}")
    return None, name


def _run(file: str, text: str) -> ModuleType:
    """The module made of `text`, the same one each time."""
    digest = hashlib.sha256(f"{file}\n{text}".encode()).hexdigest()
    module_name = f"seqtune_family_{digest[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    module = ModuleType(module_name)
    module.__file__ = file
    # for tracebacks where the file itself is not there, or not with this text
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    sys.modules[module_name] = module  # as import does: dataclasses look their module up
    try:
        exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 # the user's own model
    except Exception as error:
        del sys.modules[module_name]
        raise ValueError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _find_class(module: ModuleType, name: str, file: str) -> type[Backbone]:
    families = {
        other
        for other, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Backbone) and value is not Backbone
    }
    if name not in families:
        problem = "is not a Backbone" if name in vars(module) else "is not there"
        raise ValueError(f"class {name!r} in {file} {problem}{did_you_mean(name, families)}")
    family: type[Backbone] = getattr(module, name)
    if inspect.isabstract(family):
        missing = ", ".join(sorted(family.__abstractmethods__))
        raise ValueError(f"class {name!r} in {file} must define {missing}")
    return family
