"""Recorded steps train as plain ones do, one that does not is not used, and a job ends in them as in plain ones.

Each claim is tested on a GPU where there is one, and everywhere with the graphs of recorded_cuda.py.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded_cuda
import torch
from torch import Tensor, nn

from mlsbench.harness import execute, graphs
from mlsbench.harness.exchange import LossExchange
from mlsbench.harness.graphs import GraphedStep, GraphError, make_step
from mlsbench.harness.images import Draw, Images
from mlsbench.harness.job import run
from mlsbench.harness.models import build, initialize
from mlsbench.harness.oracle import Answer
from mlsbench.harness.plan import Machine, plan
from mlsbench.harness.split import RunSeeds, read_key
from mlsbench.harness.step import EagerStep, Step
from mlsbench.harness.trainer import train
from mlsbench.harness.variant import variant
from mlsbench.sandbox.channel import CandidateError
from mlsbench.scoring.record import Entry, Record, read_record
from mlsbench.tasks import get_task, read_submission

TASK = get_task("security-membership-inference-defense")
TRAINING = TASK.spec.training("paper", "resnet20-cifar10").model_copy(update={"batch": 24, "epochs": 2})
COUNT = 64  # two whole batches and one of 16
EXPLOITS = Path(__file__).parent.parent / "exploits"


@pytest.fixture(params=["recorded", "cuda"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where graphs are recorded: the CPU under the double, or a GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if request.param == "recorded":
        monkeypatch.setattr(graphs, "cuda", recorded_cuda)
        yield "cpu"
    elif torch.cuda.is_available():
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield "cuda"
    else:
        pytest.skip("CUDA graphs need a GPU")
    torch.set_num_threads(threads)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs in this process take recorded steps, by the double."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(graphs, "cuda", recorded_cuda)
    monkeypatch.setattr(execute, "make_step", GraphedStep)
    yield
    torch.set_num_threads(threads)


def images(device: str) -> Images:
    pixels = torch.randint(0, 256, (COUNT, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Images(pixels, [0.5] * 3, [0.25] * 3, torch.device(device))


def model(device: str, name: str = "resnet20") -> nn.Module:
    made = build(name, 10, (32, 32, 3))
    initialize(made, 0)
    return made.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def trained(
    way: type[Step], device: str, bf16: bool = False, name: str = "resnet20", **changes: Any
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Logits of each step, and the weights and statistics after all of them."""
    training = TRAINING.model_copy(update=changes)
    made, pictures, seen = model(device, name), images(device), []
    labels = torch.arange(COUNT) % 10

    def loss(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        seen.append(logits.clone())
        gradient = (torch.softmax(logits, 1) - torch.nn.functional.one_hot(labels, 10)) / len(logits)
        return Answer(0.0, {"logits": gradient}, 1.0, True)

    step = way(made, pictures, training, bf16)  # type: ignore[call-arg]
    for _ in train(made, LossExchange(step, loss), pictures, labels, training, RunSeeds(0, 1, 2)):
        pass
    return seen, {key: value.cpu() for key, value in made.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "bf16"),
    [
        ("resnet20", False),
        ("resnet20", True),
        pytest.param("vgg16bn", True, marks=pytest.mark.slow),
        pytest.param("mobilenetv2", False, marks=pytest.mark.slow),
    ],
)
def test_recorded_steps_give_the_logits_and_weights_of_plain_ones(name: str, bf16: bool, device: str) -> None:
    # At a small rate: at a large one the last bit's difference of two orders of summation grows from step to step.
    plain, ours = (trained(way, device, bf16, name, lr=0.01, epochs=1) for way in (EagerStep, GraphedStep))
    tolerance = 0.05 if bf16 else 1e-3
    for mine, theirs in zip(ours[0], plain[0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
    for key, value in plain[1].items():
        torch.testing.assert_close(ours[1][key], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("augment", [False, True])
def test_without_augmentation_too(augment: bool, device: str) -> None:
    plain, ours = (trained(way, device, augment=augment, lr=0.01) for way in (EagerStep, GraphedStep))
    torch.testing.assert_close(ours[0][-1], plain[0][-1], rtol=1e-3, atol=1e-3)


def test_recording_leaves_weights_and_statistics_alone(device: str) -> None:
    made = model(device)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    GraphedStep(made, images(device), TRAINING, bf16=False)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_recording_takes_no_step(device: str) -> None:
    _, weights = trained(GraphedStep, device)
    assert {int(value) for key, value in weights.items() if key.endswith("num_batches_tracked")} == {2 * 3}


def test_the_rate_of_the_moment_counts(device: str) -> None:
    made, pictures = model(device), images(device)
    step = GraphedStep(made, pictures, TRAINING, bf16=False)
    step.set_rate(0.0)
    before = [p.detach().clone() for p in made.parameters()]
    logits = step.forward(Draw(*(t.to(device) for t in draw())))
    step.backward(torch.softmax(logits, 1))
    assert all(torch.equal(p, kept) for p, kept in zip(made.parameters(), before, strict=True))


def draw() -> tuple[Tensor, Tensor, Tensor]:
    return torch.arange(24), torch.zeros(24, 2, dtype=torch.int64), torch.zeros(24, dtype=torch.bool)


def test_deterministic_algorithms_give_the_same_bits_twice(device: str) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (trained(GraphedStep, device, bf16=True) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert all(torch.equal(first[1][key], second[1][key]) for key in first[1])


@pytest.mark.parametrize("stale", ["_draw", "_gradient"])
def test_a_recording_that_reads_an_old_buffer_is_refused(stale: str, device: str, monkeypatch: Any) -> None:
    class Stale(graphs._Recording):
        def forward(self, draw: Draw) -> Tensor:
            setattr(self, stale, getattr(self, stale).clone())  # what is written from now on is not what is read
            return super().forward(draw)

    monkeypatch.setattr(graphs, "_Recording", Stale)
    with pytest.raises(GraphError, match="of a recorded step of 24 images"):
        GraphedStep(model(device), images(device), TRAINING, bf16=False)


def test_a_recording_with_the_rate_of_its_making_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(step: GraphedStep, rate: float) -> None:
        step._optimizer.param_groups[0]["lr"] = rate

    monkeypatch.setattr(GraphedStep, "set_rate", forgetful)
    with pytest.raises(GraphError, match="change of weights of a recorded step of 24 images"):
        GraphedStep(model(device), images(device), TRAINING, bf16=False)


def test_a_step_that_reads_a_number_back_cannot_be_recorded(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(device)
    made.register_forward_hook(lambda module, given, out: out * out.detach().mean().item())
    with pytest.raises(RuntimeError, match="captur"):
        GraphedStep(made, images(device), TRAINING, bf16=False)


def test_on_a_cpu_steps_are_plain() -> None:
    assert make_step(model("cpu"), images("cpu"), TRAINING, bf16=False).name == "eager"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_on_a_gpu_steps_are_recorded() -> None:
    assert make_step(model("cuda"), images("cuda"), TRAINING, bf16=True).name == "graphed"


class Elsewhere:
    """Images that say that they are on a GPU."""

    device = torch.device("cuda")


def test_where_a_recording_fails_steps_are_plain_and_a_warning_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise GraphError("the logits of a recorded step of 24 images are off by 100.0%")

    monkeypatch.setattr(graphs, "GraphedStep", refuse)
    with pytest.warns(UserWarning, match=r"training without CUDA graphs: the logits .* are off by 100\.0%"):
        step = make_step(model("cpu"), Elsewhere(), TRAINING, bf16=False)  # type: ignore[arg-type]
    assert step.name == "eager"


@pytest.mark.parametrize(("name", "optimizer"), [("resnet20", "adam"), ("resnet20_dropout", "sgd")])
def test_what_cannot_be_recorded_is_not_tried(name: str, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "GraphedStep", lambda *_: pytest.fail("a recording was tried"))
    training = TRAINING.model_copy(update={"optimizer": optimizer})
    assert make_step(model("cpu", name), Elsewhere(), training, bf16=False).name == "eager"  # type: ignore[arg-type]


def test_memory_that_is_not_there_is_no_reason_for_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(graphs, "GraphedStep", full)
    with pytest.raises(torch.OutOfMemoryError):
        make_step(model("cpu"), Elsewhere(), TRAINING, bf16=False)  # type: ignore[arg-type]


def test_what_the_oracle_raises_is_passed_on(device: str) -> None:
    def late(logits: Tensor, labels: Tensor, epoch: int) -> Answer:
        raise CandidateError("too slow: no whole reply before the deadline")

    made, pictures = model(device), images(device)
    step = GraphedStep(made, pictures, TRAINING, bf16=False)
    with pytest.raises(CandidateError, match="too slow"):
        list(train(made, LossExchange(step, late), pictures, torch.arange(COUNT) % 10, TRAINING, RunSeeds(0, 1, 2)))


def record(file: Path, runs: Path) -> Record:
    """The record of a small job around `file`, run in this process with its worker in another."""
    submission = read_submission(file, TASK)
    entry = Entry(name=file.stem, type="agent", submission=submission.sha256)
    chosen = variant(TASK.spec, "smoke", ("epochs=3", "members=64", "batch=24"))
    machine = Machine("process", "cpu", "fp32", 1)
    (job,) = plan(TASK, submission, entry, chosen, machine, read_key("public"), runs, ["resnet20-digits"], [42])
    run(job, lambda event: None, time.monotonic())
    return read_record(job.folder / "record.json")


def ends(file: Path) -> str:
    assigned = [n for n in ast.parse(file.read_text()).body if isinstance(n, ast.Assign)]
    return str(next(ast.literal_eval(a.value) for a in assigned if getattr(a.targets[0], "id", "") == "ENDS"))


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "name",
    [
        "huge_gradients",
        "behave_then_raise",
        pytest.param("behave_then_exit", marks=pytest.mark.slow),
        pytest.param("behave_then_allocate", marks=pytest.mark.slow),
    ],
)
def test_a_job_ends_in_recorded_steps_as_it_does_in_plain_ones(name: str, tmp_path: Path) -> None:
    file = EXPLOITS / f"{name}.py"
    got = record(file, tmp_path)
    assert (f"job {got.status}: {got.reason}".startswith(ends(file)), got.training["step"]) == (True, "graphed")
