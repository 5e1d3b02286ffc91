"""What tests of several packages share."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pyarrow import fs

from tests.chaos.rights import no_disks, no_machines

# The same examples in every run, and no limit of time that a busy machine would break.
settings.register_profile("seqtune", deadline=None, derandomize=True)
settings.load_profile("seqtune")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-golden` writes what is compared with a file; read the diff afterwards."""
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files and lists")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line says why tests of several machines were skipped, if they were."""
    skipped = terminalreporter.stats.get("skipped", ())
    for why in sorted({report.longrepr[-1] for report in skipped if "cluster" in report.keywords}):
        terminalreporter.write_line(f"no test of several machines: {why.removeprefix('Skipped: ')}")


@pytest.fixture(scope="session")
def disks() -> None:
    """Skips a test that makes disks where that is not allowed, and says why."""
    if why := no_disks():
        pytest.skip(why)


@pytest.fixture(scope="session")
def machines() -> None:
    """Skips a test of several machines on one where they cannot be made, and says why."""
    if why := no_machines():
        pytest.skip(why)


class ObjectStore:
    """A server that speaks S3, on this machine; it forgets everything when it ends."""

    def __init__(self, folder: Path, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                env=os.environ | environ,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def environ(self) -> dict[str, str]:
        """What a process must have to reach it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def make_bucket(self, name: str) -> None:
        fs.S3FileSystem(
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            region="us-east-1",
            access_key="testing",
            secret_key=self.environ["AWS_SECRET_ACCESS_KEY"],
            allow_bucket_creation=True,
        ).create_dir(name)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An object store with the bucket `studies`."""
    store = ObjectStore(tmp_path_factory.mktemp("object_store"))
    try:
        store.make_bucket("studies")
        yield store
    finally:
        store.process.kill()
        store.process.wait()


@pytest.fixture(scope="session")
def strict_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an object store that knows nobody's keys."""
    folder = tmp_path_factory.mktemp("strict_store")
    store = ObjectStore(folder, INITIAL_NO_AUTH_ACTION_COUNT="0")
    yield store.environ
    store.process.kill()
    store.process.wait()


@pytest.fixture
def bucket_url(
    object_store: ObjectStore,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """An empty place in it, for one test; copies of studies go to a folder of the test's own."""
    for name, value in object_store.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://studies/{request.node.name.partition('[')[0]}-{tmp_path.name}"


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
