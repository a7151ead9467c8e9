"""Which records make one table: numbers of different groups are never mixed, and what is left out is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mlsbench.scoring.record import Group, Record, Status

if TYPE_CHECKING:
    from mlsbench.scoring.aggregation import Plan

FINISHED: frozenset[Status] = frozenset({"scored", "collapsed", "failed", "rejected"})
UNTRUSTED_SANDBOX = "inprocess"
OTHER_SEED = "of a seed that the table does not have"
MOST_SEEDS = 8  # named in one line

_HINTS = {"split_key": " (--key chooses)"}
_WORDS = {"task_version": "task version", "frozen": "code", "split_key": "split key"}


def select(
    records: Sequence[Record],
    protocol: str,
    *,
    split_key: str | None = None,
    task: str | None = None,
    plan: Plan | None = None,
) -> tuple[list[Record], list[str]]:
    """The records of one table of `protocol`, and a line for each other group: how many records were left out and why.

    split_key: SHA-256 of the key that the table must have; task: its task, if `records` may hold several; plan: what is
    not in it is left out. Of the groups that remain (`Setting.group`) the one with the most records is chosen, of
    equals the one with the newest record. Records that were run in process are left out. The chosen ones hold one
    record a job, see `one_record_a_job`.
    """
    reasons = [_excluded(record, protocol, split_key, task, plan) for record in records]
    left_out = Counter(reason for reason in reasons if reason)
    if plan is not None and (count := left_out.pop(OTHER_SEED, 0)):
        others = {r.setting.seed for r, reason in zip(records, reasons, strict=True) if reason == OTHER_SEED}
        left_out[_named(others, plan)] = count
    candidates = [record for record, reason in zip(records, reasons, strict=True) if not reason]
    if not candidates:
        return [], _lines(left_out)
    best = _largest(candidates)
    group = [record for record in candidates if record.setting.group() == best]
    left_out.update(_difference(r.setting.group(), best) for r in candidates if r.setting.group() != best)
    chosen = one_record_a_job(group)
    if len(chosen) < len(group):
        left_out["the first finished record of the same entry, benchmark and seed counts"] = len(group) - len(chosen)
    return chosen, _lines(left_out)


def one_record_a_job(records: Iterable[Record]) -> list[Record]:
    """One record for each entry, benchmark and seed, in order of creation; those run in process are left out.

    A finished record (scored, collapsed, failed, rejected) wins over one that says nothing about the candidate
    (infra_failed, cancelled). Of finished ones the earliest counts: running the same again, in another sandbox or on
    another device, is no second try. Of the others the newest counts.
    """
    trusted = [record for record in records if record.setting.sandbox != UNTRUSTED_SANDBOX]
    in_order = sorted(trusted, key=lambda record: (record.created, record.job_key))
    chosen: dict[object, Record] = {}
    for record in in_order:
        job = (record.entry, record.setting.group(), record.setting.benchmark, record.setting.seed)
        if job not in chosen or chosen[job].status not in FINISHED:
            chosen[job] = record
    return sorted(chosen.values(), key=lambda record: (record.created, record.job_key))


def _excluded(record: Record, protocol: str, split_key: str | None, task: str | None, plan: Plan | None) -> str:
    setting = record.setting
    if task is not None and setting.task != task:
        return f"of task {setting.task}, the table is of {task}"
    if setting.protocol != protocol:
        return f"of protocol {setting.protocol}, the table is of {protocol}"
    if split_key is not None and setting.split_key != split_key:
        return f"split under key {_short(setting.split_key)}, asked for is {_short(split_key)}"
    if setting.sandbox == UNTRUSTED_SANDBOX:
        return "run in process, which is for tests and debugging"
    if plan is not None and setting.benchmark not in plan.benchmarks:
        return f"of benchmark {setting.benchmark}, the table is of {', '.join(plan.benchmarks)} (--benchmark chooses)"
    if plan is not None and setting.seed not in plan.seeds:
        return OTHER_SEED
    return ""


def _named(others: set[int], plan: Plan) -> str:
    """OTHER_SEED with numbers: all seeds in one line, because references have many."""
    shown = sorted(others)
    text = ", ".join(str(seed) for seed in shown[:MOST_SEEDS]) + (", …" if len(shown) > MOST_SEEDS else "")
    seeds = ", ".join(str(seed) for seed in plan.seeds)
    return f"of {'seed' if len(shown) == 1 else 'seeds'} {text}, the table is of {seeds} (--seed chooses)"


def _largest(records: Sequence[Record]) -> Group:
    counts = Counter(record.setting.group() for record in records)
    newest: dict[Group, datetime] = {}
    for record in records:
        group = record.setting.group()
        newest[group] = max(record.created, newest.get(group, record.created))
    return max(counts, key=lambda group: (counts[group], newest[group], group))


def _difference(other: Group, chosen: Group) -> str:
    parts = []
    for field, theirs, ours in zip(Group._fields, other, chosen, strict=True):
        if theirs != ours:
            words, hint = _WORDS.get(field, field), _HINTS.get(field, "")
            parts.append(f"{words} {_short(theirs)}, the table's is {_short(ours)}{hint}")
    return "; ".join(parts)


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:8]}…" if len(text) == 64 else text


def _lines(left_out: Counter[str]) -> list[str]:
    return [f"{n} {'record' if n == 1 else 'records'} left out: {reason}" for reason, n in sorted(left_out.items())]
