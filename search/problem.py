"""A study resolved: its data, and for each family the class and what may vary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from search.motion.copying import varies
from search.motion.family import search_methods
from search.motion.sizing import Measures, Sizing
from search.motion.width import Width
from search.study import COSTS, STATIC_COSTS, SearchSettings, Study
from spaces import Config, SearchSpace, default, did_you_mean, narrow, searched
from trainers.backbone import Backbone
from trainers.catalog import family_source, family_space, load_family
from trainers.data.dataset import Dataset
from trainers.data_source import account, load_data, usual_metric
from trainers.device import usual_device
from trainers.size import count_parameters, latency_ms, state_bytes
from trainers.sources import source_text
from trainers.tasks import Metric, Task
from trainers.training.dry_run import dry_run
from trainers.training.refit import check_refits

SECTIONS = ("model", "head", "training")
SHARED = ("head", "training")
"""Sections that `[space.<section>]` narrows for every family at once."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a study is about, with every name in it looked up.

    Args:
        metric: The objective.
        families: The class of each family, by its name in the study.
        sources: Source text of those families that are a user's own, and of such a benchmark.
        spaces: What may vary in each family, narrowed as the study says.
        account: What was found in a user's own data, in lines.
        sizings: What holds the proposals of each family to the limits on parameters; empty where
            the study sets none.
    """

    dataset: Dataset
    metric: Metric
    families: dict[str, type[Backbone]]
    sources: dict[str, str]
    spaces: dict[str, SearchSpace]
    account: list[str] = field(default_factory=list)
    sizings: dict[str, Sizing] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the models are asked for."""
        return self.dataset.task

    def parameters(self, family: str, config: Config) -> int:
        """The trainable parameters of a configuration's model.

        Raises:
            ValueError: Its settings do not fit one another.
        """
        return count_parameters(self.families[family], config, self.task)

    @classmethod
    def of(cls, study: Study, sources: Mapping[str, str] | None = None) -> Self:
        """Look up everything that a study names; its data are loaded, and fetched if need be.

        Args:
            sources: Source texts that the study began with; they are used as they are.

        Raises:
            ValueError: A name, an option or a range of the study does not exist or does not fit.
            OSError: A file cannot be had, or is not the one expected.
        """
        search_methods(study)
        texts = {name: (sources or {}).get(name) or family_source(name) for name in study.families}
        families = {name: load_family(name, text) for name, text in texts.items()}
        place, options = study.benchmark_name, study.benchmark_options
        texts[place] = (sources or {}).get(place) or source_text(place)
        for name in study.space:
            if name not in families and name not in SHARED:
                hint = did_you_mean(name, {*families, *SHARED})
                raise ValueError(f"`space.{name}` must name a family of the study{hint}")
        usual = usual_metric(place, options, texts[place])
        dataset = load_data(place, options, texts[place])
        for name, family in families.items():
            check_serves(name, family, dataset)
        spaces = {
            name: narrowed_space(name, family, dataset, study.space)
            for name, family in families.items()
        }
        sizings = {
            name: sizing(name, family, dataset, spaces[name], study)
            for name, family in families.items()
            if _costs_matter(study)
        }
        spaces |= {name: each.space for name, each in sizings.items()}
        check_varies(study.search, spaces)
        own = {name: text for name, text in texts.items() if text is not None}
        if study.confirm.refit:
            check_refits(dataset.task)
        metric = dataset.task.metric(study.metric or usual)
        check_objectives(study.search, metric.name)
        said = account(place, dataset)
        return cls(dataset, metric, families, own, spaces, said, sizings)


def check_varies(settings: SearchSettings, spaces: Mapping[str, SearchSpace]) -> None:
    """Refuse population-based training where it has nothing to change.

    Raises:
        ValueError: A family has no training setting with a range.
    """
    for name, space in spaces.items():
        if settings.scheduler == "pbt" and not varies(space):
            raise ValueError(
                f'`search.scheduler = "pbt"` must have a number in the training section to change, '
                f"and for {name} `[space]` leaves none a range; leave a learning rate free"
            )


def check_objectives(settings: SearchSettings, metric: str) -> None:
    """Refuse objectives that are neither the study's metric nor a cost.

    Raises:
        ValueError: There is one, or the metric is not among them.
    """
    for name in settings.objectives or ():
        if name not in (metric, *COSTS):
            hint = did_you_mean(name, {metric, *COSTS})
            raise ValueError(f"`search.objectives` has no {name!r}{hint}")
    if settings.objectives is not None and metric not in settings.objectives:
        raise ValueError(
            f"`search.objectives` must hold the study's metric {metric}, "
            f"got {', '.join(settings.objectives)}"
        )


