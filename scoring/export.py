"""Scores in the form that other auditing tools read, so that anybody can check these attacks with theirs.

Formats as their documentation and files have them; nothing of their code is used.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks.features import log_probability, scaled_logit
from mlsbench.scoring.audit import Kept
from mlsbench.scoring.record import write_whole

README = """Scores of one entry on one benchmark, in prepared order of its pool. Seeds, in the order of columns:
{seeds}.

privacy_meter/ is a `log_dir` of ML Privacy Meter. signals/rmia_signals.npy holds the softmax of the label, float32
[examples, models]; signals/rmia_signals_pop.npy the same for the test set as population; models/memberships.npy bool
[models, examples]. Two columns that follow each other are a complementary pair where both of its seeds were kept.

tensorflow_privacy/seed-<n>.npz holds the arguments of AttackInputData, where train means members and test means
non-members: AttackInputData(**numpy.load("seed-42.npz")).
"""


def export_scores(folder: Path, kept: Mapping[int, Kept], test_labels: NDArray[np.int64]) -> None:
    """Write the scores of `kept` below `folder`, made if missing, for ML Privacy Meter and TensorFlow Privacy."""
    seeds = sorted(kept)
    # What was for validation is neither member nor non-member.
    models = {s: kept[s].pool.take(np.flatnonzero(~kept[s].trained.validation)) for s in seeds}
    signals = [_label_probability(models[s].logits, models[s].labels) for s in seeds]
    population = [_label_probability(kept[s].trained.test_logits, test_labels) for s in seeds]
    meter, tensorflow = folder / "privacy_meter", folder / "tensorflow_privacy"
    for part in (meter / "signals", meter / "models", tensorflow):
        part.mkdir(parents=True, exist_ok=True)
    _save(meter / "signals" / "rmia_signals.npy", np.stack(signals, axis=1))
    _save(meter / "signals" / "rmia_signals_pop.npy", np.stack(population, axis=1))
    _save(meter / "models" / "memberships.npy", np.stack([models[s].member for s in seeds]))
    for seed in seeds:
        model = models[seed]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            logits_train=model.logits[model.member], labels_train=model.labels[model.member],
            logits_test=model.logits[~model.member], labels_test=model.labels[~model.member],
        )  # fmt: skip
        write_whole(tensorflow / f"seed-{seed}.npz", buffer.getvalue())
    write_whole(folder / "README.txt", README.format(seeds=", ".join(map(str, seeds))).encode())


def _label_probability(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float32]:
    return np.exp(log_probability(scaled_logit(logits, labels))).astype(np.float32)


def _save(path: Path, array: NDArray[np.generic]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_whole(path, buffer.getvalue())
