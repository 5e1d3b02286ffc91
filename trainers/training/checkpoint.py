"""The whole state of a training in one file: tensors in safetensors, JSON in its header.

A checkpoint is there in full or not at all, and a damaged one is refused. Nothing is pickled.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

FORMAT: Final = 1
"""Version of the format; a change that older programs cannot read raises it."""


class UnusableCheckpointError(OSError):
    """A file that is no checkpoint, or one that is damaged or of another format."""


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one at `path`, which stays whole until then.

    Args:
        state: JSON.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, "sum": _sum(held), "state": dict(state)}
    # two machines may write it at a time, where one was cut off: processes there can share a number
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        with temporary.open("wb") as file:
            file.write(save(held, {"seqtune": json.dumps(header)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_checkpoint(path: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON state of a checkpoint.

    Raises:
        FileNotFoundError: There is none.
        UnusableCheckpointError: The file is damaged, of another format or no checkpoint at all.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _header(file.metadata(), path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except SafetensorError as error:
        raise UnusableCheckpointError(f"{path} is damaged or no checkpoint: {error}") from None
    if _sum(tensors) != header["sum"]:
        raise UnusableCheckpointError(f"{path} is damaged: its contents do not match their sum")
    held = {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}
    return held, header["state"]


def _header(metadata: dict[str, str] | None, path: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((metadata or {})["seqtune"])
        found = header["format"]
    except (KeyError, TypeError, ValueError):
        raise UnusableCheckpointError(f"{path} is no checkpoint of seqtune") from None
    if found != FORMAT:
        raise UnusableCheckpointError(
            f"{path} is of format {found}, and this version of seqtune reads format {FORMAT}"
        )
    return header


def _sum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over names and bytes: bits that a disk or a copy has turned."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        flat = tensors[name].reshape(-1).view(torch.uint8)
        total = zlib.crc32(flat.numpy().data, total)
    return total


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
