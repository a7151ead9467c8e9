"""One step of training in two halves, between which the oracle speaks: images to logits, gradient to new weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mlsbench.harness.images import Draw, Images
from mlsbench.tasks.spec import Training

MOMENTUM = 0.9
WARM_UP = 3  # steps that let libraries choose and allocate before a graph is recorded


class Step(Protocol):
    """Both halves of a step, and the learning rate."""

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from now on."""

    def forward(self, draw: Draw) -> Tensor:
        """float32 logits [B, K] on the CPU of the drawn images, in training mode; valid until the next call."""

    def backward(self, gradient: Tensor) -> None:
        """Change the weights by the gradient, float32 [B, K] on the CPU, of the logits that `forward` returned last."""


MakeStep = Callable[[nn.Module, Images, Training, bool], Step]


class EagerStep:
    """The plain way: SGD with momentum on all parameters; under bf16 the model runs in bfloat16 autocast over fp32
    weights, and logits are float32."""

    def __init__(self, model: nn.Module, images: Images, training: Training, bf16: bool) -> None:
        self._model, self._images, self._bf16 = model, images, bf16
        self._optimizer = torch.optim.SGD(
            model.parameters(), lr=training.lr, momentum=MOMENTUM, weight_decay=training.weight_decay, fused=True
        )

    def set_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def forward(self, draw: Draw) -> Tensor:
        with torch.autocast(self._images.device.type, torch.bfloat16, enabled=self._bf16):
            logits = self._model(self._images.batch(draw))
        self._logits = logits.float()
        seen: Tensor = self._logits.detach().cpu()
        return seen

    def backward(self, gradient: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._logits.backward(gradient.to(self._images.device))
        self._optimizer.step()


class GraphedStep:
    """The same as EagerStep, each half as one CUDA graph, recorded once for each batch size: a step costs two launches
    and no allocation. Jobs do not use it before it has been measured on a GPU: benchmarks/trainer.py does that.

    All that changes from step to step lies in buffers at fixed addresses: the draw and the learning rate on the
    device, logits and gradient in pinned memory. The host waits once a step, for the logits.
    """

    def __init__(self, model: nn.Module, images: Images, training: Training, bf16: bool) -> None:
        self._model, self._images, self._bf16 = model, images, bf16
        self._rate = torch.tensor(training.lr, device=images.device)
        self._optimizer = torch.optim.SGD(
            model.parameters(), lr=self._rate, momentum=MOMENTUM, weight_decay=training.weight_decay, fused=True
        )
        for parameter in model.parameters():  # as after a step without gradient: the first real one adds to zero
            self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self._pool = torch.cuda.graph_pool_handle()
        self._recorded: dict[int, _Recording] = {}

    def set_rate(self, rate: float) -> None:
        self._rate.fill_(rate)

    def forward(self, draw: Draw) -> Tensor:
        current = self._recorded.get(len(draw))
        if current is None:
            current = self._recorded[len(draw)] = self._record(draw)
        self._current = current
        return current.forward(draw)

    def backward(self, gradient: Tensor) -> None:
        self._current.backward(gradient)

    def _record(self, draw: Draw) -> _Recording:
        """Record both halves for batches of this size; weights, momenta and statistics stay as they are."""
        momenta = [state["momentum_buffer"] for state in self._optimizer.state.values()]
        kept = [(value, value.clone()) for value in (*self._model.state_dict().values(), *momenta)]
        recording = _Recording(self._half, self._finish, draw, self._pool)
        with torch.no_grad():
            for value, before in kept:
                value.copy_(before)
        return recording

    def _half(self, draw: Draw) -> Tensor:
        # Without the cache, which would keep casts of weights from one replay to the next.
        with torch.autocast("cuda", torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            logits: Tensor = self._model(self._images.batch(draw))
        return logits.float()

    def _finish(self, logits: Tensor, gradient: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        logits.backward(gradient)  # type: ignore[no-untyped-call]
        self._optimizer.step()


class _Recording:
    """Both halves for one batch size, recorded: `half` makes logits of a draw, `finish` uses their gradient up."""

    def __init__(
        self, half: Callable[[Draw], Tensor], finish: Callable[[Tensor, Tensor], None], draw: Draw, pool: Any
    ) -> None:
        self._draw = draw.clone()
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                logits = half(self._draw)
                finish(logits, torch.zeros_like(logits))
        torch.cuda.current_stream().wait_stream(beside)
        self._logits = torch.empty(logits.shape, pin_memory=True)
        self._gradient = torch.zeros(logits.shape, pin_memory=True)
        del logits  # with it go nodes of autograd that are bound to the other stream
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._forward, pool=pool):
            logits = half(self._draw)
            self._logits.copy_(logits.detach(), non_blocking=True)
        with torch.cuda.graph(self._backward, pool=pool):
            finish(logits, self._gradient.to(logits.device, non_blocking=True))

    def forward(self, draw: Draw) -> Tensor:
        self._draw.copy_(draw)
        self._forward.replay()
        self._done.record()
        self._done.synchronize()
        return self._logits

    def backward(self, gradient: Tensor) -> None:
        # The last copy out of this buffer was over before the logits came that this gradient belongs to.
        self._gradient.copy_(gradient)
        self._backward.replay()
