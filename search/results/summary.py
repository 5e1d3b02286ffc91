"""What a study's log amounts to, trial by trial; fed event by event, so that it can go on later."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from search.results.looks import Look, looks
from search.store.example_losses import read_losses
from search.store.store import checkpoint_path
from search.trial import State

Event = dict[str, Any]

AHEAD = "gp suggestions computed ahead of need, from at most 100 results"


@dataclass(slots=True)
class TrialSummary:
    """One trial as far as it got.

    Attributes:
        config: The configuration as JSON text.
        best: The best validation value, that of epoch `best_epoch`; never simply the last.
        epochs: The furthest epoch trained.
        train_seconds: Of all epochs, those trained again after an interruption included.
        test: The value on the test split (finalists only).
        notes: What the newest report says of gradients, a sentence each.
        earlier: As JSON, the training settings that it had before those of `config`, see
            `trainers.training.phases`.
        copied_from: The trial whose weights it began with; None for one that began from scratch.
        copied_at: The epoch that those were of; 0 likewise.
        redrawn: Proposals that the study's limits did not admit, before this one.
        origin: Whence its configuration is, in words; None for a finalist, and in older logs.
        costs: As JSON, what was known of the model before it was trained.
        reported: Attempt and epoch of the newest report; what is older is a duplicate.
        leased: Attempt and epoch of the newest lease, likewise.
    """

    trial: int
    family: str
    config: str
    seed: int
    finalist_of: int | None
    state: str = State.interrupted
    best: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    parameters: int | None = None
    train_seconds: float = 0.0
    cause: str | None = None
    test: float | None = None
    notes: list[str] = field(default_factory=list)
    costs: str = "{}"
    earlier: str = "[]"
    copied_from: int | None = None
    copied_at: int = 0
    redrawn: int = 0
    origin: str | None = None
    reported: tuple[int, int] = (-1, -1)
    leased: tuple[int, int] = (-1, -1)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration."""
        tree: dict[str, Any] = json.loads(self.config)
        return tree

    @property
    def phases(self) -> list[dict[str, Any]]:
        """The training settings before those of the configuration."""
        tree: list[dict[str, Any]] = json.loads(self.earlier)
        return tree

    @property
    def trained_epochs(self) -> int:
        """Epochs that it trained itself, as far as it got."""
        return self.epochs - self.copied_at

    @property
    def known_costs(self) -> dict[str, float]:
        """What was known of the model before it was trained."""
        tree: dict[str, float] = json.loads(self.costs)
        return tree


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a trivial predictor reaches; without a value where that is not finite."""

    name: str
    valid: float | None
    test: float | None


@dataclass(slots=True)
class StudySummary:
    """One study as far as its log goes.

    Attributes:
        metric: The objective; None before a driver has opened the study.
        families: In the order of the study file.
        sampler: What proposed the configurations; None before a driver has opened the study.
        racing: Seeds of the first round and the most seeds, if finalists race for more of them.
        objectives: What the study makes better at once; empty where it is the metric alone.
        packing: How trials share the GPUs, in words; None where there are none.
        refitted: Numbers of the finalists that were trained again on train and validation.
        directory: Where the study lies, with what is kept beside its log; None for a bare log.
    """

    study: str
    benchmark: str | None = None
    metric: str | None = None
    maximize: bool = False
    families: list[str] = field(default_factory=list)
    objectives: list[str] = field(default_factory=list)
    baseline: Baseline | None = None
    trials: dict[int, TrialSummary] = field(default_factory=dict)
    sampler: str | None = None
    racing: tuple[int, int] | None = None
    packing: str | None = None
    refitted: list[int] = field(default_factory=list)
    directory: Path | None = None

    def looks(self) -> list[Look]:
        """When the finalists were compared; none where they did not race."""
        if self.racing is None:
            return []
        first, most = self.racing
        runs = (trial for trial in self.trials.values() if trial.finalist_of is not None)
        return looks(list(dict.fromkeys(run.seed for run in runs)), first=first, most=most)

    def reservations(self) -> list[str]:
        """What to know of the way this study was searched, in words."""
        return [AHEAD] if self.sampler == "gp" else []

    def example_losses(self, trial: int, loss: float) -> np.ndarray | None:
        """What a finalist lost on every test example; None where that is not kept, or of no use.

        Args:
            loss: Its loss on the test split.
        """
        if self.directory is None:
            return None
        return read_losses(checkpoint_path(self.directory, trial), loss)

    def loss(self, value: float) -> float:
        """The number to minimise."""
        return -value if self.maximize else value

    def add(self, event: Event) -> None:
        """Take the next event into account; a kind that says nothing here changes nothing.

        Raises:
            ValueError: It lacks something, or is about a trial that was never proposed.
        """
        handle = HANDLERS.get(event["event"])
        try:
            if handle is not None:
                handle(self, event)
        except KeyError as error:
            kind = event["event"]
            raise ValueError(f"an event {kind!r} refers to {error}, which is missing") from None


def _study(summary: StudySummary, event: Event) -> None:
    summary.study = event.get("study", summary.study)
    summary.benchmark = event.get("benchmark")


def _opened(summary: StudySummary, event: Event) -> None:
    summary.metric, summary.maximize = event["metric"], event["maximize"]
    summary.families = list(event["families"])
    summary.sampler = event.get("search", {}).get("sampler")
    confirm = event.get("confirm", {})
    racing = confirm.get("racing")
    summary.racing = None if racing is None else (confirm["seeds"], racing)
    summary.objectives = list(event.get("search", {}).get("objectives") or ())
    interrupt(summary)


def interrupt(summary: StudySummary) -> None:
    """What was running when the driver ended is interrupted."""
    for trial in summary.trials.values():
        if trial.state == State.running:
            trial.state = State.interrupted


def _closed(summary: StudySummary, _: Event) -> None:
    interrupt(summary)


def _packed(summary: StudySummary, event: Event) -> None:
    summary.packing = event["reason"]


def _baseline(summary: StudySummary, event: Event) -> None:
    summary.baseline = Baseline(
        event.get("name", ""), event["valid"][summary.metric], event["test"][summary.metric]
    )


def _proposed(summary: StudySummary, event: Event) -> None:
    copied_from, copied_at = event.get("copied_from", (None, 0))
    summary.trials.setdefault(
        event["trial"],
        TrialSummary(
            trial=event["trial"],
            family=event["family"],
            config=json.dumps(event["config"]),
            seed=event["seed"],
            finalist_of=event["finalist_of"],
            costs=json.dumps(event["costs"]) if "costs" in event else "{}",
            earlier=json.dumps(event["earlier"]) if "earlier" in event else "[]",
            copied_from=copied_from,
            copied_at=copied_at,
            epochs=copied_at,
            redrawn=event.get("redrawn", 0),
            origin=event.get("origin"),
        ),
    )


def _leased(summary: StudySummary, event: Event) -> None:
    trial = summary.trials[event["trial"]]
    moment = (event["attempt"], event["epoch"])
    if moment > trial.leased:
        trial.leased = moment
        trial.state = State.running


def _reported(summary: StudySummary, event: Event) -> None:
    trial = summary.trials[event["trial"]]
    moment = (event["attempt"], event["epoch"])
    if moment <= trial.reported:
        return
    trial.reported = moment
    trial.epochs = max(trial.epochs, event["epoch"])
    trial.parameters = event.get("parameters", trial.parameters)
    trial.train_seconds += event["seconds"]
    trial.notes = list(event.get("diagnostics", {}).get("notes", []))
    value = event["value"]
    if value is None:  # not finite
        return
    if trial.best is None or summary.loss(value) < summary.loss(trial.best):
        trial.best, trial.best_epoch = value, event["epoch"]


def _paused(summary: StudySummary, event: Event) -> None:
    summary.trials[event["trial"]].state = State.paused


def _interrupted(summary: StudySummary, event: Event) -> None:
    summary.trials[event["trial"]].state = State.interrupted


def _ended(summary: StudySummary, event: Event) -> None:
    trial = summary.trials[event["trial"]]
    trial.state, trial.cause = event["state"], event.get("cause") or None


def _tested(summary: StudySummary, event: Event) -> None:
    trial = summary.trials[event["trial"]]
    trial.test = event["test"][summary.metric]
    trial.costs = json.dumps(json.loads(trial.costs) | event.get("streaming", {}))
    if "refit" in event and trial.trial not in summary.refitted:
        summary.refitted.append(trial.trial)
        trial.train_seconds += event["refit"]["seconds"]


HANDLERS: dict[str, Callable[[StudySummary, Event], None]] = {
    "study": _study,
    "opened": _opened,
    "closed": _closed,
    "baseline": _baseline,
    "packed": _packed,
    "proposed": _proposed,
    "leased": _leased,
    "reported": _reported,
    "paused": _paused,
    "interrupted": _interrupted,
    "ended": _ended,
    "tested": _tested,
}
