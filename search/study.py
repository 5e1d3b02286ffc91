"""The study file: what to search, on which benchmark, with which budget."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from search.complaint import StudyError, dotted, sentences

FOLDER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
BUILT_IN_FAMILY = re.compile(r"[a-z][a-z0-9_]*")
OWN_FAMILY = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")
AUTO: Final = "auto"


def _folder_name(name: str) -> str:
    if not FOLDER_NAME.fullmatch(name) or name.endswith("."):
        raise ValueError("must be letters, digits, `.`, `_` or `-` (it names a folder)")
    return name


def _families(families: tuple[str, ...]) -> tuple[str, ...]:
    if not families:
        raise ValueError("must name at least one family")
    for family in families:
        if not (BUILT_IN_FAMILY.fullmatch(family) or OWN_FAMILY.fullmatch(family)):
            raise ValueError("must hold names such as 'lstm' or 'my_model.py:MyModel'")
    if len(set(families)) < len(families):
        raise ValueError("must name each family once")
    return families


def _benchmark(benchmark: object) -> object:
    if isinstance(benchmark, str) and benchmark:
        return benchmark
    name = benchmark.get("name") if isinstance(benchmark, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError("must be a name, or a table with a `name` and options")
    return _plain(benchmark)


def _gpus(gpus: object) -> object:
    if isinstance(gpus, int | float) and not isinstance(gpus, bool) and 0 <= gpus < math.inf:
        return float(gpus)
    if gpus != AUTO:
        raise ValueError('must be "auto" or a number of GPUs, 0 or more')
    return gpus


def _plain(value: object) -> object:
    """Refuse what cannot be written both as TOML and as JSON (dates, None, NaN, infinity)."""
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must hold finite numbers")
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must hold text, numbers, true or false, lists and tables")
    return value


def _plain_key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError("must have text as keys")
    return key


class Table(BaseModel):
    """A table of the study file: frozen, strict, without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class Budget(Table):
    """How much may be spent; families share it equally."""

    trials_per_family: int | None = Field(default=None, ge=1)
    """Trials that each family may begin."""
    seconds: float | None = Field(default=None, gt=0)
    """Wall-clock seconds of the whole search."""
    device_seconds: float | None = Field(default=None, gt=0)
    """Seconds of training, summed over all trials."""
    epochs: int = Field(default=30, ge=1)
    """The most epochs that one trial may train."""
    patience: int | None = Field(default=None, ge=1)
    """A trial is complete once so many epochs in a row have not improved on its best."""

    @model_validator(mode="after")
    def _is_limited(self) -> Self:
        if self.trials_per_family is None and self.seconds is None and self.device_seconds is None:
            raise ValueError(
                "must set at least one of `trials_per_family`, `seconds` and `device_seconds`"
            )
        return self


class SearchSettings(Table):
    """How configurations are proposed, and which of them are trained on."""

    sampler: str = "tpe"
    """What proposes configurations, one for each family: random, tpe, gp, cma_es or evolution."""
    scheduler: str = "asha"
    """What decides which trials go on, one for each family: none, asha or hyperband."""
    reduction_factor: int = Field(default=3, ge=2)
    """From one rung to the next, one trial in so many goes on."""
    first_rung_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial trains before the scheduler judges it."""
    match_parameters: int | None = Field(default=None, ge=1)
    """Parameters that every model shall have, within 5 %; its width is then not searched."""
    max_parameters: int | None = Field(default=None, ge=1)
    """The most parameters that a model may have; proposals above are drawn again."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        match, most = self.match_parameters, self.max_parameters
        if match is not None and most is not None and match > most:
            raise ValueError("must have a `max_parameters` no lower than its `match_parameters`")
        return self


class Confirm(Table):
    """The finalists: re-trained on several seeds and measured once on the test split."""

    top_per_family: int = Field(default=1, ge=0)
    """Configurations of each family that become finalists; 0 leaves the confirmation out."""
    seeds: int = Field(default=5, ge=1)
    """Seeds on which each finalist is trained."""
    racing: int | None = Field(default=None, ge=2)
    """The most seeds of one finalist; families not told apart get `seeds` more at a time."""

    @model_validator(mode="after")
    def _race_goes_on(self) -> Self:
        if self.racing is None:
            return self
        if self.racing <= self.seeds:
            raise ValueError(
                f"must have a `racing`, the most seeds, above `seeds`, the first ones; "
                f"got {self.racing} and {self.seeds}"
            )
        if self.top_per_family != 1:
            raise ValueError("must have `top_per_family = 1` where finalists are `racing`")
        return self


