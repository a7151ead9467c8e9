"""Does a record say what its submission does? The record beside a second run of the same job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsbench import UserError
from mlsbench.scoring.archive import MOST_BYTES, read_arrays
from mlsbench.scoring.kept import ARRAYS, PERHAPS, SCORES, WEIGHTS
from mlsbench.scoring.membership import privacy_score
from mlsbench.scoring.record import RECORD_FILE, Record, Setting, read_record, read_whole
from mlsbench.scoring.text import clean

# For one seed trained again where bits cannot agree. Seeds of one loss were seen to scatter by 0.006 to 0.025 in
# privacy_score, so that differences of single runs below about 0.03 are noise. Rounding can at most make it another
# training of the same seed, with the same split, and that scatters less than another seed.
TOLERANCE = 0.03
ROUNDING = 1e-9  # of metrics computed again from the same logits, perhaps by other versions of numpy and scipy

_SETTING = {"frozen": "code", "task_version": "task version", "torch": "torch", "device_kind": "device kind",
            "precision": "precision"}  # fmt: skip
_ENVIRONMENT = ("platform", "device", "cpu", "threads", "deterministic")
_COUNTED = ("epochs", "batches", "zero_gradient_share")
_ATTACKED = ("target-", "reference-")  # what an attack's record calls the digests of models begins so
_SAID = (*ARRAYS[:2], "scores")  # of a trained model, or of an attack

Arrays = Mapping[str, NDArray[Any]]
Measured = Callable[[Arrays], Mapping[str, float | None]]


@dataclass(frozen=True)
class Run:
    """A job's record and what was kept beside it; `scores` is None if there are none, a text if they are unreadable."""

    record: Record
    scores: Arrays | str | None
    weights: bytes | None


@dataclass(frozen=True)
class Compared:
    """A metric in the record and in the second run."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def difference(self) -> float | None:
        """Second minus recorded, None unless both are numbers."""
        return None if self.recorded is None or self.again is None else self.again - self.recorded


@dataclass(frozen=True)
class Verification:
    """What a second run says of a record.

    unlike: what differs between the two runs' circumstances; without any, every bit must agree, else metrics within
    TOLERANCE. faults: all that disagrees. notes: what was not compared, and how faults can be read.
    """

    metrics: tuple[Compared, ...]
    unlike: tuple[str, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Nothing disagrees."""
        return not self.faults


def read_run(folder: Path) -> Run:
    """The run that is kept in `folder`. UserError if its record is missing or damaged, or its weights no such file."""
    record = read_record(folder / RECORD_FILE)
    weights = folder / WEIGHTS
    try:
        return Run(record, _read_scores(folder / SCORES), read_whole(weights, MOST_BYTES) if weights.exists() else None)
    except OSError as error:
        raise UserError(clean(f"{weights} cannot be read: {error.strerror}", 1000)) from None


def unlike_settings(recorded: Setting, again: Setting) -> list[str]:
    """What decides bits and differs between two settings, as "torch 2.6 in the record, 2.8 here"."""
    pairs = [(words, getattr(recorded, name), getattr(again, name)) for name, words in _SETTING.items()]
    return [_unlike(words, there, here) for words, there, here in pairs if there != here]


def verify(recorded: Run, again: Run, measure: Measured) -> Verification:
    """Compare `recorded` with `again`, a second run of its job. measure: what makes metrics of the arrays kept.

    In any case the status must be the same, the split the same, the recorded metrics those of the logits kept beside
    them, and the score that of the other metrics. On the same kind of machine metrics, counts, logits and weights must
    agree in every bit.
    """
    unlike = _unlike_runs(recorded.record, again.record)
    names = dict.fromkeys([*recorded.record.metrics, *again.record.metrics])
    metrics = tuple(Compared(n, recorded.record.metrics.get(n), again.record.metrics.get(n)) for n in names)
    limit = TOLERANCE if unlike else 0.0
    faults = [f"{m.name}: {_shown(m.recorded)} in the record, {_shown(m.again)} now" for m in metrics if _far(m, limit)]
    if recorded.record.status != again.record.status:
        faults.insert(0, f"status: {recorded.record.status} in the record, {again.record.status} now")
    faults += _contradictions(recorded.record)
    faults += _own_faults(recorded, measure)
    faults += _missing(recorded, again)
    faults += _other_members(recorded, again)
    if not unlike:
        faults += _different_bits(recorded, again)
    notes = [
        f"{name} is not beside the record and was not compared"
        for name, old, new in ((SCORES, recorded.scores, again.scores), (WEIGHTS, recorded.weights, again.weights))
        if old is None and new is not None
    ]
    damaged = isinstance(recorded.scores, str)
    if faults and not damaged and not unlike and not any(_far(m, TOLERANCE) for m in metrics):
        notes.append(
            f"all metrics are within {TOLERANCE}: another processor, whose model records do not name, changes last bits"
        )
    return Verification(metrics, tuple(unlike), tuple(faults), tuple(notes))


