"""The interface of a benchmark: data, splits, task and metric under one name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from spaces import did_you_mean
from trainers.benchmarks.download import Progress, RemoteFile, fetch_all
from trainers.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Benchmark(ABC):
    """A problem that everybody poses alike; its fields are the options a study may set.

    A class states all about itself, so that benchmarks can be listed without touching any data.

    Attributes:
        name: What a study calls it.
        summary: The problem in a line.
        task: Its kind of task.
        metric: What judges a model by default.
        splits: The rule by which examples came to train, valid and test.
        licence: What the data may be used for, as their origin states it.
        published: The best comparable published result, with its source.
        files: What has to be fetched; nothing where data are bundled or generated.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    task: ClassVar[str]
    metric: ClassVar[str]
    splits: ClassVar[str]
    licence: ClassVar[str] = "not stated"
    published: ClassVar[str] = "none known"
    files: ClassVar[tuple[RemoteFile, ...]] = ()

    @abstractmethod
    def prepare(self, folder: Path) -> Dataset:
        """The data set, read from the files in `folder` or generated.

        Raises:
            ValueError: A file holds something else than it should.
        """

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The benchmark with some options set and the others at their defaults.

        Raises:
            ValueError: There is no such option, or a value is of another type or out of range.
        """
        known = {field.name: field for field in fields(cls)}
        for option, value in options.items():
            if option not in known:
                hint = did_you_mean(option, set(known))
                raise ValueError(f"benchmark {cls.name!r} has no option {option!r}{hint}")
            _check_type(cls.name, option, value, known[option].type)
        return cls(**options)

    @classmethod
    def size_bytes(cls) -> int:
        """How much there is to fetch."""
        return sum(file.size_bytes for file in cls.files)

    @classmethod
    def is_present(cls, cache: Path) -> bool:
        """Whether all files are in `cache`, going by their sizes; sums are checked when loading."""
        return all(file.is_present(cache) for file in cls.files)

    @classmethod
    def fetch(cls, cache: Path, progress: Progress | None = None) -> None:
        """Put all files into `cache`; those already there are checked and left alone.

        Raises:
            OSError: A file cannot be had or is not the one expected.
        """
        fetch_all(cls.files, cache, progress)

    def load(self, cache: Path, progress: Progress | None = None) -> Dataset:
        """The data set; what is missing in `cache` is fetched first.

        Raises:
            OSError: A file cannot be had or is not the one expected.
        """
        self.fetch(cache, progress)
        return self.prepare(cache)


def check_range(option: str, value: int, low: int, high: int | None = None) -> None:
    """Refuse an option outside of `low` to `high`, both allowed.

    Raises:
        ValueError: `value` is outside.
    """
    if value < low or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"`{option}` must be {span}, got {value}")


def _check_type(benchmark: str, option: str, value: object, expected: Any) -> None:
    fits = isinstance(value, expected) and not (isinstance(value, bool) and expected is int)
    if not fits:
        words = getattr(expected, "__name__", None) or str(expected)
        raise ValueError(f"option {option!r} of {benchmark!r} must be {words}, got {value!r}")