class Resources(Table):
    """What one trial is given, and how many may run at a time."""

    cpus_per_trial: int = Field(default=1, ge=1)
    """CPU cores of one trial; torch uses as many threads."""
    gpus_per_trial: Annotated[
        float | Literal["auto"],
        BeforeValidator(_gpus, json_schema_input_type=float | Literal["auto"]),
    ] = AUTO
    """GPUs of one trial, a fraction to share one; "auto" takes one where the cluster has any."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """The most trials at a time; without it, as many as the resources hold."""
    watchdog_seconds: float = Field(default=3600.0, gt=0)
    """A trial that reports nothing for so long hangs: it goes on from its checkpoint elsewhere."""


class Study(Table):
    """One search: benchmark, families, budget, and how to go about it."""

    name: Annotated[str, AfterValidator(_folder_name)]
    """The study's name, and that of its folder of results."""
    benchmark: Annotated[
        str | dict[str, Any],
        BeforeValidator(_benchmark, json_schema_input_type=str | dict[str, Any]),
    ]
    """A benchmark's name, or a table of `name` and the benchmark's options."""
    families: Annotated[tuple[str, ...], AfterValidator(_families)] = Field(strict=False)
    """The families that compete: `lstm`, or `my_model.py:MyModel` for a class of your own."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """The seed of every draw; the same seed repeats the same proposals."""
    metric: str | None = None
    """The objective, one of the task's metrics; without it, the benchmark's own."""
    budget: Budget
    """How much may be spent."""
    search: SearchSettings = SearchSettings()
    """How configurations are proposed and judged."""
    confirm: Confirm = Confirm()
    """How the best of each family are confirmed."""
    resources: Resources = Resources()
    """What one trial is given."""
    space: Annotated[dict[str, Any], BeforeValidator(_plain)] = {}
    """Narrowed ranges and fixed values, in tables by family; `training` and `head` are for all."""

    @model_validator(mode="before")
    @classmethod
    def _own_data_are_a_benchmark(cls, mapping: Any) -> Any:
        """`[data]` is short for the benchmark `own_data` with these options."""
        if not isinstance(mapping, Mapping) or "data" not in mapping:
            return mapping
        rest = {key: value for key, value in mapping.items() if key != "data"}
        if "benchmark" in rest:
            raise ValueError("a study has either a `benchmark` or `data` of your own, got both")
        if not isinstance(mapping["data"], Mapping):
            raise ValueError("`data` must be a table that names `data` files and a `task`")
        return {**rest, "benchmark": {"name": "own_data", **mapping["data"]}}

    @property
    def benchmark_name(self) -> str:
        """The benchmark's name without its options."""
        return self.benchmark if isinstance(self.benchmark, str) else str(self.benchmark["name"])

    @property
    def benchmark_options(self) -> dict[str, Any]:
        """The benchmark's options, empty where only a name was given."""
        table = {} if isinstance(self.benchmark, str) else self.benchmark
        return {key: value for key, value in table.items() if key != "name"}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """The study that a nested mapping describes.

        Raises:
            StudyError: Something is wrong; it lists one sentence per fault.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            raise StudyError(sentences(error, cls)) from None

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """The study in a TOML file.

        Args:
            path: The file.
            overrides: Changes such as `budget.epochs=5`, made before anything is checked.

        Raises:
            OSError: The file cannot be read.
            StudyError: The file is not TOML, an override cannot be made, or the study is wrong.
        """
        return cls.from_mapping(override(read_toml(Path(path)), overrides))

    def to_toml(self) -> str:
        """The whole study as TOML, defaults included; `load` reads it back as an equal study."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        OSError: The file cannot be read.
        StudyError: The file is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no study file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError([f"{path} must be a TOML file: {error}"]) from None


def override(mapping: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A copy of `mapping` with changes such as `budget.epochs=5` or `space.gru.dropout=0.2`.

    Values are read as TOML, and as text where they are not TOML: `search.sampler=random`.

    Raises:
        StudyError: A change is not of the form `key=value`, or its key lies inside a plain value.
    """
    changed = deepcopy(dict(mapping))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise StudyError([f"an override must be of the form key=value, got {change!r}"])
        _assign(changed, _key_path(key), _value(text))
    return changed


def _assign(tree: dict[str, Any], path: list[str], value: object) -> None:
    for depth, part in enumerate(path[:-1], 1):
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            outer = dotted(path[:depth])
            raise StudyError([f"`{dotted(path)}` cannot be set: `{outer}` is not a table"])
        tree = inner
    tree[path[-1]] = value


def _key_path(key: str) -> list[str]:
    """The parts of a dotted TOML key; a part with dots in it is written in quotes."""
    try:
        inner: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        raise StudyError([f"an override needs a key such as budget.epochs, got {key!r}"]) from None
    path = []
    while isinstance(inner, dict):
        part = next(iter(inner))
        path.append(part)
        inner = inner[part]
    return path


def _value(text: str) -> object:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
    return value if isinstance(value, str | bool | int | float | list | dict) else text.strip()
