"""What torch computes on in this process: threads, devices, and the ways memory runs out."""

import gc
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from trainers.cuda_graphs import GRAPHS

MPS_FOLDER = "/tmp/nvidia-mps"  # noqa: S108 - where NVIDIA's daemon is unless told otherwise


def use_threads(threads: int) -> None:
    """Let one operation of torch use so many CPU threads."""
    torch.set_num_threads(threads)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside the block one operation of torch uses so many CPU threads."""
    before = torch.get_num_threads()
    use_threads(count)
    try:
        yield
    finally:
        use_threads(before)


def usual_device() -> str:
    """An accelerator where torch sees one, else the processor."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe_devices() -> list[str]:
    """What torch sees on this machine, in words: the processor, then each accelerator."""
    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return [platform.machine() or "unknown processor", *accelerators]


def full_precision(device: str) -> AbstractContextManager[object]:
    """Convolutions and recurrences in all the digits of their type.

    Without it, cuDNN takes float32 for TensorFloat-32, which has 10 bits where float32 has 23.
    """
    if torch.device(device).type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[object] = torch.backends.cudnn.flags(
        enabled=True, deterministic=True, allow_tf32=False
    )
    return flags


@dataclass(frozen=True, slots=True)
class Accelerator:
    """The GPU that this process uses.

    Attributes:
        process_bytes: What it holds besides tensors: CUDA, libraries, and whatever others hold.
        overlaps: Whether processes compute on it at once (CUDA MPS), not in turn.
    """

    name: str
    memory_bytes: int
    process_bytes: int
    overlaps: bool


def accelerator() -> Accelerator:
    """The GPU of this process; asked after some work on it, when all libraries are loaded.

    Raises:
        ValueError: Torch sees none.
    """
    if not torch.cuda.is_available():
        raise ValueError(
            "torch must see a GPU where Ray has one, and it sees none: give that machine a torch "
            "with CUDA and a driver for it, or the study `resources.gpus_per_trial=0`"
        )
    free, whole = torch.cuda.mem_get_info()
    held = whole - free - torch.cuda.memory_reserved()
    return Accelerator(torch.cuda.get_device_name(), whole, max(held, 0), mps_is_on())


def mps_is_on() -> bool:
    """Whether processes here compute on a GPU at once: whether NVIDIA's MPS daemon listens.

    Reference:
        NVIDIA, Multi-Process Service: clients connect by themselves through that folder.
    """
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", MPS_FOLDER), "control").exists()


def limit_memory(share: float, tensor_bytes: int | None) -> None:
    """Let the tensors of this process take so much of its GPU, and no more.

    Args:
        share: Of the whole memory; `tensor_bytes` is less, where it is known.
    """
    _, whole = torch.cuda.mem_get_info()
    fraction = share if tensor_bytes is None else min(tensor_bytes / whole, share)
    torch.cuda.set_per_process_memory_fraction(fraction)


def begin_peak(device: str) -> None:
    """Forget the peak of what tensors took so far."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str) -> dict[str, int]:
    """`peak_memory_bytes` of tensors since `begin_peak`; empty on a processor."""
    if torch.device(device).type != "cuda":
        return {}
    return {"peak_memory_bytes": torch.cuda.max_memory_allocated(device)}


def device_sizes() -> list[tuple[str, int]]:
    """Name and bytes of each accelerator that torch sees."""
    seen = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [(device.name, device.total_memory) for device in seen]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a device or this machine has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch raises a plain RuntimeError when the processor's memory runs out
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory() -> None:
    """Give back what a finished model held, on an accelerator too."""
    GRAPHS.forget()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
