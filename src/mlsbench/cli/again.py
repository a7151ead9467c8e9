"""A record's submission once more: its file, its split key and its setting, for other seeds or the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlsbench import UserError
from mlsbench.cli.launch import Launch
from mlsbench.harness.device import devices
from mlsbench.harness.launch import Options
from mlsbench.harness.split import PUBLIC, read_key
from mlsbench.harness.variant import variant
from mlsbench.scoring import Record
from mlsbench.tasks import Submission, SubmissionRejected, TaskFolder, read_submission


def stored_submission(folder: Path, task: TaskFolder) -> Submission:
    """The submission beside a record. UserError unless it is there and one."""
    try:
        return read_submission(folder / "submission.py", task)
    except SubmissionRejected as rejected:
        raise UserError(f"{rejected}; the file that was run must stand beside its record") from None


def record_key(record: Record, key: str) -> str:
    """The option --key that names the record's key. Raises UserError unless `key`, or without it the public one, is."""
    digest = record.setting.split_key
    if not key:
        if digest == read_key(PUBLIC).digest:
            return PUBLIC
        raise UserError(f"the record was made under the split key of SHA-256 {digest}: give its file with --key FILE")
    if (given := read_key(key).digest) != digest:
        raise UserError(f"--key {key} has SHA-256 {given}, the record was made under {digest}")
    return key


def launch_again(
    task: TaskFolder, record: Record, seeds: Sequence[int], key: str, sandbox: str, runtime: str | None, device: str,
    jobs: int, runs: Path, threads: int | None = None,
) -> Launch:  # fmt: skip
    """A launch of the record's benchmark in its setting. Raises UserError if the installed task has none such."""
    setting = record.setting
    if setting.benchmark not in variant(task.spec, setting.protocol).benchmarks:
        raise UserError(f"the installed task has no benchmark {setting.benchmark} in protocol {setting.protocol}")
    if device == "auto" and setting.device_kind == "cpu":
        device = "cpu" if devices("auto") != ["cpu"] else "auto"  # auto says how long the CPU will take
    deterministic = bool(record.environment.get("deterministic"))
    chosen = Options(
        protocol=setting.protocol, benchmarks=[setting.benchmark], seeds=seeds, key=key, sandbox=sandbox,
        runtime=runtime, device=device, deterministic=deterministic, engine="local", jobs=jobs, runs=runs,
        overrides=[], threads=threads,
    )  # fmt: skip
    return Launch(task, chosen)
