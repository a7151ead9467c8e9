"""Which devices there are, found out without importing torch here."""

from __future__ import annotations

import os
import subprocess
import sys

from mlsbench import UserError

# Without one of these device files there is no CUDA or ROCm device, and no need to wait for torch.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"


def devices(choice: str) -> list[str]:
    """The devices that `--device` names: ["cpu"], or all CUDA devices as "cuda:0" and so on.

    "auto" means CUDA if there is any. Raises UserError if "cuda" is asked for and there is none.
    """
    if choice == "cpu":
        return ["cpu"]
    count = _cuda_devices()
    if choice == "cuda" and not count:
        raise UserError("torch sees no CUDA device: `mlsbench doctor` tells more; --device cpu runs without one")
    return [f"cuda:{i}" for i in range(count)] or ["cpu"]


def _cuda_devices() -> int:
    if not any(os.path.exists(driver) for driver in DRIVERS):
        return 0
    done = subprocess.run([sys.executable, "-P", "-c", COUNT], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else 0
