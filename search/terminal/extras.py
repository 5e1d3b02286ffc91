"""Modules that need a package which not everybody installs."""

from importlib import import_module
from types import ModuleType


def load_extra(module: str, extra: str) -> ModuleType:
    """A module of ours whose packages come with `pip install 'seqtune[extra]'`.

    Raises:
        ValueError: One of them is not installed; the message says what to do.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"this needs the package {error.name!r}: pip install 'seqtune[{extra}]'"
        ) from None
