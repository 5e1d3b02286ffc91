"""What people ask of a running study: small files in `requests/`, which its driver takes in."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from cluster.bucket import Bucket
from search.store.copies import origin_of

REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """That one trial end, or the whole study.

    Args:
        trial: None for the study.
    """

    trial: int | None = None


@dataclass(frozen=True, slots=True)
class ExtendRequest:
    """That the study go on with changes.

    Args:
        extension: As JSON, see `Extension`.
    """

    extension: dict[str, Any]


Request = StopRequest | ExtendRequest
KINDS: dict[str, type[Request]] = {"stop": StopRequest, "extend": ExtendRequest}


class Asked(Protocol):
    """A request that was left."""

    def exists(self) -> bool:
        """Whether it still waits to be taken."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request in an object store."""

    bucket: Bucket
    name: str

    def exists(self) -> bool:
        """Whether it still waits to be taken."""
        return self.name in self.bucket.sizes(REQUESTS)


def ask(directory: Path, request: Request) -> Asked:
    """Leave a request for the driver of the study in `directory`; it goes once it is taken.

    Raises:
        OSError: It cannot be written.
    """
    name = f"{time.time_ns():020d}-{uuid4().hex[:8]}.json"
    (kind,) = (name for name, made in KINDS.items() if isinstance(request, made))
    text = json.dumps({kind: asdict(request)})
    url = origin_of(directory)
    if url is not None:
        sent = SentRequest(Bucket(url), f"{REQUESTS}/{name}")
        sent.bucket.write(sent.name, text.encode())
        return sent
    folder = directory / REQUESTS
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}"
    draft.write_text(text, encoding="utf-8")
    draft.replace(folder / name)
    return folder / name


def take_requests(directory: Path) -> list[Request]:
    """The requests that wait, oldest first; they are removed, and so is what is no request."""
    taken = []
    for file in sorted((directory / REQUESTS).glob("[0-9]*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            ((kind, asked),) = json.loads(file.read_text("utf-8")).items()
            request = KINDS[kind](**asked)
            file.unlink()
            taken.append(request)
        with suppress(OSError):
            file.unlink(missing_ok=True)
    return taken
