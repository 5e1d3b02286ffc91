"""What torch computes on in this process: threads, devices, and the ways memory runs out."""

import gc
import platform
from contextlib import AbstractContextManager, nullcontext

import torch


def use_threads(threads: int) -> None:
    """Let one operation of torch use so many CPU threads."""
    torch.set_num_threads(threads)


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
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
