"""The training step as two CUDA graphs: two launches a step, and Python takes no part in what lies between."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, cuda, nn

from mlsbench.harness.images import PADDING, Draw, Images
from mlsbench.harness.step import MOMENTUM, EagerStep, Step
from mlsbench.tasks.spec import Training

WARM_UP = 3  # steps that let libraries choose and allocate before a graph is recorded
# Relative, of logits and of a step's change of weights. Both ways run the same kernels, so that only sums without a
# fixed order differ; a recording that reads what it should not is wrong by everything.
TOLERANCE = 0.02


class GraphError(Exception):
    """A recorded step is not the same as a plain one."""


def make_step(model: nn.Module, images: Images, training: Training, bf16: bool) -> Step:
    """The fastest step of this device: recorded on CUDA, plain elsewhere, and where a recording does not prove right.

    In that case a warning says why. Adam and dropout are not recorded: the one has other state than momenta, and with
    the other no two steps agree that could prove a recording. `model` is as before, but for its mode, which is that of
    training.
    """
    dropout = any(isinstance(module, nn.Dropout) for module in model.modules())
    if images.device.type == "cuda" and training.optimizer == "sgd" and not dropout:
        try:
            return GraphedStep(model, images, training, bf16)
        except torch.OutOfMemoryError:
            raise
        except (GraphError, RuntimeError) as error:
            warnings.warn(f"training without CUDA graphs: {error}", stacklevel=2)
    return EagerStep(model, images, training, bf16)


class GraphedStep:
    """The same as EagerStep, each half as one CUDA graph, recorded beforehand for whole batches and for the last one.

    All that changes from step to step lies in buffers at fixed addresses: the draw and the learning rate on the
    device, logits and gradient in pinned memory. The host waits once a step, for the logits; nothing is allocated.
    Raises GraphError if a recorded step differs from a plain one by more than rounding.
    """

    name = "graphed"

    def __init__(self, model: nn.Module, images: Images, training: Training, bf16: bool) -> None:
        self._model, self._images, self._bf16 = model.train(), images, bf16
        self._rate = torch.tensor(training.lr, device=images.device)
        self._optimizer = torch.optim.SGD(
            model.parameters(), lr=self._rate, momentum=MOMENTUM, weight_decay=training.weight_decay, fused=True
        )
        for parameter in model.parameters():  # as after a step without gradient: the first real one adds to zero
            self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        pool = cuda.graph_pool_handle()
        whole, last = min(training.batch, len(images)), len(images) % training.batch
        self._recorded: dict[int, _Recording] = {}
        for size in dict.fromkeys((whole, last or whole)):
            with self._kept():
                recording = _Recording(self._half, self._finish, _draw(size, training.augment, images.device), pool)
            self._prove(recording, size, training)
            self._recorded[size] = recording

    def set_rate(self, rate: float) -> None:
        self._rate.fill_(rate)

    def forward(self, draw: Draw) -> Tensor:
        self._current = self._recorded[len(draw)]
        return self._current.forward(draw)

    def backward(self, gradient: Tensor) -> None:
        self._current.backward(gradient)

    def _half(self, draw: Draw) -> Tensor:
        # Without the cache, which would keep casts of weights from one replay to the next.
        with torch.autocast(self._images.device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            logits: Tensor = self._model(self._images.batch(draw))
        return logits.float()

    def _finish(self, logits: Tensor, gradient: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        logits.backward(gradient)  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self._model.parameters()])

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Whatever happens inside, weights, statistics, momenta and rate are as before afterwards."""
        momenta = [state["momentum_buffer"] for state in self._optimizer.state.values()]
        values = (*self._model.state_dict().values(), *momenta, self._rate)
        before = [value.clone() for value in values]
        try:
            yield
        finally:
            with torch.no_grad():
                for value, kept in zip(values, before, strict=True):
                    value.copy_(kept)
            self._optimizer.zero_grad(set_to_none=True)

    def _prove(self, recording: _Recording, size: int, training: Training) -> None:
        """Take one plain and one recorded step, with another draw and rate than those of the recording."""
        draw = _draw(size, training.augment, self._images.device, turned=True)
        gradient = torch.linspace(-1, 1, recording.logits.numel()).view_as(recording.logits) / size
        start = self._weights()
        seen, changes = [], []
        for recorded in (False, True):
            with self._kept():
                self.set_rate(training.lr / 2)
                if recorded:
                    seen.append(recording.forward(draw).clone())
                    recording.backward(gradient)
                else:
                    logits = self._half(draw)
                    seen.append(logits.detach().cpu())
                    self._finish(logits, gradient.to(logits.device))
                    del logits
                changes.append(self._weights() - start)
        for what, (plain, ours) in (("logits", seen), ("change of weights", changes)):
            error = ((ours - plain).norm() / plain.norm()).item()
            if not error <= TOLERANCE:
                raise GraphError(f"the {what} of a recorded step of {size} images are off by {error:.1%}")


class _Recording:
    """Both halves for one batch size, recorded: `half` makes logits of a draw, `finish` uses their gradient up."""

    def __init__(
        self, half: Callable[[Draw], Tensor], finish: Callable[[Tensor, Tensor], None], draw: Draw, pool: Any
    ) -> None:
        self._draw = draw
        beside = cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(cuda.current_stream())
        with cuda.stream(beside):
            for _ in range(WARM_UP):
                logits = half(self._draw)
                finish(logits, torch.zeros_like(logits))
        cuda.current_stream().wait_stream(beside)
        pinned = logits.device.type == "cuda"
        self.logits = torch.empty(logits.shape, pin_memory=pinned)
        self._gradient = torch.zeros(logits.shape, pin_memory=pinned)
        del logits  # with it go nodes of autograd that are bound to the other stream
        self._done = cuda.Event()  # type: ignore[no-untyped-call]
        self._forward, self._backward = cuda.CUDAGraph(), cuda.CUDAGraph()
        with cuda.graph(self._forward, pool=pool):
            logits = half(self._draw)
            self.logits.copy_(logits.detach(), non_blocking=True)
        with cuda.graph(self._backward, pool=pool):
            finish(logits, self._gradient.to(logits.device, non_blocking=True))

    def forward(self, draw: Draw) -> Tensor:
        self._draw.copy_(draw)
        self._forward.replay()
        self._done.record()
        self._done.synchronize()
        return self.logits

    def backward(self, gradient: Tensor) -> None:
        # The last copy out of this buffer was over before the logits came that this gradient belongs to.
        self._gradient.copy_(gradient)
        self._backward.replay()


def _draw(size: int, augment: bool, device: torch.device, turned: bool = False) -> Draw:
    """A draw of the first `size` images; or, `turned`, of the same in reverse order, moved and mirrored."""
    order = torch.arange(size, device=device)
    if turned:
        order = order.flip(0)
    if not augment:
        return Draw(order)
    shift = torch.full((size, 2), PADDING + int(turned), device=device)
    return Draw(order, shift, torch.full((size,), turned, device=device))
