"""What a job's process says when the machine fails it, and what helps."""

from __future__ import annotations

import re

REMEDIES = (
    (r"No space left on device", "the disk is full: free some space; `mlsbench doctor` says where"),
    (r"CUDA out of memory|CUDA error: out of memory", "the GPU is full: `nvidia-smi` tells by what; try fewer --jobs"),
    (
        r"CUDA-capable device\(s\) is/are busy|exclusive-thread device already in use",
        "the GPU is busy with a process that shares it with nobody: `nvidia-smi` tells which",
    ),
    (
        r"CUDA (?:driver )?error|cuDNN error|cublas\w* failed|No CUDA GPUs are available|device-side assert",
        "the GPU was lost or failed: see whether `nvidia-smi` works, and the kernel's log for Xid",
    ),
)


def remedied(text: str) -> str:
    """`text` with what mends it, if that is known."""
    for expression, remedy in REMEDIES:
        if re.search(expression, text):
            return f"{text} ({remedy})"
    return text
