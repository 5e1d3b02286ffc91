"""Rendered files: as they were read and approved, and unable to run what is in a value."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import jobs, kubernetes, slurm, ssh
from cluster.work import Work, check_plain, comment

GOLDEN = Path(__file__).with_name("golden")
WORK = Work("chorales", "chorales.toml", "results", "/home/ada/music", "/opt/venv/bin/python")
ALLOCATION = slurm.Allocation(nodes=3, cpus=16, gpus=2, partition="gpu", memory="64G")
MACHINES = ssh.Machines(["ada@one", "ada@two", "three"], head="10.0.0.1", cpus=8)
PODS = kubernetes.Pods(
    image="registry.example/seqtune:1",
    claim="results",
    ray_version="2.60.0",
    gpus=1,
    files={"families/mine.py": 'print("""mine""")\n'},
)
STUDY = 'name = "chorales"\nbenchmark = "jsb_chorales"\n'

RENDERED: dict[str, Callable[[], str]] = {
    "slurm.sh": lambda: slurm.render(WORK, ALLOCATION),
    "ssh.sh": lambda: ssh.render(WORK, MACHINES),
    "kubernetes.yaml": lambda: kubernetes.render(WORK, PODS, STUDY),
}


@pytest.mark.parametrize("name", RENDERED)
def test_files_are_as_they_were_approved(name: str, pytestconfig: pytest.Config) -> None:
    text = RENDERED[name]()
    if pytestconfig.getoption("--update-golden"):
        (GOLDEN / name).write_text(text, "utf-8")
    assert text == (GOLDEN / name).read_text("utf-8"), "run: pytest tests/cluster --update-golden"


@pytest.mark.parametrize("name", RENDERED)
def test_how_to_use_a_file_is_said_at_its_top(name: str) -> None:
    top = RENDERED[name]().removeprefix("#!/bin/bash\n").splitlines()[:20]
    assert top[0].startswith("# A seqtune study on ")
    assert "# By hand" in top


# ---- nothing in a value is run ----------------------------------------------------------------

PYTHON_STUB = """#!/bin/bash
# Notes what it is given, and does the parts of `cluster.node` that the scripts wait for.
printf '%s\\0' "$PWD" "$@" '' >> "$NOTES"
case "$*" in
    *"import secrets"*) echo 0123abcd ;;
    *"cluster.node address "*) echo 127.0.0.1:7777 ;;
    *"cluster.node driver "*) shift 6; "$@" ;;
    *"cluster.node"*) cat > /dev/null ;;
    *"search status "*) [ -e begun ] ;;
