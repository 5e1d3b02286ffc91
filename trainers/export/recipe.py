"""The recipe of one trained model: `config.toml` of an export, read by `seqtune train`."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import tomli_w

from spaces import Config, SearchSpace, contains, default, did_you_mean, narrow
from trainers.training.phases import Phase

CONFIG_FILE = "config.toml"
SECTIONS = ("model", "head", "training")
PLAIN = ("seed", "epochs", "patience", "threads", "metric", "refit")
KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(("seed", "epochs", "patience", "threads"), (int, "a whole number")),
    **dict.fromkeys(("source", "model", "head", "training"), (dict, "a table")),
    "metric": (str, "text"),
    "refit": (bool, "true or false"),
    "benchmark": ((str, dict), "a name or a table"),
    "earlier": (list, "tables of `until` and `training`"),
}
LOWEST = {"seed": 0, "epochs": 1, "patience": 1, "threads": 1}


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a user's own class, kept beside the config under its file's name.

    Raises:
        ValueError: The text is not the one that `sha256` was taken of.
    """

    file: str
    text: str
    sha256: str = ""

    def __post_init__(self) -> None:
        found = hashlib.sha256(self.text.encode()).hexdigest()
        if self.sha256 not in ("", found):
            raise ValueError(
                f"{self.file} must be the file the model was trained with (sha256 {self.sha256}), "
                f"got another (sha256 {found})"
            )
        object.__setattr__(self, "sha256", found)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that one trial needs to happen again.

    Args:
        benchmark: Its `name` and options.
        config: The configuration, settings that are left out at their defaults (see `complete`).
        epochs: Epochs to train, and the horizon of the learning-rate schedule.
        patience: Training ends once so many epochs in a row have not improved; None trains them
            all.
        threads: CPU threads of torch; None leaves them as they are. Sums depend on their number,
            so a value is met again exactly only with the same.
        metric: What tells the best epoch; the task's first without one.
        refit: The model is the one that was trained again, on train and validation together, for as
            many epochs as were best.
        earlier: Training settings that hold before those of `config`, whole, see
            `trainers.training.phases`.
        source: The text of a user's own class.
    """

    benchmark: Mapping[str, Any]
    config: Config
    seed: int = 0
    epochs: int = 30
    patience: int | None = None
    threads: int | None = None
    metric: str | None = None
    refit: bool = False
    earlier: Sequence[Phase] = field(default_factory=list)
    source: Source | None = field(default=None, repr=False)

    @property
    def family(self) -> str:
        """The model's name: a built-in family, or `file.py:Class`."""
        return str(self.config["model"]["name"])

    @property
    def options(self) -> dict[str, Any]:
        """The benchmark's options."""
        return {name: value for name, value in self.benchmark.items() if name != "name"}

    @property
    def source_text(self) -> str | None:
        """The text of a user's own class, where it is known."""
        return self.source.text if self.source else None

    def complete(self, space: SearchSpace) -> Self:
        """The recipe with every setting of `space` that it leaves out at its default.

        Raises:
            ValueError: A setting is unknown or lies outside its range.
        """
        config = _complete(space, self.config)
        phases = [
            {**phase, "training": _complete(space, {**config, **phase})["training"]}
            for phase in self.earlier
        ]
        return replace(self, config=config, earlier=phases)

    def to_toml(self) -> str:
        """The text that `read` reads; the text of a user's own class is not in it."""
        plain = {name: getattr(self, name) for name in PLAIN} | {"refit": self.refit or None}
        source = self.source and {"file": self.source.file, "sha256": self.source.sha256}
        tree = {**plain, "benchmark": dict(self.benchmark), "source": source, **self.config}
        tree |= {"earlier": [dict(phase) for phase in self.earlier]} if self.earlier else {}
        return tomli_w.dumps({name: value for name, value in tree.items() if value is not None})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a TOML file.

        Raises:
            OSError: The file, or that of the class it names, cannot be read.
            ValueError: It is not TOML, or a key is unknown, missing or of another type.
        """
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} must be a TOML file: {error}") from None
        _check_keys(tree, path)
        benchmark = tree["benchmark"]
        source = tree.get("source")
        return cls(
            benchmark={"name": benchmark} if isinstance(benchmark, str) else benchmark,
            config={name: tree.get(name, {}) for name in ("model", "head", "training")},
            source=source and _read_source(path, source),
            earlier=_phases(path, tree.get("earlier", [])),
            **{name: tree[name] for name in PLAIN if name in tree},
        )


def _complete(space: SearchSpace, config: Config) -> Config:
    wanted: Config = {name: config[name] for name in SECTIONS if name in config}
    return wanted if contains(space, wanted) else default(narrow(space, wanted))


def _check_keys(tree: Mapping[str, Any], path: Path) -> None:
    for name, value in tree.items():
        if name not in KEYS:
            raise ValueError(f"{path} has an unknown key {name!r}{did_you_mean(name, set(KEYS))}")
        types, words = KEYS[name]
        if not isinstance(value, types) or isinstance(value, bool) != (types is bool):
            raise ValueError(f"`{name}` in {path} must be {words}, got {value!r}")
    for name, low in LOWEST.items():
        if tree.get(name, low) < low:
            raise ValueError(f"`{name}` in {path} must be at least {low}, got {tree[name]}")
    for table in ("benchmark", "model"):
        named = tree.get(table, {})
        if not isinstance(named, str) and not isinstance(named.get("name"), str):
            raise ValueError(f"`{table}` in {path} must be given, with a `name`")


def _phases(path: Path, entries: Sequence[Any]) -> Sequence[Phase]:
    for phase in entries:
        tables = isinstance(phase, dict) and set(phase) == {"until", "training"}
        if not tables or not isinstance(phase["until"], int):
            raise ValueError(
                f"`earlier` in {path} must be tables of `until`, an epoch, and `training`, got "
                f"{phase!r}"
            )
    return entries


def _read_source(path: Path, entry: Mapping[str, Any]) -> Source:
    if set(entry) != {"file", "sha256"} or not all(isinstance(v, str) for v in entry.values()):
        raise ValueError(f"`source` in {path} must have `file` and `sha256`, got {sorted(entry)}")
    file = path.parent / Path(entry["file"]).name
    return Source(file.name, file.read_text(encoding="utf-8"), entry["sha256"])
