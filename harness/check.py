"""Checks a submission without training: the probe, for every size of logits that a protocol has."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlsbench import UserError
from mlsbench.harness.plan import Variant
from mlsbench.harness.probe import probe
from mlsbench.harness.session import open_session, sandbox_name
from mlsbench.sandbox.channel import CandidateError, SandboxError
from mlsbench.scoring.text import clean
from mlsbench.tasks import Submission, SubmissionRejected, Task, author_lines


def check(spec: Task, submission: Submission, variant: Variant, sandbox: str) -> str:
    """Probe `submission` in `sandbox`, whose resolved name is returned.

    Raises SubmissionRejected, or UserError if the sandbox does not work.
    """
    name = sandbox_name(sandbox)
    sizes = {spec.datasets[spec.benchmarks[b].dataset].classes: variant.trainings[b].epochs for b in variant.benchmarks}
    for classes, epochs in sizes.items():
        with tempfile.TemporaryDirectory() as folder, open_session(spec, name, Path(folder) / "log") as session:
            try:
                probe(session, submission.text, classes, epochs)
            except CandidateError as error:
                raise SubmissionRejected(clean(author_lines(str(error), submission.shift), 500)) from None
            except SandboxError as error:
                raise UserError(f"the sandbox {name} failed: {clean(str(error), 500)}") from None
    return name
