"""Bytes that a training step takes."""

import os
import re
import resource

import torch


def saved_bytes(step, device):
    """Return the bytes that a step's forward saves for its backward.

    Arguments
    ---------
    step : callable
        Returns the loss.
    device : str
        Where it computes.

    Returns
    -------
    int
        What it has allocated and not given back.
    """
    step()  # allocates what stays
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated()
        loss = step()
        kept = torch.cuda.memory_allocated() - before
    else:
        with torch.autograd.profiler.profile(
            use_kineto=False, profile_memory=True
        ) as profile:
            loss = step()
        kept = sum(e.self_cpu_memory_usage for e in profile.function_events)
    assert loss.requires_grad  # and so it holds what is kept
    return kept


def forget_peak():
    """Reset the peak memory."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if os.path.exists("/proc/self/clear_refs"):
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")


def peak_bytes(chosen):
    """Return the peak memory since the reset, of the device or this process."""
    if torch.device(chosen.device).type == "cuda":
        return torch.cuda.max_memory_allocated()
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as stream:
            status = dict(line.split(":", 1) for line in stream)
        return int(status["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def read_size(text):
    """Return the bytes of ``4GiB`` or ``500MiB``."""
    found = re.fullmatch(r"([\d.]+)\s*(G|M)iB", text)
    if not found:
        raise SystemExit(f"error: --memory {text}: write 4GiB or 500MiB")
    return float(found[1]) * 2 ** {"G": 30, "M": 20}[found[2]]
