"""When the machine fails a job, its reason says what mends it; what is not known is passed on as it is."""

from __future__ import annotations

import pytest

from mlsbench.harness.remedies import remedied


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("OSError: [Errno 28] No space left on device: '/job/weights.safetensors'", "the disk is full"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "the GPU is full"),
        ("torch.AcceleratorError: CUDA error: out of memory", "the GPU is full"),
        ("RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable", "the GPU is busy"),
        ("torch.AcceleratorError: CUDA error: unspecified launch failure", "the GPU was lost or failed"),
        ("RuntimeError: No CUDA GPUs are available", "the GPU was lost or failed"),
    ],
)
def test_a_known_failure_comes_with_its_remedy(said: str, remedy: str) -> None:
    assert remedied(said).startswith(f"{said} ({remedy}")


def test_an_unknown_failure_is_passed_on() -> None:
    assert remedied("ValueError: x") == "ValueError: x"
