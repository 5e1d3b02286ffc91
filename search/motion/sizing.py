"""What a model may cost: proposals get a width that fits, or are drawn again."""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from search.motion.neighbours import neighbours
from search.motion.randomness import key
from search.motion.width import Width
from search.study import STATIC_COSTS, Limits, SearchSettings
from spaces import (
    Config,
    SearchSpace,
    contains,
    default,
    flatten,
    largest,
    parameters,
    sample,
    smallest,
)

TOLERANCE = 0.05
"""How far a model may be from `match_parameters`, as a share of it."""
NEAR = 5  # of them, with others near them, which takes longer
TRIES = 256  # random configurations, before a family is said to be out of reach

Measures = Mapping[str, Callable[[Config], float]]
"""By name in `STATIC_COSTS`, a cost of a configuration's model; ValueError if it has none."""


class Sizing:
    """Holds the proposals of one family to `match_parameters`, `max_parameters` and `limits`.

    Where models are matched, the width is not searched: it follows from the other settings, and
    may be any whole number from the lowest to the highest that the space has for it. Where none of
    these will do, one or two other whole numbers of the model move to the nearest that allow it.

    Args:
        space: What may vary in the family, the width included.
        measures: How the costs that are limited or objectives are found out, and `parameters`.
        width: What is fitted; without matching, nothing is.

    Attributes:
        space: Where the configurations that are trained lie.
        drawn: Where a sampler draws; a matched width stays at its default there.

    Raises:
        ValueError: The space has no such width, or it is no number.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: SearchSettings,
        measures: Measures,
        width: Width,
        limits: Limits | None = None,
    ) -> None:
        self.space = self.drawn = space
        self.match = settings.match_parameters
        self._bounds = (limits or Limits()).given()
        if settings.max_parameters is not None:
            self._bounds["parameters"] = settings.max_parameters
        wanted = {"parameters", *self._bounds, *(settings.objectives or ())}
        self._wanted = [name for name in STATIC_COSTS if name in wanted]
        self._measures = measures
        self._width = width
        self._known: dict[tuple[str, str], float | None] = {}
        if self.match is not None:
            self.space = width.freed(space)
            self.drawn = width.pinned(self.space)

    def fit(self, config: Config) -> Config | None:
        """The configuration that is trained where a sampler drew `config`; None to draw again."""
        fitted = config if self.match is None else self._matched(config)
        return fitted if fitted is not None and self.admits(fitted) else None

    def _matched(self, config: Config) -> Config | None:
        """`config` at the wanted size, its width fitted; where that cannot be, near it."""
        fitted = self._nearest(config)
        if fitted is not None and self._is_matched(fitted):
            return fitted
        for near in neighbours(self.space, config, self._width.path, self._count):
            fitted = self._nearest(near)
            if fitted is not None and self._is_matched(fitted):
                return fitted
        return None

    def _is_matched(self, config: Config) -> bool:
        count = self._count(config)
        wanted = self.match
        return wanted is None or (count is not None and abs(count - wanted) <= TOLERANCE * wanted)

    def _count(self, config: Config) -> float | None:
        return self.cost("parameters", config)

    def admits(self, config: Config) -> bool:
        """Whether a model keeps to all limits, and costs what is wanted to be known."""
        return self._fault(config) is None

    def as_drawn(self, config: Config) -> Config:
        """What a sampler is told of where `config` was trained."""
        return config if self.match is None else self._width.at_default(self.drawn, config)

    def cost(self, name: str, config: Config) -> float | None:
        """A cost, found out once; None if the configuration has none: no model, or no stream."""
        place = (name, self._identity(name, config))
        if place not in self._known:
            try:
                self._known[place] = self._measures[name](config)
            except ValueError:
                self._known[place] = None
        return self._known[place]

    def costs(self, config: Config) -> dict[str, float]:
        """All that is wanted to be known of an admitted configuration."""
        found = {name: self.cost(name, config) for name in self._wanted}
        return {name: value for name, value in found.items() if value is not None}

    def remember(self, config: Config, costs: Mapping[str, float]) -> None:
        """Take over what was found out when the configuration was proposed."""
        self._known |= {
            (name, self._identity(name, config)): value for name, value in costs.items()
        }

    def _identity(self, name: str, config: Config) -> str:
        """What a cost depends on; the number of parameters on nothing but shapes."""
        known: Mapping[str, Any] = config
        if name == "parameters" and contains(self.space, config):
            leaves, values = parameters(self.space, config), flatten(self.space, config)
            known = {
                path: values[path]
                for path, leaf in leaves.items()
                if leaf.kind == "shape" and not path.startswith("training/")
            }
        return json.dumps(known, sort_keys=True)

    def check(self, family: str) -> None:
        """Refuse limits that the family cannot meet, as far as some hundred draws can tell.

        Raises:
            ValueError: None of the draws meets them.
        """
        corners = [default(self.drawn), smallest(self.drawn), largest(self.drawn)]
        found: dict[str, list[float]] = {}
        for draw in range(len(corners) + TRIES):
            rng = Random(key(0, "reach", draw))
            config = corners[draw] if draw < len(corners) else sample(self.drawn, rng)
            sized = config if self.match is None else self._nearest(config)
            fault = "parameters" if sized is None else self._fault(sized)
            if fault is None:
                return
            value = None if sized is None else self.cost(fault, sized)
            found.setdefault(fault, []).extend([] if value is None else [value])
        near = [
            *corners,
            *(sample(self.drawn, Random(key(0, "reach", draw))) for draw in range(NEAR)),
        ]
        if self.match is not None and any(self.fit(config) for config in near):
            return
        raise ValueError(self._out_of_reach(family, len(corners) + TRIES, found))

    @property
    def limits(self) -> str:
        """The limits as the study file has them."""
        matched = [] if self.match is None else [f"`search.match_parameters = {self.match}`"]
        return " and ".join(
            [*matched, *(f"`{_key(name)} = {value:g}`" for name, value in self._bounds.items())]
        )

    def _fault(self, config: Config) -> str | None:
        """The first cost that is not as it must be."""
        for name in self._wanted:
            value = self.cost(name, config)
            if value is None or value > self._bounds.get(name, value):
                return name
            if name == "parameters" and not self._is_matched(config):
                return name
        return None

    def _nearest(self, config: Config) -> Config | None:
        """`config` at the width that brings it nearest to the wanted count.

        Counts grow with the square of the width, more or less: a straight line through their
        roots leads to it in a few steps.
        """
        assert self.match is not None
        widths, step = self._width.range(self.space, config), self._width.step(config)
        low, high = -(-widths.low // step), widths.high // step
        if low > high:
            return None
        below, above = self._at(config, low * step), self._at(config, high * step)
        if below is None or above is None:
            return None
        while high - low > 1 and below < self.match < above:
            share = (self.match**0.5 - below**0.5) / (above**0.5 - below**0.5)
            middle = min(max(low + round(share * (high - low)), low + 1), high - 1)
            count = self._at(config, middle * step)
            if count is None:
                return None
            if count < self.match:
                low, below = middle, count
            else:
                high, above = middle, count
        lower_is_nearer = abs(below - self.match) <= abs(above - self.match)
        return self._width.at(config, (low if lower_is_nearer else high) * step)

    def _at(self, config: Config, width: int) -> float | None:
        return self._count(self._width.at(config, width))

    def _out_of_reach(self, family: str, tried: int, found: Mapping[str, Sequence[float]]) -> str:
        """Why none was admitted, in words; `found` has the costs at fault, by name."""
        wanted, sizes = self.match, found.get("parameters", ())
        if wanted is not None and set(found) == {"parameters"}:
            near = min(sizes, key=lambda count: abs(count - wanted)) if sizes else None
            nearest = "" if near is None else f"; the nearest has {near:,}"
            return (
                f"`search.match_parameters` must be within the reach of {family}, got {wanted}: "
                f"{self._width.name} can be fitted for none of the {tried} configurations tried "
                f"to within {TOLERANCE:.0%} of so many parameters{nearest}"
            )
        parts = []
        for name, values in found.items():
            least = f"the least that is over it is {min(values):,.6g}" if values else _UNKNOWN[name]
            bound = f" = {self._bounds[name]:g}" if name in self._bounds else ""
            parts.append(f"`{_key(name)}{bound}` ({least})")
        return (
            f"{family} must be able to meet all limits, and none of the {tried} configurations "
            f"tried does: {', '.join(parts)}"
        )


_STREAMS = "none of them streams, as no bidirectional or centred model does"
_UNKNOWN = {
    "parameters": "their settings do not fit one another",
    "peak_memory_bytes": "none could be trained",
    "state_bytes": _STREAMS,
    "latency_ms": _STREAMS,
}


def _key(name: str) -> str:
    return "search.max_parameters" if name == "parameters" else f"limits.{name}"
