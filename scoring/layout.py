"""Where a job's files lie: runs/<task>/<protocol>/<entry>/<benchmark>/seed-<n>/."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from mlsbench import UserError
from mlsbench.scoring.record import RECORD_FILE, TARGETS, Entry, Setting, read_record

_SLUG_LIMIT = 40
_PART = re.compile(r"[a-z0-9][A-Za-z0-9_.+=-]{0,199}")


def slug(name: str) -> str:
    """`name` as 1 to 40 characters of a–z, 0–9 and single hyphens within; "entry" if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name[:1000]).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LIMIT].rstrip("-") or "entry"


def entry_folder(runs: Path, task: str, protocol: str, entry: Entry) -> Path:
    """The folder of an entry's jobs. UserError if `task` or `protocol` is no name of one."""
    return runs / _part(task) / _part(protocol) / f"{slug(entry.name)}-{entry.type}-{entry.submission[:12]}"


def job_folder(runs: Path, setting: Setting, entry: Entry) -> Path:
    """The folder of a job: `…/<benchmark>/seed-<n>`.

    If that holds another job's record it is `seed-<n>-<first 8 of the job key>`, so that a run with another split
    key, torch or device lies beside the earlier one. A record that cannot be read counts as another's.
    """
    key = setting.job_key(entry.submission)
    folder = (
        entry_folder(runs, setting.task, setting.protocol, entry) / _part(setting.benchmark) / f"seed-{setting.seed}"
    )
    if not (folder / RECORD_FILE).exists():
        own = folder.with_name(f"{folder.name}-{key[:8]}")
        return own if (own / RECORD_FILE).exists() else folder
    try:
        same = read_record(folder / RECORD_FILE).job_key == key
    except UserError:
        same = False
    return folder if same else folder.with_name(f"{folder.name}-{key[:8]}")


def target_folder(runs: Path, setting: Setting, entry: Entry, threads: int, deterministic: bool) -> Path:
    """The folder of a model that attacks are run on: `…/targets/<benchmark>/seed-<n>-<job key>-threads-<n>`.

    `-deterministic` follows if that was asked for. Another number of threads gives a model of other bits, and an attack
    is repeatable only on its own.
    """
    root = runs / _part(setting.task) / _part(setting.protocol) / TARGETS
    key, ending = setting.job_key(entry.submission)[:8], "-deterministic" if deterministic else ""
    return root / _part(setting.benchmark) / f"seed-{setting.seed}-{key}-threads-{threads}{ending}"


def _part(name: str) -> str:
    if not _PART.fullmatch(name):
        raise UserError(
            f"{name[:60]!r} is no name of a task, protocol or benchmark: use a-z, 0-9, hyphen and underscore"
        )
    return name