def _read_scores(path: Path) -> Arrays | str | None:
    if not path.is_file():
        return None
    try:
        return read_arrays(path, ("member",), (*_SAID, *PERHAPS))
    except (OSError, ValueError):
        return f"{SCORES} cannot be read: it is no whole archive of arrays without pickles"


def _unlike_runs(recorded: Record, again: Record) -> list[str]:
    unlike = unlike_settings(recorded.setting, again.setting)
    for name in _ENVIRONMENT:
        there, here = recorded.environment.get(name), again.environment.get(name)
        if there != here:
            unlike.append(_unlike(name, there, here))
    if again.setting.device_kind != "cpu" and not again.environment.get("deterministic"):
        unlike.append("a GPU gives the same bits again only with --deterministic, which the record was made without")
    return unlike


def _unlike(words: str, there: object, here: object) -> str:
    return f"{words} {_short(there)} in the record, {_short(here)} here"


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def _far(metric: Compared, limit: float) -> bool:
    if metric.difference is None:
        return metric.recorded != metric.again
    return abs(metric.difference) > limit


def _shown(value: float | None) -> str:
    return "no number" if value is None else repr(value)


def _contradictions(record: Record) -> list[str]:
    """What the record's own metrics say of its score; they are enough for that, whatever else is kept."""
    names = ("test_acc", "mia_auc", "privacy_score")
    test_acc, mia_auc, stated = (record.metrics.get(name) for name in names)
    if test_acc is None or mia_auc is None or stated is None:
        return []
    due = privacy_score(test_acc, mia_auc)
    if abs(stated - due) <= ROUNDING:
        return []
    return [f"privacy_score: {_shown(stated)} in the record, {_shown(due)} by its own test_acc and mia_auc"]


def _own_faults(run: Run, measure: Measured) -> list[str]:
    """Whether the record's metrics follow from the logits beside it, whatever machine made them."""
    if not isinstance(run.scores, Mapping):
        return [run.scores] if run.scores else []
    try:
        metrics = measure(run.scores)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        return [] if run.record.status == "collapsed" else [f"{SCORES}: {error}"]
    return [
        f"{name}: {_shown(stated)} in the record, {_shown(metrics[name])} by the logits in {SCORES}"
        for name, stated in run.record.metrics.items()
        if name in metrics and _far(Compared(name, stated, metrics[name]), ROUNDING)
    ]


def _missing(recorded: Run, again: Run) -> list[str]:
    """What the record's archive lacks of that which any run of the job keeps."""
    if not isinstance(recorded.scores, Mapping) or not isinstance(again.scores, Mapping):
        return []
    return [f"{SCORES}: there is no {name} in it" for name in again.scores if name not in recorded.scores]


def _other_members(recorded: Run, again: Run) -> list[str]:
    """Who is a member, which labels are wrong and what is for validation follow from key, seed and data anywhere."""
    if not isinstance(recorded.scores, Mapping) or not isinstance(again.scores, Mapping):
        return []
    faults = []
    for name, words in (("member", "members"), ("labels", "wrong labels"), ("validation", "validation examples")):
        if not np.array_equal(recorded.scores.get(name, ()), again.scores.get(name, ())):
            faults.append(f"{SCORES}: the {words} are not those of the record's split key and seed")
    return faults


def _different_bits(recorded: Run, again: Run) -> list[str]:
    faults = []
    if recorded.record.reason != again.record.reason:
        faults.append(f"reason: {recorded.record.reason!r} in the record, {again.record.reason!r} now")
    models = [name for name in recorded.record.training if name.startswith(_ATTACKED)]
    for name in (*_COUNTED, *models):
        there, here = recorded.record.training.get(name), again.record.training.get(name)
        if there != here:
            faults.append(f"{name}: {_short(there)} in the record, {_short(here)} now")
    if isinstance(recorded.scores, Mapping) and isinstance(again.scores, Mapping):
        for name in _SAID:
            old, new = (scores.get(name, np.empty(0)) for scores in (recorded.scores, again.scores))
            if old.tobytes() != new.tobytes():
                faults.append(f"{SCORES}: other {name.replace('_', ' ')}")
    if recorded.weights is not None and again.weights is not None and recorded.weights != again.weights:
        faults.append(f"{WEIGHTS}: other weights")
    return faults
