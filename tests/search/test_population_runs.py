"""Population-based training under Ray: a driver that is killed, copies, finalists, the export."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.export import export_model
from search.motion.state import StudyState
from search.problem import Problem
from search.results.leaderboard import Leaderboard
from search.runner.starts import Starts, start_path
from search.store.store import read_study
from search.terminal.solo import train_alone
from search.trial import Trial
from tests.processes import living, wait_until
from trainers.data.batching import DeviceData
from trainers.training.loop import Training

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
MEMBERS, EPOCHS, STEP = 5, 6, 2
PATIENCE_SECONDS = 180.0

DRIVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from search.runner.runner import run_study
from search.study import Study

study = Study.from_mapping({{
    "name": "digits", "benchmark": "digits_rows", "families": ["gru"],
    "budget": {{"trials_per_family": {MEMBERS}, "epochs": {EPOCHS}}},
    "search": {{"sampler": "random", "scheduler": "pbt", "perturbation_epochs": {STEP}}},
    "confirm": {{"seeds": 1}},
    "resources": {{"max_concurrent": 2}},
    "space": {{"gru": {{"hidden_size": 16, "num_layers": 1, "bidirectional": False,
                        "batch_size": 128, "optimizer": "adamw", "layer_norm": False}}}},
}})
run_study(study, sys.argv[1], resume=sys.argv[2] == "resume")
"""


def events(results: Path) -> list[dict[str, Any]]:
    log = results / "events.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def start(results: Path, mode: str) -> subprocess.Popen[bytes]:
    with (results.parent / f"{mode}.txt").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(results), mode],
            cwd=results.parent,
            env=os.environ | {"RAY_AUTH_MODE": "disabled", "SEQTUNE_TEST": f"{results}/{mode}"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A study whose driver was killed right after it had made a copy, and that then went on."""
    folder = tmp_path_factory.mktemp("population") / "results"
    process = start(folder, "new")
    said = (folder.parent / "new.txt").read_text
    try:
        copied = lambda: any("copied_from" in event for event in events(folder))  # noqa: E731
        wait_until(copied, PATIENCE_SECONDS, words=said, beside=process, pause_seconds=0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        gone = lambda: not living("SEQTUNE_TEST", f"{folder}/new")  # noqa: E731
        wait_until(gone, PATIENCE_SECONDS)  # Ray has to find out that it was killed
        process = start(folder, "resume")
        assert process.wait(PATIENCE_SECONDS) == 0, (folder.parent / "resume.txt").read_text()
        yield folder
    finally:
        process.kill()


def test_the_family_spent_what_its_trials_would(results: Path) -> None:
    told = events(results)
    assert sum(event["event"] == "opened" for event in told) == 2
    search = {e["trial"] for e in told if e["event"] == "proposed" and e["finalist_of"] is None}
    reported = {
        (e["trial"], e["epoch"]) for e in told if e["event"] == "reported" and e["trial"] in search
    }
    assert len(reported) == MEMBERS * EPOCHS
    copies = [event for event in told if "copied_from" in event]
    assert len(copies) == 2  # one of five at each of two rungs
    fates = [e["state"] for e in told if e["event"] == "ended" and e["trial"] in search]
    assert sorted(fates) == ["complete"] * MEMBERS + ["pruned"] * 2


def test_each_lineage_is_bit_for_bit_one_training_of_its_settings(results: Path) -> None:
    told = events(results)
    values = {(e["trial"], e["epoch"]): e["value"] for e in told if e["event"] == "reported"}
    data = DeviceData(Problem.of(read_study(results)).dataset)
    family = Problem.of(read_study(results)).families["gru"]
    origin = {e["trial"]: e for e in told if e["event"] == "proposed"}
    last = max(number for number, event in origin.items() if "copied_from" in event)
    training = Training(
        family,
        origin[last]["config"],
        data,
        seed=origin[last]["seed"],
        epochs=EPOCHS,
        earlier=origin[last]["earlier"],
    )
    expected, number = {}, last
    for epoch in range(EPOCHS, 0, -1):
        if epoch == origin[number]["epoch"]:
            number = origin[number]["copied_from"][0]
        expected[epoch] = values[number, epoch]
    assert number != last
    found = {epoch: training.run_epoch().valid["accuracy"] for epoch in range(1, EPOCHS + 1)}
    assert found == dict(sorted(expected.items()))


def test_the_winner_says_how_it_was_trained_and_is_trained_again(results: Path) -> None:
    rows = Leaderboard(results).by_trial()
    finalist = next(row for row in rows if row["finalist"])
    copies = {row["trial"]: row for row in rows if row["copied_from"] is not None}
    assert len(copies) == 2
    export_model(results, None)
    lines: list[str] = []
    training = train_alone(results / "best" / "config.toml", {}, trust=False, say=lines.append)
    assert training.best_value == finalist["valid_best"]
    told = [event for event in events(results) if event["event"] == "proposed"]
    run = next(event for event in told if event["finalist_of"] is not None)
    chosen = next(event for event in told if event["trial"] == run["finalist_of"])
    assert run.get("earlier") == chosen.get("earlier")
    card = (results / "best" / "README.md").read_text("utf-8")
    assert ("Population-based training found" in card) == ("earlier" in run)
    copy = export_model(results, results / "copy", trial=max(copies))
    assert "trial" in copy
    assert "Population-based training found" in (results / "copy" / "README.md").read_text("utf-8")


def test_what_a_copy_begins_with_is_kept_also_by_the_next_driver(tmp_path: Path) -> None:
    def path(number: int) -> Path:
        return tmp_path / str(number)

    starts = Starts(path)
    starts.see({"event": "proposed", "trial": 2, "copied_from": [0, 4]})
    assert not start_path(path(2)).exists()
    path(0).write_text("of epoch 4")
    starts.see({"event": "proposed", "trial": 2, "copied_from": [0, 4]})
    path(0).write_text("of epoch 6")
    assert start_path(path(2)).read_text() == "of epoch 4"

    class At:
        trial = Trial(3, "a", {}, 0, copied_from=(0, 6))
        attempt = 0

    state = object.__new__(StudyState)
    state.trials = [At()]  # type: ignore[list-item]
    starts.complete(state.trials)
    assert start_path(path(3)).read_text() == "of epoch 6"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "2.start", "3.start"]
