"""Which process may write a job's folder: one at a time, whatever else runs on the machine."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlsbench import UserError
from mlsbench.harness.plan import Job
from mlsbench.scoring.record import RECORD_FILE, read_record

HALF_WRITTEN = re.compile(
    r"\.(record\.json|scores\.npz|weights\.safetensors|curve\.csv|submission\.py)\.[0-9a-f]{8}\.tmp"
)


class ClaimedError(UserError):
    """Another process is running this very job."""


@contextmanager
def claimed(job: Job) -> Iterator[Job]:
    """`job` with a folder that is this process's alone until the end; the kernel ends a claim with its process.

    Half-written files that a killed job left there are removed, before and after: the job of a command that was killed
    may live for a moment longer than its claim.

    If another job (of another key, device or torch) is writing the folder, it is `<folder>-<first 8 of the job key>`.
    Raises ClaimedError if another process is running this very job.
    """
    key = job.setting.job_key(job.entry.submission)
    for folder in (job.folder, job.folder.with_name(f"seed-{job.setting.seed}-{key[:8]}")):
        if linked := [part for part in (folder, *folder.parents[:3]) if part.is_symlink()]:
            raise UserError(f"{linked[0]} is a symbolic link, and nothing is written through one; move it away")
        folder.mkdir(parents=True, exist_ok=True)
        with _open_lock(folder / ".lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                if lock.read() in (key, ""):
                    break
                continue
            record = folder / RECORD_FILE
            if record.exists() and read_record(record).job_key != key:
                continue  # the other job ended after this one was planned
            lock.truncate(0)
            lock.write(key)
            lock.flush()
            _remove_half_written(folder)
            try:
                yield job.model_copy(update={"folder": folder})
            finally:
                _remove_half_written(folder)
            return
    raise ClaimedError(f"another process is running {job.label} of this entry in {job.folder}; wait for it or end it")


def _open_lock(path: Path) -> IO[str]:
    """The lock file, made if missing. UserError if a link, a pipe or a device stands in its place."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise UserError(f"{path} is no regular file; move it away")
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "a+")


def remove_unfinished(runs: Path) -> int:
    """Remove the half-written files that killed jobs left below `runs`, not those of jobs that are running.

    Nothing but regular files of a job's own names in a job's folder; what else lies there is not ours. Returns their
    number.
    """
    removed = 0
    for path in runs.rglob("seed-*/.lock"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed += _remove_half_written(path.parent)
        except OSError:  # of a running job, or not ours to change
            continue
        finally:
            os.close(descriptor)
    return removed


def _remove_half_written(folder: Path) -> int:
    removed = 0
    for left in folder.iterdir():
        if HALF_WRITTEN.fullmatch(left.name) and stat.S_ISREG(left.lstat().st_mode):
            left.unlink()
            removed += 1
    return removed
