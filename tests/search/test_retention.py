"""Which checkpoints stay."""

from pathlib import Path

import pytest

from search.motion.conductor import Conductor
from search.runner import retention as retention_module
from search.runner.retention import Retention
from search.study import Study
from search.trial import Outcome
from spaces import Float, SearchSpace


@pytest.fixture
def conductor() -> Conductor:
    study = Study.from_mapping(
        {
            "name": "s",
            "benchmark": "none",
            "families": ["gru", "lstm"],
            "budget": {"trials_per_family": 6, "epochs": 1},
            "search": {"sampler": "random", "scheduler": "none"},
            "confirm": {"seeds": 2},
        }
    )
    space = SearchSpace({"x": Float(0.0, 1.0)})
    return Conductor(
        spaces={"gru": space, "lstm": space},
        maximize=False,
        metric="error",
        study=study,
        record=lambda event: None,
    )


def train(conductor: Conductor, folder: Path, leases: int) -> None:
    """Carry leases to their end; the error is the trial's number, trial 0 fails."""
    for _ in range(leases):
        lease = conductor.next_lease()
        assert lease is not None
        number = lease.trial.number
        for name in (f"{number:05d}", f"{number:05d}.history.json", f".{number:05d}.9.part"):
            (folder / name).touch()
        if number == 0:
            conductor.end(lease, Outcome.failed("it must"))
            continue
        measured = {"valid": {"error": float(number)}, "train_loss": 0.0, "seconds": 1.0}
        conductor.report(lease, measured | {"epoch": 1, "parameters": 1})
        conductor.end(lease, Outcome.reached(1, test={"error": 1.0}, test_epoch=1))


def kept(folder: Path) -> set[int]:
    return {int(file.name) for file in folder.iterdir() if file.name.isdigit()}


def test_the_best_of_each_family_and_all_finalists_are_kept(
    conductor: Conductor, tmp_path: Path
) -> None:
    train(conductor, tmp_path, 12)
    families = {trial.trial.number: trial.trial.family for trial in conductor.state.trials}
    lease = conductor.next_lease()  # a finalist that has only begun
    assert lease is not None
    (tmp_path / f"{lease.trial.number:05d}").touch()
    Retention(tmp_path, conductor.state).sweep()
    best = {
        number
        for name in ("gru", "lstm")
        for number in sorted(n for n in families if n > 0 and families[n] == name)[:3]
    }
    assert kept(tmp_path) == best | {lease.trial.number}
    assert {file.name.lstrip(".")[:5] for file in tmp_path.iterdir()} == {
        f"{number:05d}" for number in kept(tmp_path)
    }


def test_trials_that_may_go_on_keep_theirs(conductor: Conductor, tmp_path: Path) -> None:
    lease = conductor.next_lease()
    assert lease is not None
    (tmp_path / "00000").touch()
    (tmp_path / "README").touch()  # not ours to judge
    Retention(tmp_path, conductor.state).sweep()
    assert kept(tmp_path) == {0}
    assert (tmp_path / "README").exists()


def test_sweeping_waits_for_ends_and_for_time(
    conductor: Conductor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = Retention(tmp_path, conductor.state)
    (tmp_path / "00077").touch()
    retention.see({"event": "ended"})
    assert kept(tmp_path) == {77}
    monkeypatch.setattr(retention_module, "SWEEP_SECONDS", 0.0)
    retention.see({"event": "reported"})
    assert kept(tmp_path) == {77}
    retention.see({"event": "ended"})
    assert kept(tmp_path) == set()
