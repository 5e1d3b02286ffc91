"""What tests of several packages share."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples in every run, and no limit of time that a busy machine would break.
settings.register_profile("seqtune", deadline=None, derandomize=True)
settings.load_profile("seqtune")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-golden` writes what is compared with a file; read the diff afterwards."""
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files and lists")


@pytest.fixture(scope="session")
def benchmark_cache() -> Callable[[str], Path]:
    """`benchmark_cache(name)`: the folder with the benchmark's real files.

    Where they are not there, the test is skipped; in CI (CI=true), where nothing may be skipped, it
    fails.
    """
    # here and not above, so that the tests of spaces and cluster need not wait for torch
    from trainers.benchmarks import BENCHMARKS, cache_folder  # noqa: PLC0415

    def folder_of(name: str) -> Path:
        folder = cache_folder()
        if BENCHMARKS[name].is_present(folder):
            return folder
        words = (
            f"the files of {name} are not in {folder}: set SEQTUNE_DATA, or run "
            f"`seqtune benchmarks fetch {name}`"
        )
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(words)
        pytest.fail(words)

    return folder_of


@pytest.fixture(scope="session")
def load_once(benchmark_cache: Callable[[str], Path]) -> Callable[[str], Any]:
    """`load_once(name)`: the benchmark at its defaults, loaded once for all tests."""
    from trainers.benchmarks import load_benchmark  # noqa: PLC0415

    @cache
    def load(name: str) -> Any:
        return load_benchmark(name, cache=benchmark_cache(name))

    return load
