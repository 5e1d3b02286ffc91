"""The study file: what to search, on which benchmark, with which budget."""

import math
import re
from collections.abc import Iterable, Mapping
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

from search.complaint import StudyError, sentences
from search.study_file import override, read_toml

FOLDER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
BUILT_IN_FAMILY = re.compile(r"[a-z][a-z0-9_]*")
OWN_FAMILY = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")
AUTO: Final = "auto"
STATIC_COSTS: Final = ("parameters", "state_bytes", "peak_memory_bytes", "latency_ms")
"""What is known of a model before it is trained; the cheapest to find out come first."""
COSTS: Final = (*STATIC_COSTS, "train_seconds")
MANY_OBJECTIVES: Final = ("nsga2", "random")
"""Samplers that can do with several objectives."""
LEAST_MEMBERS: Final = 4
"""Of a population, so that a quarter is at least one."""


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


def _array_size(size: object) -> object:
    if size != AUTO and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ValueError('must be "auto" or a number of trials, 1 or more')
    return size


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
    """What decides which trials go on, one for each family: none, asha, hyperband or pbt."""
    reduction_factor: int = Field(default=3, ge=2)
    """From one rung to the next, one trial in so many goes on."""
    first_rung_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial trains before the scheduler judges it."""
    perturbation_epochs: int | None = Field(default=None, ge=1)
    """Under `pbt`, epochs between two comparisons of its members; a tenth of all without it."""
    match_parameters: int | None = Field(default=None, ge=1)
    """Parameters that every model shall have, within 5 %; its width is then not searched."""
    max_parameters: int | None = Field(default=None, ge=1)
    """The most parameters that a model may have; proposals above are drawn again."""
    objectives: tuple[str, ...] | None = Field(default=None, strict=False)
    """Several things to make better at once: the metric, and costs such as `parameters`."""
    starting_points: int = Field(default=3, ge=0, le=5)
    """How many proposals of each family come first from the table of starting points; 0: none."""
    warm_start: str | None = None
    """The folder of an earlier study on the same benchmark, from whose trials samplers learn."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        match, most = self.match_parameters, self.max_parameters
        if match is not None and most is not None and match > most:
            raise ValueError("must have a `max_parameters` no lower than its `match_parameters`")
        return self

    @model_validator(mode="after")
    def _objectives_fit(self) -> Self:
        objectives = self.objectives
        if objectives is None:
            return self
        if len(set(objectives)) < max(len(objectives), 2):
            raise ValueError("must have at least two different `objectives`, or leave them out")
        if self.sampler not in MANY_OBJECTIVES or self.scheduler != "none":
            raise ValueError(
                'with `objectives` must have `sampler = "nsga2"` (or "random") and `scheduler = '
                '"none"`: others judge by the metric alone, and end what is good in the rest'
            )
        return self


class Limits(Table):
    """What a model may cost at most; proposals above are drawn again before they are trained."""

    latency_ms: float | None = Field(default=None, gt=0)
    """Milliseconds of one step of a stream, measured untrained, on one processor core."""
    state_bytes: int | None = Field(default=None, ge=0)
    """What a stream carries from step to step."""
    peak_memory_bytes: int | None = Field(default=None, ge=1)
    """Memory of a trial's tensors, from a training of two steps."""

    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return self.model_dump(exclude_none=True)


class Confirm(Table):
    """The finalists: re-trained on several seeds and measured once on the test split."""

    top_per_family: int = Field(default=1, ge=0)
    """Configurations of each family that become finalists; 0 leaves the confirmation out."""
    seeds: int = Field(default=5, ge=1)
    """Seeds on which each finalist is trained."""
    racing: int | None = Field(default=None, ge=2)
    """The most seeds of one finalist; families not told apart get `seeds` more at a time."""
    refit: bool = False
    """Train finalists again, on train and validation, for the epochs that were best, then test."""

    @model_validator(mode="after")
    def _there_is_something_to_refit(self) -> Self:
        if self.refit and self.top_per_family == 0:
            raise ValueError("must have finalists to `refit`: a `top_per_family` of at least 1")
        return self

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
    """GPUs of one trial, a fraction to share one; "auto" shares them by measured memory."""
    array_size: Annotated[
        int | Literal["auto"],
        BeforeValidator(_array_size, json_schema_input_type=int | Literal["auto"]),
    ] = AUTO
    """Trials of one shape that are trained as one; "auto" takes what measures fastest."""
    labels: dict[str, str] = {}
    """Ray's labels of the machines to train on: `{ "ray.io/accelerator-type" = "H200" }`."""
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
    limits: Limits = Limits()
    """What a model may cost at most."""
    confirm: Confirm = Confirm()
    """How the best of each family are confirmed."""
    resources: Resources = Resources()
    """What one trial is given."""
    space: Annotated[dict[str, Any], BeforeValidator(_plain)] = {}
    """Narrowed ranges and fixed values, in tables by family; `training` and `head` are for all."""

    @model_validator(mode="after")
    def _population_fits(self) -> Self:
        budget, trials = self.budget, self.budget.trials_per_family
        if self.search.scheduler != "pbt":
            return self
        if trials is None or trials < LEAST_MEMBERS:
            raise ValueError(
                'with `search.scheduler = "pbt"` must have `budget.trials_per_family`, the size of '
                f"the population, of {LEAST_MEMBERS} or more, got {trials or 'none'}"
            )
        for name in ("patience", "device_seconds"):
            if (value := getattr(budget, name)) is not None:
                raise ValueError(
                    'with `search.scheduler = "pbt"`, whose members all train for `budget.epochs`, '
                    f"must have no `budget.{name}`, got {value:g}"
                )
        return self

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
