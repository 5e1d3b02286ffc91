"""Classes of a user's own: `file.py:Class`, made from the file's text."""

import hashlib
import inspect
import linecache
import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from spaces import did_you_mean

Kind = TypeVar("Kind")


def split_name(name: str) -> tuple[str | None, str]:
    """File and class of a class of one's own; None and the name of a built-in one."""
    file, _, class_name = name.rpartition(":")
    return (file, class_name) if file else (None, name)


def source_text(name: str) -> str | None:
    """The text of the file that a class of one's own stands in; None for a built-in one.

    Raises:
        OSError: There is no such file.
    """
    file, _ = split_name(name)
    return None if file is None else Path(file).read_text(encoding="utf-8")


def load_class(name: str, base: type[Kind], source: str | None = None) -> type[Kind]:
    """The class `file.py:Class`, a `base` that leaves nothing of it undefined.

    It is made from text, not imported: a worker, or a trained model on another machine, has the
    text and not the file. The same text is run once in a process.

    Args:
        name: The path as seen from the working directory, and the class.
        source: The text of that file, where it is already known.

    Raises:
        OSError: There is no such file.
        ValueError: The file cannot be run, or the class is not there or no usable `base`.
    """
    file, class_name = split_name(name)
    assert file is not None
    text = Path(file).read_text(encoding="utf-8") if source is None else source
    found = classes(file, text, base)
    if class_name not in found:
        there = class_name in vars(_run(file, text))
        problem = f"is not a {base.__name__}" if there else "is not there"
        raise ValueError(
            f"class {class_name!r} in {file} {problem}{did_you_mean(class_name, set(found))}"
        )
    if inspect.isabstract(found[class_name]):
        missing = ", ".join(sorted(getattr(found[class_name], "__abstractmethods__", ())))
        raise ValueError(f"class {class_name!r} in {file} must define {missing}")
    return found[class_name]


def classes(file: str, text: str, base: type[Kind]) -> dict[str, type[Kind]]:
    """All that a file has of a kind, by name.

    Raises:
        ValueError: The file cannot be run.
    """
    return {
        name: value
        for name, value in vars(_run(file, text)).items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base
    }


def _run(file: str, text: str) -> ModuleType:
    """The module made of `text`, the same one each time."""
    digest = hashlib.sha256(f"{file}\n{text}".encode()).hexdigest()
    module_name = f"seqtune_own_{digest[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    module = ModuleType(module_name)
    module.__file__ = file
    # for tracebacks where the file itself is not there, or not with this text
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    sys.modules[module_name] = module  # as import does: dataclasses look their module up
    try:
        exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 # the user's own class
    except Exception as error:
        del sys.modules[module_name]
        raise ValueError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    return module
