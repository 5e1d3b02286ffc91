"""A folder in an object store, `s3://` or `gs://`, through pyarrow, with short patience."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

CONNECT_SECONDS = 5
REQUEST_SECONDS = 30
ATTEMPTS = 3
DEFAULT_REGION = "us-east-1"

URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)")
"""With one slash, too: `pathlib.Path` makes `s3:/bucket` of `s3://bucket`."""

REFUSED = (
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|TOKEN|PERMISSION|UNAUTH|access token|\b40[13]\b"
)
ABSENT = r"NO_SUCH_BUCKET|bucket does not exist|Bucket .* not found"


def url_of(place: str | Path) -> str | None:
    """The URL that `place` is; None if it is a folder of this machine.

    Raises:
        ValueError: It is a URL, and not one of an object store that can be had.
    """
    found = URL.fullmatch(str(place))
    if found is None:
        return None
    scheme, rest = found[1], found[2].rstrip("/")
    if scheme not in ("s3", "gs") or not rest:
        raise ValueError(
            f"results go to a folder, to s3://BUCKET/FOLDER or to gs://BUCKET/FOLDER, got {place}"
        )
    if set(rest) & set("?#@"):  # keys in a URL would end in every log
        raise ValueError(
            "a URL of results has neither keys nor options: give these in the environment "
            f"(AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL), got {scheme}://..."
        )
    return f"{scheme}://{rest}"


class Bucket:
    """The objects below one URL, by their names from there.

    All methods raise an `OSError` of one sentence: `PermissionError` where keys are refused,
    `ConnectionError` where nothing answers, `FileNotFoundError` where there is no such bucket or,
    in `read`, no such object.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme, _, self._root = url.partition("://")
        with self._plainly():
            self._files = _s3(self._root) if scheme == "s3" else _gs()

    def read(self, name: str) -> bytes:
        """All of an object."""
        with self._plainly(name), self._files.open_input_stream(self._path(name)) as stream:
            content: bytes = stream.read()
        return content

    def read_beginning(self, name: str, size: int) -> bytes:
        """The first bytes of an object."""
        with self._plainly(name), self._files.open_input_file(self._path(name)) as file:
            content: bytes = file.read(size)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, whole or not at all."""
        with self._plainly(), self._files.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def delete(self, names: Iterable[str]) -> None:
        """Take objects away; those that are not there do not matter."""
        for name in names:
            try:
                with self._plainly(name):
                    self._files.delete_file(self._path(name))
            except FileNotFoundError:
                continue

    def delete_all(self) -> None:
        """Take everything away that is below this URL."""
        with suppress(FileNotFoundError), self._plainly():
            self._files.delete_dir(self._root)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The bytes of every object below a folder, by name."""
        found = self._list(folder, recursive=True)
        return {
            info.path[len(self._root) + 1 :]: info.size
            for info in found
            if info.type == fs.FileType.File
        }

    def folders(self) -> list[str]:
        """The names of the folders right here, in order."""
        found = self._list("", recursive=False)
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def files(self) -> list[str]:
        """The names of the objects right here, in order."""
        found = self._list("", recursive=False)
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def check(self) -> None:
        """See to it that it can be reached and read.

        Raises:
            OSError: It cannot.
        """
        bucket = self._root.partition("/")[0]
        try:
            with self._plainly():
                found = self._files.get_file_info(bucket).type
        except PermissionError:  # keys for this folder alone, perhaps
            self.folders()
            return
        if found == fs.FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket {bucket}: make it, or look at {self.url}")

    def _list(self, folder: str, *, recursive: bool) -> list[fs.FileInfo]:
        place = self._path(folder)
        with self._plainly():
            chosen = fs.FileSelector(place, allow_not_found=True, recursive=recursive)
            return list(self._files.get_file_info(chosen))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _plainly(self, name: str = "") -> Iterator[None]:
        """Say in one sentence what went wrong."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no {self.url}/{name}") from None
        except OSError as error:
            raise _plain(self.url, str(error)) from None


def _plain(url: str, reason: str) -> OSError:
    if re.search(ABSENT, reason):
        return FileNotFoundError(f"there is no bucket for {url}: make it, or look at its name")
    if re.search(REFUSED, reason):
        return PermissionError(
            f"{url} refuses: its keys are missing or wrong, or may not do this (for S3 "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for Google "
            "GOOGLE_APPLICATION_CREDENTIALS)"
        )
    detail = re.split(r"Details?: |last message of |operation: ", reason, maxsplit=1)[-1]
    short = " ".join(detail.split())[:160]
    return ConnectionError(f"{url} does not answer: {short}; is the network up?")


def _s3(root: str) -> fs.S3FileSystem:
    """With short patience: the defaults try for minutes."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options = {}
    if endpoint:
        split = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options = {"endpoint_override": split.netloc, "scheme": split.scheme}
    elif not region:
        region = fs.resolve_s3_region(root.partition("/")[0])
    return fs.S3FileSystem(
        region=region or DEFAULT_REGION,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # one request for a small object
        **options,
    )


def _gs() -> fs.GcsFileSystem:
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST")
    options = {}
    if endpoint:
        split = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        options = {
            "endpoint_override": split.netloc,
            "scheme": split.scheme,
            "anonymous": True,
        }
    return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=REQUEST_SECONDS), **options)
