"""The study that a command line asks for: a file or a benchmark's name, and changes to it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from search.store.store import study_folders
from search.study import Study
from search.study_file import merge, override, read_toml

FAMILIES = ("rnn", "lstm", "gru", "tcn", "transformer")  # where none are named
TRIALS_PER_FAMILY = 16  # where no budget is given


KEYS = {
    "benchmark": "benchmark",
    "data": "data.data",
    "task": "data.task",
    "time": "data.time",
    "id_": "data.id",
    "target": "data.target",
    "text": "data.text",
    "level": "data.level",
    "group": "data.group",
    "horizon": "data.horizon",
    "families": "families",
    "name": "name",
    "seed": "seed",
    "trials_per_family": "budget.trials_per_family",
    "epochs": "budget.epochs",
    "seconds": "budget.seconds",
}
"""What the options of `seqtune run` are called in a study."""


def options_by_key(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `seqtune run` by their keys in a study; None is one that was not given."""
    options = {key: given[name] for name, key in KEYS.items()}
    files, families = options["data.data"], options["families"]
    options["data.data"] = [str(file) for file in files or ()] or None
    options["families"] = families and [family.strip() for family in families.split(",")]
    return options


def requested_study(
    file: Path | None, options: Mapping[str, Any], changes: Iterable[str] = ()
) -> Study:
    """The study of a file, of `options["benchmark"]` or of `options["data.data"]`.

    Args:
        options: By dotted key, such as `budget.epochs`; None is an option that was not given.
        changes: `key=value` each, made last.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is none of the three, or several, or the study is wrong.
    """
    asked = [file, options["benchmark"], options["data.data"]]
    if sum(one is not None for one in asked) != 1:
        raise ValueError("a run needs a study file, --benchmark NAME or --data FILE, one of them")
    mapping = _of_options(options) if file is None else read_toml(file)
    whole = override(merge(mapping, options), changes)
    return Study.from_mapping(anchored(whole, Path() if file is None else file.parent))


def anchored(mapping: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A study whose own data files, where named without their folder, lie in `folder`."""
    data = mapping.get("data")
    if not isinstance(data, Mapping):
        return dict(mapping)
    files = {
        key: [str((folder / path).absolute()) for path in _list(data[key])]
        for key in ("data", "valid", "test")
        if key in data
    }
    return {**mapping, "data": {**data, **files}}


def _list(files: Any) -> list[Any]:
    return list(files) if isinstance(files, list | tuple) else [files]


def study_folder(place: Path) -> Path:
    """The one study at or right below a place.

    Raises:
        FileNotFoundError: There is none.
        ValueError: There are several.
    """
    found = study_folders(place)
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise ValueError(f"{place} must be the folder of one study, got one of several: {names}")
    return found[0]


def _of_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a study is unless more is said."""
    limited = any(options[f"budget.{name}"] for name in ("trials_per_family", "seconds"))
    return {
        "name": (options["benchmark"] or "").rpartition(":")[2]
        or Path(options["data.data"][0]).name.partition(".")[0],
        "families": list(FAMILIES),
        "budget": {} if limited else {"trials_per_family": TRIALS_PER_FAMILY},
    }
