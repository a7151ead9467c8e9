"""Checks a submission without training: the probe, for every size of logits that a protocol has."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlsbench import MachineError
from mlsbench.harness.probe import probe
from mlsbench.harness.session import Sandbox, choose_sandbox, open_session
from mlsbench.harness.variant import Variant
from mlsbench.sandbox.channel import CandidateError, SandboxError
from mlsbench.sandbox.choose import backend
from mlsbench.scoring.text import clean
from mlsbench.tasks import Submission, SubmissionRejected, Task, author_lines


def check(spec: Task, submission: Submission, variant: Variant, sandbox: str, runtime: str | None = None) -> Sandbox:
    """Probe `submission` in the sandbox that is returned.

    Raises SubmissionRejected, or MachineError if the sandbox does not work.
    """
    chosen = choose_sandbox(sandbox, runtime)
    name = chosen.name
    where = name if name == "inprocess" else backend(name, runtime)
    sizes = {spec.datasets[spec.benchmarks[b].dataset].classes: variant.trainings[b].epochs for b in variant.benchmarks}
    for classes, epochs in sizes.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            open_session(spec, where, Path(folder) / "log", submission.text) as session,
        ):
            try:
                probe(session, submission.text, spec, classes, epochs)
            except CandidateError as error:
                raise SubmissionRejected(clean(author_lines(str(error), submission.shift), 500)) from None
            except SandboxError as error:
                raise MachineError(f"the sandbox {name} failed: {clean(str(error), 500)}") from None
    return chosen
