"""A study sent to a cluster as a Ray Job: what goes with it, and what is said about it."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import tomli_w

from cluster.bucket import url_of
from cluster.jobs import ask, follow, stop, submit, succeeded
from cluster.work import Work
from search.runner.packages import ROOT
from search.study import Study
from search.study_file import read_toml
from search.terminal.request import anchored

STUDY = "study.toml"
SPLITS = ("data", "valid", "test")
DONE, FAILED = 0, 1
ASKED = ("status", "watch", "stop", "resume", "confirm", "leaderboard")

Files = dict[str, Path | str]


def submit_study(
    study: Path, address: str, work: Mapping[str, Any], say: Callable[[str], object]
) -> str:
    """Send a study with all that it names; the job's name.

    Args:
        work: What `Work` asks for besides the study.

    Raises:
        ValueError: The study is wrong, or the results would go into a folder of one machine.
        OSError: A file cannot be read, or the cluster does not answer.
    """
    _check_extra()
    if url_of(work["out"]) is None and not PurePosixPath(work["out"]).is_absolute():
        raise ValueError(
            "`--out` must be the whole path of a folder that all machines of the cluster see, or a "
            f"URL, got {work['out']!r}"
        )
    name, files = parcel(study)
    job = submit(address, Work(name, STUDY, folder=".", **work), files, code=ROOT)
    say(f"{name} runs as job {job}; this terminal is not needed any more")
    say(f"follow it: seqtune cluster logs {job} --address {address}")
    say(f"end it, everything saved: seqtune cluster stop {job} --address {address}")
    say(f"ask for more of it: seqtune cluster ask --address {address} {job} status")
    say(f"submit it again to go on with it; results are in {work['out']}/{name}")
    return job


def parcel(study: Path) -> tuple[str, Files]:
    """The study's name, and the files that it needs where it runs: itself, families and data.

    Raises:
        OSError: The study file cannot be read.
        ValueError: The study is wrong, or a family lies where it cannot be sent from.
    """
    mapping = read_toml(study)
    checked = Study.from_mapping(anchored(mapping, study.parent))
    files: Files = {}
    if isinstance(mapping.get("data"), Mapping):
        mapping["data"] = {**mapping["data"], **_data(mapping["data"], study.parent, files)}
    for family in checked.families:
        file, colon, _ = family.rpartition(":")
        if colon and (Path(file).is_absolute() or ".." in Path(file).parts):
            raise ValueError(f"a family of your own must lie below this folder, got {file!r}")
        if colon:
            files[file] = Path(file)
    files[STUDY] = tomli_w.dumps(mapping)
    return checked.name, files


def tell(address: str, job: str, say: Callable[[str], object]) -> int:
    """What a job prints, until it ends; the exit code says whether it ended well.

    Raises:
        OSError: The cluster does not answer, or has no such job.
    """
    _check_extra()
    for text in follow(address, job):
        say(text)
    return DONE if succeeded(address, job) else FAILED


def ask_job(address: str, job: str, words: Sequence[str], say: Callable[[str], object]) -> int:
    """What a command says of a job's study, asked on the cluster; the exit code, 1 for all faults.

    Args:
        words: One of `ASKED`, and its options.

    Raises:
        ValueError: There is no such command for it.
        OSError: The cluster does not answer, or has no such job.
    """
    _check_extra()
    if words[0] not in ASKED:
        raise ValueError(f"a job can be asked for {', '.join(ASKED)}, got {words[0]!r}")
    return tell(address, ask(address, job, words, code=ROOT), say)


def stop_job(address: str, job: str, say: Callable[[str], object]) -> None:
    """Ask a job to end with everything saved.

    Raises:
        ValueError: It has ended already.
        OSError: The cluster does not answer, or has no such job.
    """
    _check_extra()
    if not stop(address, job):
        raise ValueError(f"job {job} must be running to be stopped, and it has ended")
    say(f"{job} saves everything and ends; submit its study again to go on with it")


def _data(table: Mapping[str, Any], folder: Path, files: Files) -> dict[str, list[str]]:
    """The data files by where they will lie, each noted in `files`."""
    there: dict[str, list[str]] = {}
    for split in SPLITS:
        given = table.get(split, [])
        for file in [given] if isinstance(given, str) else given:
            name = f"data/{len(files)}-{Path(file).name}"
            files[name] = folder / file
            there.setdefault(split, []).append(name)
    return there


def _check_extra() -> None:
    if find_spec("aiohttp") is None:
        raise ValueError("Ray Jobs need more of Ray: pip install 'seqtune[cluster]'")
