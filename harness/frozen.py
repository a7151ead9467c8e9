"""What a number rests on besides its setting: the task and the code that decides numbers, as one digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mlsbench.tasks import TaskFolder, target_of

HERE = Path(__file__).parent
# The code that decides numbers; a record holds its digest, and another digest is another number.
FROZEN = (
    "split.py", "canaries.py", "data.py", "digits.py", "prototypes.py", "standin.py", "images.py", "trainer.py",
    "step.py", "graphs.py", "caller.py", "oracle.py", "exchange.py", "mixing.py", "references.py", "set_exchange.py",
    "subject.py", "probe.py", "execute.py", "attacker.py", "attack.py", "models/*.py", "../sandbox/candidate.py",
    "../sandbox/worker.py", "../scoring/membership.py", "../scoring/poison.py", "../scoring/trained.py",
    "../scoring/validation.py", "../scoring/roc.py", "../scoring/attacked.py", "../scoring/verdict.py",
)  # fmt: skip


def frozen_digest(task: TaskFolder) -> str:
    """SHA-256 over the task, that is its specification, template and measure, and the code that decides numbers.

    Of an attack, the training of its targets is a part, too.
    """
    target = target_of(task)
    trained = target.task.digest() + target.submission.sha256 if target else ""
    return hashlib.sha256((task.digest() + code_digest() + trained).encode()).hexdigest()


def code_digest() -> str:
    """The SHA-256 of each file of code that decides numbers, one after the other."""
    files = [f for pattern in FROZEN for f in sorted(HERE.glob(pattern) if "*" in pattern else [HERE / pattern])]
    return "".join(hashlib.sha256(f.read_bytes()).hexdigest() for f in files)
