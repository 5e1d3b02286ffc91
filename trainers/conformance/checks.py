"""The conformance suite of backbones: ours pass it in the tests, yours under `seqtune check`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final, cast

from spaces import (
    Config,
    Int,
    Parameter,
    SearchSpace,
    Value,
    build,
    default,
    flatten,
    largest,
    sample,
    smallest,
)
from trainers.backbone import Backbone
from trainers.conformance import promises
from trainers.conformance.promises import Case, Promise
from trainers.device import full_precision

WIDEST: Final = 32
"""Sizes drawn on a logarithmic range are cut off here: what is checked does not hang on width."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and where it is tried.

    Attributes:
        everywhere: On every case; else only on the default settings.
        advice: A family may break it and still be trained; it then lacks an ability.
    """

    promise: Promise
    everywhere: bool = True
    advice: bool = False


CHECKS: Final[dict[str, Check]] = {
    "keywords": Check(promises.keywords, everywhere=False),
    "shapes": Check(promises.shapes),
    "ignores_padding": Check(promises.ignores_padding),
    "ignores_future": Check(promises.ignores_future),
    "every_parameter_learns": Check(promises.every_parameter_learns),
    "repeats": Check(promises.repeats),
    "saves_and_loads": Check(promises.saves_and_loads),
    "streams": Check(promises.streams),
    "memorises": Check(promises.memorises, everywhere=False),
    "refuses_nonsense": Check(promises.refuses_nonsense, everywhere=False, advice=True),
    "streams_at_all": Check(promises.streams_at_all, everywhere=False, advice=True),
    "draws_by_key": Check(promises.draws_by_key, advice=True),
    "fuses": Check(promises.fuses, advice=True),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that a family does not keep.

    Attributes:
        check: A name in `CHECKS`.
        advice: See `Check`.
        message: What is wrong, for which settings.
    """

    check: str
    advice: bool
    message: str


def check_family(
    family: type[Backbone], *, draws: int = 3, seed: int = 0, device: str = "cpu"
) -> list[Finding]:
    """Try every promise on the default, smallest and largest settings and on random ones.

    Args:
        draws: How many random settings, for causal tasks and as many again for others.
        device: Where, in torch's words.

    Returns:
        At most one finding for each check and kind of task; empty if all is well.
    """
    return [
        finding
        for name in CHECKS
        for finding in try_check(name, family, draws=draws, seed=seed, device=device)
    ]


def try_check(
    name: str, family: type[Backbone], *, draws: int = 3, seed: int = 0, device: str = "cpu"
) -> list[Finding]:
    """The findings of one check, see `check_family`."""
    check = CHECKS[name]
    findings = []
    for causal in (True, False):
        for case in cases(family, causal, draws if check.everywhere else None, seed):
            problems = _problems(check.promise, replace(case, device=device))
            if problems:
                where = f"{case.name} {case.settings}, {'' if causal else 'not '}causal"
                message = f"{'; '.join(problems)} ({where})"
                findings.append(Finding(name, check.advice, message))
                break
    return findings


def cases(family: type[Backbone], causal: bool, draws: int | None, seed: int) -> Iterator[Case]:
    """The settings that are tried: the default ones, and the others unless `draws` is None."""
    space = family.space(causal)
    yield Case(family, causal, "default", default(space))
    if draws is None:
        return
    yield Case(family, causal, "smallest", smallest(space))
    yield Case(family, causal, "largest", _cut(space, largest(space)))
    rng = Random(seed)
    for number in range(draws):
        yield Case(family, causal, f"draw {number}", _cut(space, sample(space, rng)))


def _cut(space: SearchSpace, settings: Config) -> Config:
    values = flatten(space, settings)

    def choose(path: str, parameter: Parameter) -> Value:
        value = values[path]
        if isinstance(parameter, Int) and parameter.log:
            assert isinstance(value, int)
            return min(value, max(parameter.low, WIDEST))
        return value

    return cast(Config, build(space, choose))


def _problems(promise: Promise, case: Case) -> list[str]:
    try:
        with full_precision(case.device):
            return list(promise(case))
    except Exception as error:
        return [f"it raised {type(error).__name__}: {error}"]