def _costs_matter(study: Study) -> bool:
    """Whether something must be known of models before they are trained."""
    sizes = (study.search.match_parameters, study.search.max_parameters)
    limited = any(size is not None for size in sizes) or study.limits.given()
    return bool(limited) or any(name in STATIC_COSTS for name in study.search.objectives or ())


def check_serves(name: str, family: type[Backbone], dataset: Dataset) -> None:
    """Have a family say now what it cannot serve, and not trial after trial.

    Raises:
        ValueError: Its `space`, or a model of the default settings, refuses the task.
    """
    task = dataset.task
    try:
        space = family_space(family, task, len(dataset.train))
        count_parameters(family, default(space), task)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(
            f"`families` must all serve the task, {task.name}"
            f"{' (causal)' if task.causal else ''}, and {name} does not: "
            f"{str(error) or type(error).__name__}"
        ) from None


def sizing(
    name: str, family: type[Backbone], dataset: Dataset, space: SearchSpace, study: Study
) -> Sizing:
    """What holds a family's proposals to the limits on what models cost.

    Args:
        space: What the study searches in the family.

    Raises:
        ValueError: The family cannot meet the limits, or has no width to be fitted.
    """
    ways = measures(family, dataset)
    try:
        made = Sizing(space, study.search, ways, width_of(family), study.limits)
    except ValueError as error:
        raise ValueError(
            f"`search.match_parameters` must have a width to fit: {name} names its setting "
            f"{family.width!r} as its `width`, and {error}"
        ) from None
    made.check(name)
    return made


def width_of(family: type[Backbone]) -> Width:
    """The setting by which a family's models are brought to a wanted size."""
    return Width(f"model/{family.width}", lambda config: family.width_step(config["model"]))


def measures(family: type[Backbone], dataset: Dataset) -> Measures:
    """How what a model costs is found out before it is trained."""
    task, device = dataset.task, usual_device()
    return {
        "parameters": lambda config: count_parameters(family, config, task),
        "state_bytes": lambda config: state_bytes(family, config, task),
        "peak_memory_bytes": lambda config: (
            dry_run(family, config, dataset, device=device).memory_bytes
        ),
        "latency_ms": lambda config: latency_ms(family, config, task),
    }


def narrowed_space(
    name: str, family: type[Backbone], dataset: Dataset, changes: Mapping[str, Any]
) -> SearchSpace:
    """What a study searches in a family on a data set.

    A setting is named as it is in the model, the head or the training; where two of them have it,
    by a table of that name: `training.batch_size`. Settings that are held stay at their defaults
    unless the study names them.

    Args:
        changes: The study's `[space]`: tables for single families, and `head` and `training` for
            all of them.

    Raises:
        ValueError: There is no such setting, a value is out of range, or a range would get wider.
    """
    space = family_space(family, dataset.task, len(dataset.train))
    for section in SHARED:
        space = narrow(space, {section: changes.get(section, {})}, "space")
    own = _narrowed_by_family(space, name, family, dataset.task, changes.get(name, {}))
    return searched(own)


def _narrowed_by_family(
    space: SearchSpace, name: str, family: type[Backbone], task: Task, changes: Any
) -> SearchSpace:
    path = f"space.{name}"
    if not isinstance(changes, Mapping):
        raise ValueError(f"`{path}` must be a table of settings, got {changes!r}")
    for setting, change in changes.items():
        section = setting if setting in SECTIONS else _section(space, setting)
        if section is None:
            raise ValueError(f"`{path}` {_missing(setting, space, family, task)}")
        within = change if setting in SECTIONS else {setting: change}
        space = narrow(space, {section: within}, path)
    return space


def _section(space: SearchSpace, setting: str) -> str | None:
    """The first of model, head and training that has `setting`."""
    return next((name for name in SECTIONS if setting in _settings(space, name)), None)


def _settings(space: SearchSpace, section: str) -> set[str]:
    inner = space.children[section]
    assert isinstance(inner, SearchSpace)
    return set(inner.children) - {"name"}


def _missing(setting: str, space: SearchSpace, family: type[Backbone], task: Task) -> str:
    if task.causal and setting in family.space(causal=False).children:
        return f"must not have {setting!r}: the task is causal, and no later input may be looked at"
    known = set().union(*(_settings(space, section) for section in SECTIONS))
    return f"has no setting {setting!r}{did_you_mean(setting, known)}"
