"""The events of a study's log, one JSON object each, as the conductor writes them.

Each has `event` (its kind) and gets `time` (Unix seconds) when it is recorded; those of a trial
have `trial`, `attempt` and `epoch`. Values are as measured; a number that was not finite is null.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from search.study import Study
from search.trial import Finalist, Lease, Outcome, State, Trial
from spaces import SearchSpace, to_json

Event = dict[str, Any]


def opened(spaces: Mapping[str, SearchSpace], study: Study) -> Event:
    """A driver begins; where its settings differ from its predecessor's, the search is extended."""
    return {
        "event": "opened",
        "budget": study.budget.model_dump(mode="json"),
        "families": list(study.families),
        "search": study.search.model_dump(mode="json", exclude_none=True),
        "confirm": study.confirm.model_dump(mode="json", exclude_none=True),
        **({"limits": limits} if (limits := study.limits.given()) else {}),
        "spaces": {family: _digest(spaces[family]) for family in study.families},
    }


def proposed(
    trial: Trial,
    proposal: int | None,
    redrawn: int = 0,
    costs: Mapping[str, float] | None = None,
    origin: str = "",
) -> Event:
    """A trial begins: the family's proposal of that number; without one, a finalist or a copy.

    Args:
        redrawn: Proposals that the limits did not admit, before this one.
        costs: What is known of the model before it is trained.
        origin: Whence its configuration is, see `Proposal`.
    """
    return {
        "event": "proposed",
        "trial": trial.number,
        "attempt": 0,
        "epoch": trial.copied_from[1] if trial.copied_from else 0,
        "family": trial.family,
        "proposal": proposal,
        "config": trial.config,
        "seed": trial.seed,
        "finalist_of": trial.finalist_of,
        **({"earlier": trial.earlier} if trial.earlier else {}),
        **({"origin": origin} if origin else {}),
        **({"redrawn": redrawn} if redrawn else {}),
        **({"costs": dict(costs)} if costs else {}),
    }


def copied(trial: Trial, replaces: int, costs: Mapping[str, float]) -> Event:
    """A trial begins with the weights of another, in the place of the trial `replaces`."""
    assert trial.copied_from is not None
    origin = {"copied_from": list(trial.copied_from), "replaces": replaces}
    return {**proposed(trial, None, costs=costs), **origin}


def proposed_trial(event: Event) -> Trial:
    """The trial that begins with an event of `proposed` or `copied`."""
    copied_from = event.get("copied_from")
    return Trial(
        number=event["trial"],
        family=event["family"],
        config=event["config"],
        seed=event["seed"],
        finalist_of=event["finalist_of"],
        earlier=event.get("earlier", []),
        copied_from=copied_from and (copied_from[0], copied_from[1]),
    )


def warm_started(family: str, told: list[dict[str, Any]], *, outside: int) -> Event:
    """The family's sampler learns from trials of an earlier study; `outside` were left out."""
    return {"event": "warm_started", "family": family, "told": told, "outside": outside}


def leased(lease: Lease) -> Event:
    """A lease goes out; `epoch` is where it begins."""
    return {
        "event": "leased",
        "trial": lease.trial.number,
        "attempt": lease.attempt,
        "epoch": lease.from_epoch,
        "lease": lease.number,
        "to_epoch": lease.to_epoch,
        "test": lease.test,
        **({"alone": True} if lease.alone else {}),
        **({} if lease.array is None else {"array": lease.array}),
    }


def reported(lease: Lease, measurement: Mapping[str, Any], metric: str) -> Event:
    """One epoch: everything measured, and the objective as `value`."""
    measured = _plain(measurement)
    place = _place("reported", lease, measurement["epoch"])
    return {**place, "value": measured["valid"][metric], **measured}


def paused(lease: Lease, epoch: int) -> Event:
    """The trial waits at a rung."""
    return _place("paused", lease, epoch)


def interrupted(lease: Lease, epoch: int, cause: str, *, lost: bool) -> Event:
    """The lease ended early, and the trial goes on later; `lost` if a worker died over it."""
    return {**_place("interrupted", lease, epoch), "lost": lost, "cause": cause}


def crowded(lease: Lease, epoch: int, cause: str) -> Event:
    """A share of a GPU did not suffice: the trial goes on with one of its own."""
    return {**interrupted(lease, epoch, cause, lost=False), "alone": True}


def stop_requested(lease: Lease, epoch: int) -> Event:
    """A person wants the trial to end; its worker still has it."""
    return _place("stop_requested", lease, epoch)


def tested(lease: Lease, outcome: Outcome, metric: str) -> Event:
    """The test split was measured; `epoch` is that of the weights, the objective is `value`."""
    test = _plain(outcome.test)
    place = _place("tested", lease, outcome.test_epoch or 0)
    streaming = {"streaming": outcome.streaming} if outcome.streaming else {}
    refit = {"refit": asdict(outcome.refit)} if outcome.refit else {}
    return {**place, "value": test.get(metric), "test": test, **streaming, **refit}


def ended(
    trial: int,
    attempt: int,
    epoch: int,
    state: State,
    *,
    cause: str,
    traceback: str,
    early: bool = False,
) -> Event:
    """The trial is over; `early` where it is complete since it had ceased to improve."""
    return {
        "event": "ended",
        "trial": trial,
        "attempt": attempt,
        "epoch": epoch,
        "state": state.value,
        "cause": cause,
        "traceback": traceback,
        "early": early,
    }


def retired(family: str, cause: str) -> Event:
    """The family proposes no more."""
    return {"event": "retired", "family": family, "cause": cause}


def searched(finalists: Iterable[Finalist]) -> Event:
    """The search is over, and these will be trained to confirm it."""
    return {"event": "searched", "finalists": [asdict(finalist) for finalist in finalists]}


def raced(looks: int, finalists: Iterable[Finalist]) -> Event:
    """Families were compared; these are trained before they are again; with none, the race is over.

    Args:
        looks: How many looks will have been made by then.
    """
    chosen = [asdict(finalist) for finalist in finalists]
    return {"event": "raced", "looks": looks, "finalists": chosen}


def _place(event: str, lease: Lease, epoch: int) -> Event:
    return {"event": event, "trial": lease.trial.number, "attempt": lease.attempt, "epoch": epoch}


def _digest(space: SearchSpace) -> str:
    text = json.dumps(to_json(space), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):  # most are; asking for a Mapping is slow
        return value
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
