"""Problems with known answers. One more is a class in a file here and a line in `BENCHMARKS`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spaces import did_you_mean
from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.chaos import MackeyGlass
from trainers.benchmarks.classification import BasicMotions, ItalyPowerDemand, JapaneseVowels
from trainers.benchmarks.digit_strings import SpokenDigitsCTC
from trainers.benchmarks.digits import DigitsPixels, DigitsRows, DigitsSpelled
from trainers.benchmarks.download import Progress, cache_folder
from trainers.benchmarks.ett import ETTh1
from trainers.benchmarks.grammar import EmbeddedReber
from trainers.benchmarks.images import MNISTPermuted, MNISTPixels
from trainers.benchmarks.language import PTBCharacter, PTBWord
from trainers.benchmarks.multi30k import Multi30kDeEn
from trainers.benchmarks.music import JSBChorales, Nottingham
from trainers.benchmarks.nab import NAB
from trainers.benchmarks.speech import SpokenDigits
from trainers.benchmarks.synthetic import Adding, CopyMemory, Parity
from trainers.benchmarks.tagging import UDEnglishEWT
from trainers.benchmarks.text import RottenTomatoes
from trainers.data.dataset import Dataset
from trainers.sources import load_class, split_name

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "benchmark_class",
    "cache_folder",
    "find_benchmark",
    "load_benchmark",
]

BENCHMARKS: dict[str, type[Benchmark]] = {
    benchmark.name: benchmark
    for benchmark in (
        DigitsRows,
        DigitsPixels,
        DigitsSpelled,
        MNISTPixels,
        MNISTPermuted,
        JSBChorales,
        Nottingham,
        PTBCharacter,
        PTBWord,
        Adding,
        CopyMemory,
        Parity,
        EmbeddedReber,
        MackeyGlass,
        JapaneseVowels,
        BasicMotions,
        ItalyPowerDemand,
        SpokenDigits,
        SpokenDigitsCTC,
        RottenTomatoes,
        UDEnglishEWT,
        Multi30kDeEn,
        ETTh1,
        NAB,
    )
}


def find_benchmark(
    name: str, options: Mapping[str, Any] | None = None, source: str | None = None
) -> Benchmark:
    """The benchmark of that name with these options; touches no data.

    Args:
        name: A name in `BENCHMARKS`, or `file.py:Class` for a class of one's own.
        source: The text of that file, where it is already known.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such benchmark or option, or a value does not fit.
    """
    return benchmark_class(name, source).with_options(options or {})


def benchmark_class(name: str, source: str | None = None) -> type[Benchmark]:
    """The class of a benchmark, see `find_benchmark`."""
    if split_name(name)[0] is not None:
        return load_class(name, Benchmark, source)  # type: ignore[type-abstract] # what it must be of
    if name not in BENCHMARKS:
        raise ValueError(f"there is no benchmark {name!r}{did_you_mean(name, set(BENCHMARKS))}")
    return BENCHMARKS[name]


def load_benchmark(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    source: str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set of a benchmark; its files are fetched if they are not there yet.

    Args:
        name, source: See `find_benchmark`.
        cache: Where its files are or go; without it, `cache_folder()`.

    Raises:
        ValueError: There is no such benchmark or option, or a value does not fit.
        OSError: A file cannot be had or is not the one expected.
    """
    return find_benchmark(name, options, source).load(cache or cache_folder(), progress)