esac
"""
STUBS = {
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@" < /dev/null',
    "scontrol": "echo n1; echo n2",
    "sbatch": "echo 12",
    "scancel": "exit 0",
    # the last argument is a command line for the login shell of the machine
    "ssh": 'exec sh -c "${@: -1}"',
}
EVIL = (
    "$(touch ran)",
    "`touch ran`",
    "'; touch ran; '",
    '"; touch ran; "',
    "\ntouch ran\n",
    "\n#SBATCH --wrap=ran\n",
    "& touch ran &",
    "a b",
    "--debug",
    "\\",
    "!ran",
    "*",
    "é☃",
)
evil = st.lists(st.sampled_from(EVIL), min_size=1, max_size=3).map("".join)
names = evil.filter(lambda name: "/" not in name and len(name.encode()) < 200)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    for name, script in STUBS.items():
        program(folder / name, f"#!/bin/bash\n{script}\n")
    return folder


def program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def evil_work(room: Path, folder: str, file: str, name: str = "study") -> Work:
    """A study whose every path is what a script might run."""
    place = room / folder
    place.mkdir()
    python = place / f"python {file}"
    program(python, PYTHON_STUB)
    setup = place / f"setup {file}"
    setup.write_text("SET_UP=yes\n")
    return Work(name, f"{file}.toml", f"{file} out", str(place), str(python), str(setup))


def run(script: str, room: Path, stubs: Path) -> list[list[str]]:
    """The folder and arguments of each call of Python, from a script that is run to its end."""
    notes = room / "notes"
    file = room / "script.sh"
    file.write_text(script, "utf-8")
    subprocess.run(["bash", "-n", file], check=True)
    slurm_says = {
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURMD_NODENAME": "n1",
        "SLURM_JOB_ID": "11",
        "SLURM_CPUS_PER_TASK": "4",
    }
    environ = {"PATH": f"{stubs}:{os.environ['PATH']}", "NOTES": str(notes), **slurm_says}
    environ["RAY_ADDRESS"] = "127.0.0.1:7777"
    done = subprocess.run(
        ["bash", file],
        cwd=room,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(room.rglob("ran*")), "a value was run"
    calls = notes.read_bytes().decode().split("\0\0")
    return [call.split("\0") for call in calls if call]


def assert_values_arrive(calls: list[list[str]], work: Work) -> None:
    study = f"./{work.study}" if work.study.startswith("-") else work.study
    out = f"./{work.out}" if work.out.startswith("-") else work.out
    (run_call,) = [call for call in calls if "run" in call]
    assert run_call[:7] == [work.folder, "-P", "-m", "search", "run", study, "--out"]
    assert run_call[7] == out
    assert {call[0] for call in calls if "search" in call} == {work.folder}


@settings(max_examples=20)
@given(folder=names, file=names)
def test_slurm_runs_nothing_that_is_in_a_value(
    folder: str, file: str, stubs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = tmp_path_factory.mktemp("room")
    work = evil_work(room, folder, file)
    assert_values_arrive(run(slurm.render(work, ALLOCATION), room, stubs), work)


@settings(max_examples=8)
@given(folder=names, file=names)
def test_ssh_runs_nothing_that_is_in_a_value(
    folder: str, file: str, stubs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = tmp_path_factory.mktemp("room")
    work = evil_work(room, folder, file, name=folder)
    machines = ssh.Machines([f"ada@{file}", folder.lstrip("-") or "two"], head=file)
    assert_values_arrive(run(ssh.render(work, machines), room, stubs), work)


@settings(max_examples=8)
@given(folder=names, file=names)
def test_a_job_runs_nothing_that_is_in_a_value(
    folder: str, file: str, stubs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = tmp_path_factory.mktemp("room")
    work = replace(evil_work(room, folder, file, name=folder), out=str(room / f"{file} out"))
    for package in jobs.OURS:
        (room / "code" / package).mkdir(parents=True)
    jobs.pack(room, work, {"study.toml": ""}, room / "code")
    (call,) = [call for call in run((room / "run.sh").read_text(), room, stubs) if "run" in call]
    assert call[0] == f"{work.out}/{work.name}.files"
    assert call[1:5] == ["-P", "-m", "search", "run"]
    assert call[6:] == ["--out", work.out]


@pytest.mark.parametrize("begun", [False, True])
def test_a_study_in_an_object_store_is_asked_for_there(
    begun: bool, stubs: Path, tmp_path: Path
) -> None:
    work = replace(evil_work(tmp_path, "place", "file"), out="s3://bucket/a b")
    if begun:
        (tmp_path / "place/begun").touch()
    calls = run(ssh.render(work, ssh.Machines(["one", "two"])), tmp_path, stubs)
    (asked,) = [call for call in calls if "status" in call]
    assert asked[-1] == "s3://bucket/a b/study"
    (last,) = [call for call in calls if {"run", "resume"} & set(call)]
    assert last[4:6] == (["resume", asked[-1]] if begun else ["run", "file.toml"])


@settings(max_examples=20)
@given(name=names, setup=names)
def test_kubernetes_runs_nothing_that_is_in_a_value(
    name: str, setup: str, stubs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = tmp_path_factory.mktemp("room")
    work = evil_work(room, "place", setup)
    rendered = kubernetes.render(
        Work(name, "any", "any", "any", work.python, work.setup), PODS, STUDY + f"# {name!r}\n"
    )
    described, job = yaml.safe_load_all(rendered)
    assert job["spec"]["entrypoint"] == "bash /seqtune/run.sh"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,44}[a-z0-9])?", job["metadata"]["name"])
    items = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"][0]
    keys = {item["path"]: item["key"] for item in items["configMap"]["items"]}
    assert described["data"][keys["study.toml"]] == STUDY + f"# {name!r}\n"
    script = described["data"][keys["run.sh"]].replace("folder=/seqtune", "folder=.")
    (call,) = [call for call in run(script, room, stubs) if "run" in call]
    assert call[1:8] == ["-P", "-m", "search", "run", "study.toml", "--out", "/results"]


def test_values_that_would_leave_an_sbatch_line_are_refused() -> None:
    with pytest.raises(ValueError, match="`partition` must be letters"):
        slurm.render(WORK, slurm.Allocation(partition="gpu\ntouch ran"))
    with pytest.raises(ValueError, match="`job-name` must be letters"):
        slurm.render(Work("a b", "s", "o", "f", "p"), ALLOCATION)
    with pytest.raises(ValueError, match="`--out` on a file system that its machines share"):
        slurm.render(replace(WORK, out="s3://bucket/x"), ALLOCATION)
    assert check_plain("gres", "gpu:a100:2,tmp=4G") == "gpu:a100:2,tmp=4G"


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_comment_stays_one(line_end: str) -> None:
    assert all(line.startswith("#") for line in comment(f"a{line_end}touch ran").splitlines())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: slurm.Allocation(nodes=0), "`nodes` must be at least 1, got 0"),
        (lambda: slurm.Allocation(time="soon"), "`time` must be a time as Slurm writes it"),
        (lambda: ssh.Machines([]), "`hosts` must name at least one machine"),
        (lambda: ssh.Machines(["-oProxyCommand=touch ran"]), "a machine must be a host"),
        (lambda: kubernetes.Pods("i", "c", "2.60.0", cpus=0), "`cpus` must be at least 1"),
        (
            lambda: kubernetes.Pods("i", "c", "2.60.0", files={"../x": ""}),
            "must lie below the folder",
        ),
    ],
)
def test_wrong_requests_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


SCHEMA = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "changes", [{}, {"workers": 0, "gpus": 2}, {"retries": 0, "files": {}}, {"memory": "1.5Gi"}]
)
def test_the_manifest_is_one_that_kuberay_takes(changes: dict[str, Any]) -> None:
    pods = replace(PODS, **changes)
    described, job = yaml.safe_load_all(kubernetes.render(WORK, pods, STUDY))
    jsonschema.validate(job, SCHEMA)
    spec = job["spec"]
    cluster, template = spec["rayClusterSpec"], spec["rayClusterSpec"]["headGroupSpec"]["template"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert (spec["backoffLimit"], spec["shutdownAfterJobFinishes"]) == (pods.retries, True)
    script = next(text for text in described["data"].values() if "-m search" in text)
    assert "search resume" in script  # what a new cluster does after a lost one
    groups = [template, *(group["template"] for group in cluster["workerGroupSpecs"])]
    assert len(groups) == (2 if pods.workers else 1)
    for pod in groups:
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        (container,) = pod["spec"]["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["study"]["configMap"]["name"] == described["metadata"]["name"]
        keys = [item["key"] for item in volumes["study"]["configMap"]["items"]]
        assert set(keys) == set(described["data"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("backoffLimit",), "3"),
        (("backOffLimit",), 3),
        (("submissionMode",), "K8sJob"),
        (("rayClusterSpec", "authOptions", "mode"), "on"),
        (("rayClusterSpec", "authentication"), {}),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
    ],
)
def test_a_manifest_that_kuberay_would_refuse_is_noticed(
    place: tuple[str, ...], value: Any
) -> None:
    _, job = yaml.safe_load_all(kubernetes.render(WORK, PODS, STUDY))
    table = job["spec"]
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, SCHEMA)


def test_two_studies_never_share_a_name_in_kubernetes() -> None:
    names = ["a", "A", "a_b", "a.b", "a-b", "x" * 100, "x" * 99 + "y", "a-"]
    assert len({kubernetes.resource_name(name) for name in names}) == len(names)
    assert all(len(kubernetes.resource_name(name)) <= kubernetes.LONGEST_NAME for name in names)


# ---- the Slurm script at its time limit -------------------------------------------------------

LATE_PYTHON = """#!/bin/bash
case "$*" in
    *"import secrets"*) echo 0123abcd ;;
    *"cluster.node address "*) echo 127.0.0.1:7777 ;;
    *"cluster.node"*) until [ -e steps_ended ]; do sleep 0.05; done ;;
    *"cluster check"*) ;;
    *) mkdir -p results/chorales
       echo "$RAY_AUTH_MODE $4" >> driven
       if [ -n "$TRAINED" ]; then echo '{"event":"reported"}' >> results/chorales/events.jsonl; fi
       trap 'exit '"$LEAVES_WITH" USR1
       kill -USR1 "$PPID"
       for _ in {1..100}; do sleep 0.05; done ;;
