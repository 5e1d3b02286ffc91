"""The leaves of a search space: a number in a range, or one of a few options."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Value = str | int | float | bool
Kind = Literal["shape", "scalar"]
"""What a parameter changes. Trials that differ only in `scalar` parameters (a learning rate) can be
trained as one fused model; a `shape` parameter (a width, an optimiser) keeps them apart.

A parameter that is `held` stays at its default until a study names it (see `searched`): what is
seldom worth varying costs a search nothing, and can still be reached."""


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float; a bool is not a number here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_range(low: float, high: float, log: bool) -> None:
    if not low <= high:
        raise ValueError(f"`low <= high` must hold, got low={low} and high={high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, got low={low}")


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in [low, high].

    Args:
        log: Draw uniformly in the logarithm.
        default: Where a search starts; the (geometric) middle of the range unless given.

    Raises:
        ValueError: The range is empty, not finite, or logarithmic and not positive; or the default
            lies outside it.
    """

    low: float
    high: float
    log: bool = False
    default: float | None = None
    kind: Kind = "scalar"
    held: bool = False

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not is_number(end):
                raise ValueError(f"a range needs finite numbers, got {end!r}")
        _check_range(self.low, self.high, self.log)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        start = self._middle() if self.default is None else self.default
        if not self.contains(start):
            raise ValueError(f"the default must lie in {self.describe()}, got {start!r}")
        object.__setattr__(self, "default", float(start))

    def _middle(self) -> float:
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return min(max(middle, self.low), self.high)

    def contains(self, value: object) -> bool:
        """Whether `value` is a number in the range."""
        return is_number(value) and self.low <= value <= self.high  # type: ignore[operator] # is_number

    def sample(self, rng: Random) -> float:
        """One draw, uniform in the value or in its logarithm."""
        if not self.log:
            return rng.uniform(self.low, self.high)
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, self.low), self.high)

    def describe(self) -> str:
        """The range in words, such as ``0.0001 .. 0.1 (log)``."""
        return f"{self.low:g} .. {self.high:g}" + (" (log)" if self.log else "")


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in [low, high]; both ends belong to it.

    Args:
        log: Draw uniformly in the logarithm.
        default: Where a search starts; the (geometric) middle of the range unless given.

    Raises:
        ValueError: The range is empty, not whole, or logarithmic and not positive; or the default
            lies outside it.
    """

    low: int
    high: int
    log: bool = False
    default: int | None = None
    kind: Kind = "shape"
    held: bool = False

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            if not isinstance(end, int) or isinstance(end, bool):
                raise ValueError(f"a range of whole numbers needs whole ends, got {end!r}")
        _check_range(self.low, self.high, self.log)
        start = self._middle() if self.default is None else self.default
        if not self.contains(start):
            raise ValueError(f"the default must lie in {self.describe()}, got {start!r}")
        object.__setattr__(self, "default", start)

    def _middle(self) -> int:
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return min(max(round(middle), self.low), self.high)

    def contains(self, value: object) -> bool:
        """Whether `value` is a whole number in the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high  # type: ignore[operator] # whole

    def sample(self, rng: Random) -> int:
        """One draw; with `log`, each number has the share its half-open interval has in the log."""
        if not self.log:
            return rng.randint(self.low, self.high)
        value = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(value), self.low), self.high)

    def describe(self) -> str:
        """The range in words, such as ``16 .. 512 (log)``."""
        return f"{self.low} .. {self.high}" + (" (log)" if self.log else "")


def _same(one: object, other: object) -> bool:
    """Equality under which ``True`` is not ``1`` and ``1`` is ``1.0``."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few options, each a string, number or bool (all that TOML and JSON share).

    Args:
        default: Where a search starts; the first option unless given.

    Raises:
        ValueError: No options, one of them twice or of another type, or a default not among them.
    """

    options: Sequence[Value]
    default: Value | None = None
    kind: Kind = "shape"
    held: bool = False

    def __post_init__(self) -> None:
        options = tuple(self.options)
        if not options:
            raise ValueError("a choice needs at least one option")
        for place, option in enumerate(options):
            if not (isinstance(option, str | bool) or is_number(option)):
                raise ValueError(f"an option must be a string, number or bool, got {option!r}")
            if any(_same(option, earlier) for earlier in options[:place]):
                raise ValueError(f"options must differ, got {option!r} twice")
        object.__setattr__(self, "options", options)
        if self.default is None:
            object.__setattr__(self, "default", options[0])
        elif not self.contains(self.default):
            raise ValueError(f"the default must be one of {self.describe()}, got {self.default!r}")

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the options."""
        return any(_same(value, option) for option in self.options)

    def sample(self, rng: Random) -> Value:
        """One draw, every option alike."""
        return rng.choice(self.options)

    def describe(self) -> str:
        """The options in words, such as ``tanh | relu``."""
        return " | ".join(
            str(option).lower() if isinstance(option, bool) else str(option)
            for option in self.options
        )


Parameter = Float | Int | Choice
