"""Sessions with Ray: what is refused at once, what is kept secret, whose code the workers run."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray._private import worker as ray_worker
from ray.job_config import JobConfig

from cluster.connect import CodePath, _start, connect, environment, guard_token, probe
from tests.processes import living

ROOT = Path(__file__).resolve().parents[2]

# What a driver and a worker of it see, as one line of JSON.
SIGHT = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import ray
from cluster.connect import connect

@ray.remote
def sight():
    import cluster, search, spaces
    preloaded = [name for name in ("wave", "colorsys") if name in sys.modules]
    return preloaded, [package.__file__ for package in (cluster, search, spaces)]

with connect(code=Path({root!r}), cpus=1, preload=["wave", "calendar"]) as session:
    preloaded, files = ray.get(sight.remote())
    seen = {{"files": files, "cpus": session.cpus, "local": session.local,
            "mode": os.environ["RAY_AUTH_MODE"], "preloaded": preloaded}}
print(json.dumps(seen))
"""


def test_environment_is_set_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTUNE_A", "before")
    monkeypatch.delenv("SEQTUNE_B", raising=False)
    with environment({"SEQTUNE_A": "1", "SEQTUNE_B": "2"}):
        assert (os.environ["SEQTUNE_A"], os.environ["SEQTUNE_B"]) == ("1", "2")
    assert os.environ["SEQTUNE_A"] == "before"
    assert "SEQTUNE_B" not in os.environ


@pytest.mark.parametrize(
    "address", ["head", ":6379", "head:", "ray://head:10001", "http://head:8265"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        probe(address)


def test_an_address_where_nothing_listens_is_one_sentence_at_once() -> None:
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with (
            pytest.raises(ConnectionError, match=f"nothing answers at {address}"),
            connect(address, code=ROOT),
        ):
            pass


def test_ray_that_does_not_come_up_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "absent"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        pytest.raises(ConnectionError, match="Ray did not come up on this machine: ") as caught,
        connect(code=ROOT),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_busy_machine_gets_a_second_chance(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def start(*_: object, **__: object) -> None:
        called.append(1)
        if len(called) <= failures:
            raise RuntimeError("The current node timed out during startup. This could happen")

    monkeypatch.setattr("ray.init", start)
    if failures == 1:
        _start("local", ROOT, {"num_cpus": 1})
    else:
        with pytest.raises(ConnectionError, match="did not come up on this machine"):
            _start("local", ROOT, {"num_cpus": 1})
    assert len(called) == 2


def test_a_signal_while_ray_starts_goes_to_whoever_handled_it_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray leaves by `SystemExit` then, with an exit code of its own."""

    def start(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, lambda signum, _: sys.exit(signum))
        signal.raise_signal(signal.SIGTERM)

    handled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, _: handled.append(signum))
    monkeypatch.setattr("ray.init", start)
    monkeypatch.setattr("ray.cluster_resources", dict)
    stores = [(20.0, True), (10.0, True), (5.0, False)]
    nodes = [{"Resources": {"object_store_memory": s}, "Alive": alive} for s, alive in stores]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    head = SimpleNamespace(gcs_address="127.0.0.1:9")
    monkeypatch.setattr("ray.get_runtime_context", lambda: head)
    watching = SimpleNamespace(check=lambda: None)
    monkeypatch.setattr("cluster.connect.watch_head", lambda _: nullcontext(watching))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    try:
        with connect("local", code=ROOT) as session:
            assert session.cpus == 0
            assert session.object_store_bytes == 10.0
        assert handled == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_token_is_made_readable_by_its_owner_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    file = tmp_path / ".ray" / "auth_token"
    guard_token()
    token = file.read_text()
    assert len(token) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)  # as Ray itself writes it
    guard_token()
    assert file.read_text() == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_token_of_the_users_own_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    guard_token()
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "own"))
    guard_token()
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600


def test_the_private_parts_of_ray_are_where_they_were() -> None:
    assert CodePath(ROOT)._py_driver_sys_path == [str(ROOT)]
    assert "_runtime_env_has_working_dir" in vars(JobConfig)
    assert callable(ray_worker.print_to_stdstream)


@pytest.mark.slow
def test_workers_run_our_code_wherever_the_driver_was_started(tmp_path: Path) -> None:
    """Also: with a token by default, quietly, and without a process left behind."""
    for decoy in ("search", "cluster", "spaces"):
        (tmp_path / f"{decoy}.py").write_text("raise RuntimeError('a decoy')")
    (tmp_path / "driver.py").write_text(SIGHT.format(root=str(ROOT)))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=tmp_path,  # on the driver's own path too, after ours
        env=environ | {"SEQTUNE_TEST": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    packages = ("cluster", "search", "spaces")
    assert seen["files"] == [str(ROOT / package / "__init__.py") for package in packages]
    assert seen["preloaded"] == ["wave"]
    assert (seen["cpus"], seen["local"], seen["mode"]) == (1, True, "token")
    assert done.stderr == ""
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600
    assert not living("SEQTUNE_TEST", str(tmp_path))
