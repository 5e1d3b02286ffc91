"""Studies in object stores, as folders of this machine: copies to read, and one to write.

Beside a copy lies the URL that it is a copy of. Whoever reads gets a copy of its own, brought up to
date when it is asked for; the driver of a study works in another one, which `mirror` sends.
"""

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from platformdirs import user_cache_path

from cluster.bucket import Bucket, url_of
from search.store.lock import LOCK, living_writer
from search.store.log import LOG
from search.store.segments import EVENTS, read_log

ORIGIN = ".origin"
CHECKPOINTS = "checkpoints"
READ, WRITTEN = "copies", "runs"
REFRESH_SECONDS = 2.0
SMALL = (".json", ".toml")
HEADER_BYTES = 120  # the first line of a log tells one study from another


def origin_of(directory: Path) -> str | None:
    """The URL of the study that `directory` is a copy of; None if it is the study itself."""
    folder = directory.absolute().parent
    if folder.parent not in (_home(READ), _home(WRITTEN)):
        return None
    return (folder / ORIGIN).read_text("utf-8")


def shown(directory: Path) -> str:
    """What people call the study in `directory`."""
    return origin_of(directory) or str(directory)


def fetched(place: str | Path) -> list[Path]:
    """Up-to-date copies of the study at a URL, or else of those right below it.

    Raises:
        FileNotFoundError: There is none.
        OSError: The store does not answer, or refuses.
        ValueError: The URL is not one of an object store, or a log is corrupt.
    """
    url = url_of(place)
    assert url is not None
    bucket = Bucket(url)
    folders = bucket.folders()
    if EVENTS in folders:
        return [_fetch(bucket)]
    inner = [Bucket(f"{url}/{name}") for name in folders]
    studies = [each for each in inner if EVENTS in each.folders()]
    if not studies:
        bucket.check()
        raise FileNotFoundError(f"{url} holds no study: it has no {EVENTS}")
    return [_fetch(each) for each in studies]


def refresh(directory: Path) -> None:
    """Bring a copy that is read up to date; a study's own folder is so already.

    It may be called often: an object store is asked once in a while.

    Raises:
        OSError: The store does not answer.
    """
    url = origin_of(directory)
    if url is None or _is_driven(directory):
        return
    known = directory.parent / ORIGIN
    if time.time() - known.stat().st_mtime >= REFRESH_SECONDS:
        known.touch()
        _fetch(Bucket(url))


def present(file: Path) -> Path:
    """The same file of `checkpoints/`; where its study is a copy, it is fetched if need be.

    Raises:
        OSError: The store does not answer.
    """
    directory = file.absolute().parents[1]
    url = None if file.exists() else origin_of(directory)
    if url is not None:
        with suppress(FileNotFoundError):
            _write(file, Bucket(url).read(file.relative_to(directory).as_posix()))
    return file


def workplace(place: str | Path, *, resume: bool) -> Path:
    """The folder in which the driver of a study works: its own, unless that is in an object store.

    Args:
        place: A folder, a URL, or a copy that was read.
        resume: The study is there already; else it must not be.

    Raises:
        FileExistsError, FileNotFoundError: It is there, or not.
        OSError: The store does not answer, or refuses.
    """
    url = url_of(place) or origin_of(Path(place))
    if url is None or _is_driven(Path(place)):
        return Path(place)
    bucket = Bucket(url)
    directory = _copy(WRITTEN, url)
    if living_writer(directory / LOCK) is not None:
        return directory  # which refuses another driver in its own words
    if resume:
        _check_out(bucket, directory)
        return directory
    if bucket.sizes(EVENTS):
        raise FileExistsError(
            f"{url} exists already: continue it with `seqtune resume {url}`, "
            "or give the study another name"
        )
    bucket.check()
    shutil.rmtree(directory, ignore_errors=True)  # of a study that somebody has deleted
    return directory


def drop(directory: Path) -> None:
    """Remove a copy, once all of it is in the store."""
    if origin_of(directory) is not None:
        shutil.rmtree(directory, ignore_errors=True)


def _check_out(bucket: Bucket, directory: Path) -> None:
    """Make the driver's copy; one of an earlier driver here may know more than the store."""
    _, there = read_log(bucket)
    log = directory / LOG
    here = log.read_bytes() if log.exists() else b""
    if not here.startswith(there):
        shutil.rmtree(directory, ignore_errors=True)
        here = there
    _get_small(bucket, directory)
    _write(log, here)
    (directory / CHECKPOINTS).mkdir(exist_ok=True)


def _fetch(bucket: Bucket) -> Path:
    """Bring the copy that is read up to date."""
    directory = _copy(READ, bucket.url)
    log = directory / LOG
    known = log.read_bytes() if log.exists() else b""
    start, added = read_log(bucket, len(known))
    if start > 0 and not _same_study(bucket, known):
        start, added = read_log(bucket)
    whole = known[:start] + added
    if start == 0 and known[:HEADER_BYTES] != whole[:HEADER_BYTES]:
        shutil.rmtree(directory, ignore_errors=True)
    _get_small(bucket, directory)
    if whole != known or not log.exists():
        _write(log, whole)
    try:
        _write(directory / LOCK, bucket.read(LOCK))
    except FileNotFoundError:
        (directory / LOCK).unlink(missing_ok=True)
    return directory


def _same_study(bucket: Bucket, known: bytes) -> bool:
    """Whether the store still has the study whose log begins so."""
    return bucket.read_beginning(min(bucket.sizes(EVENTS)), HEADER_BYTES) == known[:HEADER_BYTES]


def _get_small(bucket: Bucket, directory: Path) -> None:
    """The study file and what lies beside it, as far as reading needs it."""
    for name in bucket.files():
        if name.endswith(SMALL):
            _write(directory / name, bucket.read(name))


def _copy(kind: str, url: str) -> Path:
    folder = _home(kind) / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ORIGIN).exists():
        _write(folder / ORIGIN, url.encode())
    return folder / url.rpartition("/")[2]


def _is_driven(directory: Path) -> bool:
    return directory.absolute().parent.parent == _home(WRITTEN)


def _home(kind: str) -> Path:
    return user_cache_path("seqtune") / kind


def _write(file: Path, content: bytes) -> None:
    """A file in full, or as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{uuid4().hex[:8]}")
    draft.write_bytes(content)
    draft.replace(file)
