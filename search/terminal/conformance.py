"""The conformance suite for whatever a name stands for: a family or a benchmark."""

from trainers.benchmarks import BENCHMARKS, Benchmark, benchmark_class, cache_folder
from trainers.benchmarks.checks import check_benchmark
from trainers.catalog import load_family
from trainers.conformance.checks import Finding, check_family
from trainers.sources import classes, source_text, split_name


def findings_of(name: str) -> list[Finding]:
    """What a family or a benchmark of that name does not keep of what is promised.

    Raises:
        OSError: There is no such file.
        ValueError: There is no such family, benchmark or class.
    """
    if _is_benchmark(name):
        return check_benchmark(benchmark_class(name), cache_folder())
    return check_family(load_family(name))


def _is_benchmark(name: str) -> bool:
    file, class_name = split_name(name)
    if file is None:
        return name in BENCHMARKS
    found = classes(file, source_text(name) or "", Benchmark)  # type: ignore[type-abstract] # no instance is made
    return class_name in found
