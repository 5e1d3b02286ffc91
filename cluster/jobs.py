"""A study as a Ray Job: sent to a cluster with all that it needs, it runs there by itself."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.bucket import url_of
from cluster.connect import TOKEN_FILE, environment
from cluster.work import BEGUN, Work, no_option

OURS = ("cluster", "search", "spaces", "trainers")
FILES = "files"  # the study file and what it names, as they lie in the package
SCRIPT = "run.sh"
COMPANIONS = "study-files"
STOP_SECONDS = 60  # Ray's own three seconds are too short to save everything
LIVES = (JobStatus.PENDING, JobStatus.RUNNING)

# The package of a job is gone when the cluster is: its files go to the results, to be resumed from.
BODY = (
    f"""
{BEGUN}"""
    + r"""
export PYTHONPATH=$PWD
mkdir -p -- "$companions" && cp -R files/. "$companions" && cd -- "$companions" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
if begun; then
    exec "$python" -P -m search resume "$directory"
fi
exec "$python" -P -m search run "$study" --out "$out"
"""
)

QUESTION = r"""
export PYTHONPATH=$PWD
if [ -d "$companions" ]; then cd -- "$companions" || exit 2; fi
if [ -n "$setup" ]; then . "$setup"; fi
exec "$python" -P -m search """


@contextmanager
def client(address: str) -> Iterator[JobSubmissionClient]:
    """The cluster's Jobs API at `http://host:port`, and what goes wrong with it in one sentence.

    Raises:
        ConnectionError: It does not answer, or does not take our token, or refuses.
    """
    with environment(_authentication()):
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            os.environ.pop(name, None)  # either would win over the address that was given
        try:
            yield JobSubmissionClient(address)
        except (RuntimeError, ConnectionError, RayError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConnectionError(
                f"the Jobs API at {address} must answer (is the address right, and is the token in "
                f"RAY_AUTH_TOKEN or ~/{TOKEN_FILE} the cluster's?): {reason}"
            ) from None


def submit(address: str, work: Work, files: Mapping[str, Path | str], *, code: Path) -> str:
    """Send a study to the cluster and have it run; the job's name.

    Ray names the package by a digest of all its files, our own packages included: what has changed
    is sent anew, and nothing stale is ever run.

    Args:
        work: Its `out` is a folder of the cluster that all machines see, or a URL.
        files: By their paths beside the study file: text, or where to copy them from.
        code: The folder that holds our packages.

    Raises:
        ConnectionError: See `client`.
        OSError: A file cannot be read.
    """
    with TemporaryDirectory(prefix="seqtune-job-") as folder, client(address) as jobs:
        pack(Path(folder), work, files, code)
        return _send(jobs, folder, f"seqtune-{work.name}", _known(work))


def ask(address: str, job: str, words: Sequence[str], *, code: Path) -> str:
    """Have seqtune asked about a job's study, on the cluster, where its results are seen.

    Args:
        job: As `submit` named it.
        words: A command, and its options; the study's folder goes between.
        code: The folder that holds our packages.

    Returns:
        The name of the job that asks.

    Raises:
        ConnectionError: See `client`; also where there is no such job.
    """
    with TemporaryDirectory(prefix="seqtune-job-") as folder, client(address) as jobs:
        known = jobs.get_job_info(job).metadata or {}
        pack_question(Path(folder), known, words, code)
        return _send(jobs, folder, f"seqtune-{known['study']}-asked", known)


def pack_question(folder: Path, known: Mapping[str, str], words: Sequence[str], code: Path) -> None:
    """Put together what a question about a job is sent as."""
    _copy_code(folder, code)
    values = "".join(f"{name}={shlex.quote(value)}\n" for name, value in known.items())
    asked = f'{shlex.quote(words[0])} "$directory" {shlex.join(words[1:])}'.rstrip()
    (folder / SCRIPT).write_text(f"{values}{QUESTION}{asked}\n", encoding="utf-8")


def _send(jobs: JobSubmissionClient, folder: str, name: str, known: dict[str, str]) -> str:
    return str(
        jobs.submit_job(
            # no value of a user's: it is a line for a shell
            entrypoint=f"exec bash {SCRIPT}",
            submission_id=f"{name}-{uuid4().hex[:6]}",
            runtime_env={
                "working_dir": folder,
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
            },
            metadata=known,
        )
    )


def _known(work: Work) -> dict[str, str]:
    """What a question about the study needs to be asked."""
    return {
        "study": work.name,
        "directory": f"{no_option(work.out)}/{work.name}",
        "companions": _companions(work),
        "python": work.python,
        "setup": work.setup or "",
    }


def _companions(work: Work) -> str:
    """Where the study's files are kept; for results in an object store, with each job."""
    return f"{work.out}/{work.name}.files" if url_of(work.out) is None else COMPANIONS


def _copy_code(folder: Path, code: Path) -> None:
    for package in OURS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(code / package, folder / package, ignore=ignored)


def pack(folder: Path, work: Work, files: Mapping[str, Path | str], code: Path) -> None:
    """Put together what a job is sent as."""
    _copy_code(folder, code)
    for name, content in files.items():
        place = folder / FILES / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, place)
        else:
            place.write_text(content, encoding="utf-8")
    values = work.assignments(companions=_companions(work))
    (folder / SCRIPT).write_text(f"{values}{BODY.strip()}\n", encoding="utf-8")


def follow(address: str, job: str) -> Iterator[str]:
    """What a job prints, from its beginning to its end.

    Raises:
        ConnectionError: See `client`; also where there is no such job.
    """
    with client(address) as jobs:
        seen = 0
        while True:
            ended = jobs.get_job_status(job) not in LIVES
            text = jobs.get_job_logs(job)
            yield text[seen:]
            seen = len(text)
            if ended:
                return


def succeeded(address: str, job: str) -> bool:
    """Whether a job ended well."""
    with client(address) as jobs:
        return bool(jobs.get_job_status(job) == JobStatus.SUCCEEDED)


def stop(address: str, job: str) -> bool:
    """Ask a job to end with everything saved; False if it has ended already.

    Raises:
        ConnectionError: See `client`; also where there is no such job.
    """
    with client(address) as jobs:
        return bool(jobs.stop_job(job))


def _authentication() -> dict[str, str]:
    """Token authentication, unless the user says otherwise."""
    given = {name: os.environ.get(name, "") for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
    return given | {"RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}
