"""What people ask of a running study: small files in `requests/`, which its driver takes in."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """That one trial end, or the whole study.

    Args:
        trial: None for the study.
    """

    trial: int | None = None


def ask(directory: Path, request: StopRequest) -> Path:
    """Leave a request for the driver of the study in `directory`; the file goes once it is taken.

    Raises:
        OSError: It cannot be written.
    """
    folder = directory / REQUESTS
    folder.mkdir(exist_ok=True)
    name = f"{time.time_ns():020d}-{uuid4().hex[:8]}.json"
    draft = folder / f".{name}"
    draft.write_text(json.dumps({"stop": asdict(request)}), encoding="utf-8")
    draft.replace(folder / name)
    return folder / name


def take_requests(directory: Path) -> list[StopRequest]:
    """The requests that wait, oldest first; they are removed, and so is what is no request."""
    taken = []
    for file in sorted((directory / REQUESTS).glob("[0-9]*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            request = StopRequest(**json.loads(file.read_text("utf-8"))["stop"])
            file.unlink()
            taken.append(request)
        with suppress(OSError):
            file.unlink(missing_ok=True)
    return taken