esac
"""


@pytest.fixture
def job(tmp_path: Path, stubs: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run the batch script up to its time limit; its exit code and what was called."""
    python = tmp_path / "python"
    program(python, LATE_PYTHON)
    tools = tmp_path / "tools"
    tools.mkdir()
    steps = 'case "$*" in *--signal=TERM*) touch steps_ended; exit 0 ;; esac'
    for name in ("sbatch", "scancel"):
        note = (
            f'echo "{name} $* token=${{RAY_AUTH_TOKEN-none}}" >> {shlex.quote(str(tmp_path))}/calls'
        )
        program(
            tools / name, f"#!/bin/bash\n{steps}\n{note}\n[ {name} = sbatch ] && echo 12\nexit 0\n"
        )
    work = Work("chorales", "chorales.toml", "results", str(tmp_path), str(python))
    script = tmp_path / "script.sh"
    script.write_text(slurm.render(work, ALLOCATION))

    def run_job(**environ: str) -> tuple[int, str]:
        path = f"{tools}:{stubs}:{os.environ['PATH']}"
        said = {"SLURM_JOB_NODELIST": "n", "SLURMD_NODENAME": "n1", "SLURM_JOB_ID": "11"}
        done = subprocess.run(
            ["bash", script],
            env={"PATH": path, "SLURM_CPUS_PER_TASK": "1", **said, **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        calls = tmp_path / "calls"
        return done.returncode, calls.read_text() if calls.exists() else ""

    yield run_job
    assert (tmp_path / "driven").read_text().startswith("token run")


def test_at_its_time_limit_a_job_hands_on_to_the_next(
    job: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, calls = job(TRAINED="yes", LEAVES_WITH="138")
    script = tmp_path / "script.sh"
    assert calls == f"sbatch --parsable --dependency=afterany:11 {script} token=none\n"
    assert code == 0


def test_a_job_that_trained_nothing_has_no_follower(job: Callable[..., tuple[int, str]]) -> None:
    assert job(TRAINED="", LEAVES_WITH="138") == (138, "")


def test_a_study_that_ends_at_its_time_limit_takes_its_follower_back(
    job: Callable[..., tuple[int, str]],
) -> None:
    code, calls = job(TRAINED="yes", LEAVES_WITH="0")
    assert code == 0
    assert calls.splitlines()[1].startswith("scancel 12 ")


def test_a_study_that_is_there_is_resumed(
    job: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "driven").write_text("token run of before\n")
    (tmp_path / "results/chorales").mkdir(parents=True)
    (tmp_path / "results/chorales/study.toml").touch()
    assert job(TRAINED="", LEAVES_WITH="0")[0] == 0
    assert (tmp_path / "driven").read_text().splitlines()[1] == "token resume"
