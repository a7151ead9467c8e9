"""What torch offers a loss works behind the lock, which forbids torch to load anything more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exploit_contracts import CONTRACTS

from mlsbench.sandbox.backend import Limits
from mlsbench.sandbox.channel import CandidateError
from mlsbench.sandbox.choose import backend
from mlsbench.sandbox.session import WorkerSession, names_lazy_parts
from mlsbench.tasks import baseline_path, get_task, read_submission

PLAIN = (
    "functional.cross_entropy(x, y, label_smoothing=0.1).backward()",
    "functional.multi_margin_loss(x, y).backward()",
    "functional.gaussian_nll_loss(x, x.detach(), torch.ones_like(x)).backward()",
    "functional.cosine_similarity(x[:, None], x[None], -1).sum().backward()",
    "functional.scaled_dot_product_attention(x[None], x[None], x[None]).sum().backward()",
    "functional.interpolate(x[None], 20).sum().backward()",
    "nn.LSTM(10, 4)(x)[0].sum().backward()",
    "nn.MultiheadAttention(10, 2)(x[None], x[None], x[None])[0].sum().backward()",
    "nn.BatchNorm1d(10)(x).sum().backward()",
    "nn.Conv1d(1, 3, 3)(x[:, None]).sum().backward()",
    "nn.utils.parametrizations.spectral_norm(nn.Linear(10, 3))(x).sum().backward()",
    "nn.utils.clip_grad_norm_(nn.Linear(3, 3).parameters(), 1.0)",
    "nn.Linear(3, 3).load_state_dict(nn.Linear(3, 3).state_dict())",
    "torch.linalg.svdvals(x).sum().backward()",
    "torch.linalg.slogdet(x.T @ x + torch.eye(10))[1].backward()",
    "torch.fft.rfft2(x).abs().sum().backward()",
    "torch.special.xlogy(x.abs(), x.abs() + 1).sum().backward()",
    "torch.cdist(x, x.flip(0)).sum().backward()",
    "torch.quantile(x, 0.9, dim=0).sum().backward()",
    "torch.multinomial(x.detach().softmax(1), 3)",
    "torch.sparse.softmax(x.detach().to_sparse(), 1)",
    "torch.device('cpu').__enter__(), torch.get_default_device(), torch.set_default_device(None)",
    "torch.zeros(3, device=x.device, dtype=torch.float64)",
    "x.register_hook(lambda gradient: gradient * 2)",
    "x.sort(stable=True).values.diff().square().mean().backward()",
    "repr(x), str(y), f'{x[0, 0]:.3f}'",
    "'\\N{BULLET}'.encode()",
    "(lambda λ: λ * x.sum())(0.1).backward()",
)
LAZY = (
    "torch.optim.LBFGS([nn.Parameter(torch.ones(2))])",
    "torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.ones(2))]), 3).step()",
    "torch.func.grad(lambda row: row.logsumexp(0))(x.detach()[0])",
    "torch.func.jacfwd(lambda row: row.softmax(0))(x.detach()[0])",
    "torch.autograd.grad(x.exp(), x, torch.eye(10).expand(8, 10, 10).transpose(0, 1), is_grads_batched=True)",
    "torch.autograd.functional.hvp(lambda row: row.exp().sum(), x.detach()[0], x.detach()[0])",
    "torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False).sum().backward()",
    "torch.distributions.MultivariateNormal(torch.zeros(10), torch.eye(10)).log_prob(x).sum().backward()",
    "torch.distributions.kl_divergence(*[torch.distributions.Gumbel(0.0, scale) for scale in (1.0, 2.0)])",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(10, 2, batch_first=True), 1).eval()(x[None].detach())",
    "torch.use_deterministic_algorithms(True)",
    "torch.compiler.is_compiling()",
    "torch.vmap(lambda z, label: functional.cross_entropy(z[None], label[None]))(x, y).mean().backward()",
    "torch.testing.assert_close(y, y)",
    "torch.empty(3, device='meta') + 1",
    "nn.utils.skip_init(nn.Linear, 3, 3)",
    "torch.distributions.Kumaraswamy(1.0, 2.0).sample((3,))",
)
USE = """
import json
import torch
import torch.nn as nn
import torch.nn.functional as functional

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        found = {}
        for expression in EXPRESSIONS:
            x, y = torch.randn(8, 10, requires_grad=True), torch.arange(8)
            try:
                eval(expression, {"torch": torch, "nn": nn, "functional": functional, "x": x, "y": y})
                found[expression] = "works"
            except BaseException as error:
                found[expression] = repr(error)
        print(json.dumps(found))
        return functional.cross_entropy(logits, labels)
"""
HIDDEN = """
import torch

class MembershipDefense:
    def compute_loss(self, logits, labels, epoch):
        getattr(torch, "opt" + "im").SGD([torch.nn.Parameter(logits)])
        return logits.sum()
"""


LIMITS = Limits(call_seconds=60, start_seconds=60, job_seconds=120, memory_bytes=1 << 30, log_bytes=1 << 16)


@pytest.fixture(scope="module")
def came_to(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each expression came to, the plain ones in a worker without lazy parts."""
    log = tmp_path_factory.mktemp("used") / "log"
    return use(PLAIN, lazy_parts=False, log=log) | use(LAZY, lazy_parts=True, log=log)


def use(expressions: tuple[str, ...], lazy_parts: bool, log: Path) -> dict[str, str]:
    """What each of `expressions` comes to in one worker."""
    tried = CONTRACTS["defense"]
    session = WorkerSession(backend("process"), tried.contract, LIMITS, log, lazy_parts)
    try:
        session.load(f"EXPRESSIONS = {expressions!r}\n{USE}")
        _, call = tried.calls(session, tried.contract)[0]
        call()
    finally:
        session.close()
    return json.loads(log.read_text().splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("expression", [*PLAIN, *LAZY])
def test_it_works(expression: str, came_to: dict[str, str]) -> None:
    assert came_to[expression] == "works"


@pytest.mark.parametrize("expression", LAZY)
def test_its_text_says_that_it_needs_lazy_parts(expression: str) -> None:
    assert names_lazy_parts(expression)


@pytest.mark.parametrize("name", get_task("security-membership-inference-defense").spec.baselines)
def test_no_baseline_waits_for_lazy_parts(name: str) -> None:
    task = get_task("security-membership-inference-defense")
    text = read_submission(baseline_path(task.spec.id, task.spec.baselines[name].submission or name), task).text
    assert not names_lazy_parts(text)


def test_a_module_that_cannot_be_loaded_any_more_is_said_to_be_one(tmp_path: Path) -> None:
    tried = CONTRACTS["defense"]
    session = WorkerSession(backend("process"), tried.contract, LIMITS, tmp_path / "log", lazy_parts=False)
    try:
        session.load(HIDDEN)
        _, call = tried.calls(session, tried.contract)[0]
        with pytest.raises(CandidateError, match=r"'torch._dynamo'; a worker loads no module once .* \(line 6\)$"):
            call()
    finally:
        session.close()
