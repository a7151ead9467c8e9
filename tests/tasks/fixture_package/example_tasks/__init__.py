"""One task for mlsbench, as a package outside of it would offer it."""

from pathlib import Path


def folder() -> Path:
    """The task's folder."""
    return Path(__file__).parent / "tiny-loss"
