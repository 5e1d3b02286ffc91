"""Fetch files of a benchmark once, check them byte for byte, and keep them in a cache folder."""

import hashlib
import os
import urllib.request
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from platformdirs import user_cache_path

# Called with the bytes fetched so far and the bytes to fetch in all.
Progress = Callable[[int, int], None]

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60.0
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that everybody has alike: where it comes from, where it goes, and its sum.

    Attributes:
        path: Its place in the cache folder, with forward slashes.
        sha256: In hexadecimal digits.
    """

    path: str
    url: str
    size_bytes: int
    sha256: str

    def is_present(self, cache: Path) -> bool:
        """Whether a file of the right size is there; its sum is checked when it is used."""
        target = cache / self.path
        return target.is_file() and target.stat().st_size == self.size_bytes

    def check(self, cache: Path) -> Path:
        """The file in the cache, byte for byte the one expected.

        Raises:
            FileNotFoundError: It is not there.
            OSError: It is there with another size or sum.
        """
        target = cache / self.path
        size, digest = 0, hashlib.sha256()
        with target.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                digest.update(chunk)
        if problem := self._problem(size, digest.hexdigest()):
            raise OSError(
                f"{target} is not the file expected: {problem}. It is neither used nor changed; "
                f"delete or move it, and it is fetched again from {self.url}"
            )
        return target

    def fetch(self, cache: Path) -> Path:
        """The file in the cache, fetched if it is not there yet.

        It is written under another name and renamed at the end, so that an interrupted download
        leaves nothing that looks like the file.

        Raises:
            OSError: It cannot be fetched or stored, or is not the file expected.
        """
        target = cache / self.path
        if target.exists():
            return self.check(cache)
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._download(partial)
            partial.replace(target)
        except OSError as error:
            if isinstance(error, _DownloadError):
                raise
            raise OSError(
                f"cannot store {target}: {error.strerror or error}; "
                f"set SEQTUNE_DATA to a folder that may be written to and has room"
            ) from error
        finally:
            if partial.exists():
                partial.unlink()
        return target

    def _download(self, partial: Path) -> None:
        size, digest = 0, hashlib.sha256()
        with partial.open("wb") as file, closing(self._chunks()) as chunks:
            for chunk in chunks:
                size += len(chunk)
                digest.update(chunk)
                file.write(chunk)
                if size > self.size_bytes:  # no need to read on: it is another file
                    break
        if problem := self._problem(size, digest.hexdigest()):
            raise _DownloadError(
                f"{self.url} did not send the file expected: {problem}. Nothing was stored; "
                f"try again, or put the right file at {self.path} in the folder SEQTUNE_DATA"
            )

    def _chunks(self) -> Generator[bytes]:
        """The bytes behind the address; what goes wrong on the way is told in one sentence."""
        try:
            with urllib.request.urlopen(  # noqa: S310 - addresses come from our own tables
                self.url, timeout=TIMEOUT_SECONDS
            ) as response:
                while chunk := response.read(CHUNK_BYTES):
                    yield chunk
        except HTTPError as error:
            error.close()  # it is an open response, too
            raise self._unreachable(str(error)) from error
        except (OSError, HTTPException) as error:
            raise self._unreachable(str(getattr(error, "reason", error))) from error

    def _unreachable(self, reason: str) -> "_DownloadError":
        return _DownloadError(
            f"cannot fetch {self.url}: {reason}; without a network, set SEQTUNE_DATA to a folder "
            f"that has it at {self.path}"
        )

    def _problem(self, size: int, sha256: str) -> str:
        if size != self.size_bytes:
            found = f"more than {self.size_bytes:,}" if size > self.size_bytes else f"{size:,}"
            return f"it has {found} bytes instead of {self.size_bytes:,}"
        if sha256 != self.sha256:
            return f"its sha256 is {sha256} instead of {self.sha256}"
        return ""


class _DownloadError(OSError):
    """What the other side did; its words are complete."""


def cache_folder() -> Path:
    """Where benchmark files are kept: SEQTUNE_DATA, else the platform's cache folder."""
    chosen = os.environ.get("SEQTUNE_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_path("seqtune") / "benchmarks"


def fetch_all(
    files: Iterable[RemoteFile], cache: Path, progress: Progress | None = None
) -> list[Path]:
    """Every file in the cache, in order; those already there are checked, the others fetched.

    Raises:
        OSError: A file cannot be had, as `RemoteFile.fetch` says; no further one is begun.
    """
    files = list(files)
    missing = []
    for file in files:
        if (cache / file.path).exists():
            file.check(cache)
        else:
            missing.append(file)
    done, total = 0, sum(file.size_bytes for file in missing)
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        fetched = pool.map(lambda file: file.fetch(cache), missing)
        for file, _ in zip(missing, fetched, strict=True):
            done += file.size_bytes
            if progress:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return [cache / file.path for file in files]
