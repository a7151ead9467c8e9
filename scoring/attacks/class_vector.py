"""The class-vector attack: a small network for each class that reads the whole probability vector."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mlsbench.scoring.attacks.fitted import prior
from mlsbench.scoring.attacks.target import BoolArray, FloatArray, Outputs

UNITS = 64
STEPS = 15
MOST = 500  # examples of a class that a network is fitted on: a hundred classes shall take seconds
FEWEST = 5  # members, and non-members, of a class without which its examples all get the same score


def learn_class_vector(known: Sequence[Outputs]) -> Callable[[Outputs], FloatArray]:
    """One network for each class: probability vector, 64 rectified units, a sigmoid (Shokri et al. 2017).

    Fitted by fifteen steps of L-BFGS on the first 500 known examples of the class; the values are log-odds, less those
    of the composition of these examples.
    """
    vectors = np.concatenate([model.probabilities() for model in known])
    labels = np.concatenate([model.labels for model in known])
    member = np.concatenate([model.member for model in known])
    networks = {}
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[:: max(1, len(own) // MOST)][:MOST]  # of every reference, not of the first alone
        if min(member[own].sum(), (~member[own]).sum()) >= FEWEST:
            networks[int(label)] = _fit(vectors[own], member[own])

    def score(model: Outputs) -> FloatArray:
        values, p = np.zeros(len(model)), model.probabilities()
        for label, log_odds in networks.items():
            own = model.labels == label
            if own.any():
                values[own] = log_odds(p[own])
        return values

    return score


def _fit(vectors: FloatArray, member: BoolArray) -> Callable[[FloatArray], FloatArray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((UNITS,), solver="lbfgs", alpha=0.01, max_iter=STEPS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 64 units would memorize if they went on
        network.fit(vectors, member)
    offset = prior(member)
    return lambda p: _log_odds(network.predict_proba(p)[:, 1]) - offset


def _log_odds(p: NDArray[np.floating]) -> FloatArray:
    p = np.clip(p.astype(np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)
