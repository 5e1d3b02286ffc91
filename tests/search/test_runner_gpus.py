"""Workers that share declared GPUs, on real Ray."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from cluster.connect import Session
from cluster.machine import Machine
from search.problem import Problem
from search.runner.crews import Crews, meter_on_ray
from search.runner.leases import Crew, on_gpu
from search.runner.meter import Reading
from search.runner.packing import Gpu, Need
from search.study import Study
from tests.search.scenario import Scenario, ray_session, small_study
from tests.search.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.slow

GB = 10**9


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[Session]:
    """Ray with four CPUs, two GPUs that it believes in, and a label."""
    init = ray.init

    def declaring(*given: Any, **options: Any) -> Any:
        return init(*given, num_gpus=2, labels={"class": "big"}, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "init", declaring)
        with ray_session(cpus=4) as session:
            yield session


def crew(script: Mapping[int, str], alone: bool) -> Crew:
    share = 1.0 if alone else 0.5
    return Crew(
        hire=partial(ScriptedWorker, script, share=share),
        arrays={"values": np.zeros(10)},
        slots=2 if alone else 4,
        cpus=1,
        gpus=share,
        labels={"class": "big"},
    )


def test_what_no_share_is_large_enough_for_is_placed_alone_and_then_infeasible(
    tmp_path: Path,
) -> None:
    script = {1: "oom", 3: "always oom everywhere"}
    scenario = Scenario(tmp_path, small_study(10), script)
    scenario.run(slots=4, crews=partial(crew, script))
    states = ["complete"] * 10
    states[3] = "infeasible"
    assert scenario.states() == states
    crowded = {loss["trial"]: loss for loss in scenario.of("interrupted")}
    assert set(crowded) == {1, 3}
    assert crowded[1]["cause"] == (
        "out of memory: CUDA out of memory. Tried to allocate 3.00 GiB (in a share of a GPU)"
    )
    assert not crowded[1]["lost"]
    (end,) = [end for end in scenario.of("ended") if end["state"] == "infeasible"]
    assert end["cause"] == "out of memory: CUDA out of memory. Tried to allocate 3.00 GiB"
    shares = defaultdict(set)
    for report in scenario.of("reported"):
        shares[report["trial"]].add((report["share"], report["epoch"]))
        assert report["gpu"] in {"0", "1"}
    assert shares[1] == {(0.5, 1), (0.5, 2), (1.0, 3), (1.0, 4)}  # from its checkpoint
    processes = defaultdict(set)
    for report in scenario.of("reported"):
        processes[report["share"], report["gpu"]].add(report["pid"])
    assert all(len(pids) <= 2 for (share, _), pids in processes.items() if share < 1)
    state = scenario.conductor.state
    assert state.ledger.accounts["lstm"].trials_by_fate == {"complete": 9, "infeasible": 1}
    assert not scenario.of("aborted")


STUDY = Study.from_mapping(
    {
        "name": "tiny",
        "benchmark": "digits_rows",
        "families": ["gru"],
        "budget": {"trials_per_family": 1},
        "resources": {"labels": {"class": "big"}},
    }
)


def test_a_cluster_is_seen_with_its_labels_and_measured_on_a_gpu(session: Session) -> None:
    (machine,) = session.machines
    assert (machine.cpus, machine.gpus, machine.labels["class"]) == (4.0, 2.0, "big")
    ids = on_gpu(lambda arrays: ray.get_gpu_ids(), {}, labels={"class": "big"})
    assert len(ids) == 1
    with pytest.raises(ValueError, match="torch must see a GPU where Ray has one"):
        meter_on_ray(STUDY, Problem.of(STUDY), session)


def test_crews_follow_what_was_measured_and_what_is_seen(session: Session) -> None:
    def meter(*_: Any) -> Reading:
        return Reading(Gpu("H200", 80 * GB, GB), (Need(4 * GB, 1.0, busy=0.1),) * 3)

    said: list[dict[str, Any]] = []
    crews = Crews(STUDY, Problem.of(STUDY), session, record=said.append, meter=meter)
    shared = crews(False)
    assert (shared.gpus, shared.slots, shared.labels) == (0.5, 4, {"class": "big"})
    (duty,) = shared.hire.args
    assert (duty.device, duty.gpu_share, duty.tensor_bytes) == ("cuda", 0.5, 39 * GB)
    assert said[-1]["reason"].startswith("2 trials at a time on each H200 (80 GB)")
    whole = crews(True)
    assert (whole.gpus, whole.slots, whole.hire.args[0].gpu_share) == (1.0, 2, 1.0)
    assert crews(False) is not None
    assert len(said) == 3
    crews(False)
    assert len(said) == 3  # nothing new was decided
    for trial in range(30):
        large = {"trial": trial, "seconds": 1.0, "peak_memory_bytes": 60 * GB}
        crews.see({"event": "reported", **large})
    assert (crews(False).gpus, crews(False).slots) == (1.0, 2)
    assert "the largest of the 33 models tried needs 60 GB" in said[-1]["reason"]


def test_shares_that_a_study_names_are_kept(session: Session) -> None:
    resources = STUDY.resources.model_copy(update={"gpus_per_trial": 0.25, "labels": {}})
    asked = STUDY.model_copy(update={"resources": resources})
    said: list[dict[str, Any]] = []
    crews = Crews(asked, Problem.of(STUDY), session, record=said.append)
    crew = crews(False)
    assert (crew.gpus, crew.slots, crew.hire.args[0].gpu_share) == (0.25, 4, 0.25)
    assert said[0]["reason"] == "`resources.gpus_per_trial` is 0.25"


def test_what_no_machine_has_is_refused() -> None:
    def refused(machines: list[Machine], match: str, **resources: Any) -> None:
        asked = STUDY.model_copy(update={"resources": STUDY.resources.model_copy(update=resources)})
        there = Session(4.0, 2.0, local=True, object_store_bytes=1e9, machines=tuple(machines))
        with pytest.raises(ValueError, match=match):
            Crews(asked, Problem.of(STUDY), there, record=print)

    refused([Machine(4.0, 2.0)], "`resources.labels` must be those of a machine, got class = big")
    refused([Machine(1.0), Machine(1.0)], "the 1 CPUs of a machine", labels={}, cpus_per_trial=2)
    refused(
        [Machine(4.0, 1.0), Machine(4.0, 1.0)],
        "the 1 GPUs of a machine with CPUs, got 2",
        labels={},
        gpus_per_trial=2.0,
    )
