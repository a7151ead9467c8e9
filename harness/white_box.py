"""The white box: attacks that see a trained model's weights. A member's gradient is small, for training went that way.

Scores are −log of the L1 and L2 norms of the gradient of an example's cross-entropy, with respect to all parameters
(grad-w-l1, grad-w-l2) or to the model's normalized input (grad-x-l1, grad-x-l2): Nasr et al. 2019; the four as in
RelaxLoss, Chen et al. 2022.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mlsbench import UserError
from mlsbench.harness.data import Prepared, enlarge
from mlsbench.harness.images import Images
from mlsbench.harness.models import build
from mlsbench.scoring.attacks import Outputs, Scores
from mlsbench.scoring.attacks.features import log_probability, scaled_logit
from mlsbench.scoring.text import clean
from mlsbench.tasks import Task

EXAMPLES = 1000  # of members and of non-members: gradients of a whole pool take a CPU hours
CHUNK, CHUNK_BYTES = 32, 1 << 29  # examples at once at most, and the bytes of their gradients
HEADER = 1 << 20  # more than a file of these weights needs beside them

ATTACKS = ("grad-w-l1", "grad-w-l2", "grad-x-l1", "grad-x-l2")

Norms = dict[str, NDArray[np.float64]]


def gradient_attacks(
    weights: Path, spec: Task, benchmark: str, architecture: str, data: Prepared, outputs: Outputs, device: str
) -> dict[str, Scores]:
    """The four attacks on a model of `architecture`, trained on `benchmark`, with the weights in file `weights`.

    outputs: of that model on the pool, whose labels count; the first 1,000 members and non-members are scored. Raises
    UserError if the file does not hold exactly this model's weights, or if they give no finite gradients.
    """
    given = spec.benchmarks[benchmark]
    dataset = spec.datasets[given.dataset]
    where = torch.device(device)
    model = build(architecture, dataset.classes, spec.image_shape(benchmark))
    read_weights(model, weights)
    index = np.sort(np.concatenate([np.flatnonzero(outputs.member == kind)[:EXAMPLES] for kind in (True, False)]))
    pixels = torch.from_numpy(enlarge(data.train_images[index], given.size))
    images = Images(pixels, dataset.mean, dataset.std, where)
    norms = log_norms(model.to(where), images, outputs.labels[index])
    scored = np.zeros(len(outputs), np.bool_)
    scored[index] = True
    found = {}
    for name, values in norms.items():
        if not np.isfinite(values).all():
            raise UserError(f"{clean(str(weights), 300)}: the gradients of this model are not finite")
        scores = np.zeros(len(outputs))
        scores[index] = -values
        found[name] = Scores(scores, scored)
    return found


def read_weights(model: nn.Module, path: Path) -> None:
    """Give `model` the weights in `path`. UserError unless names, shapes and types are its own, and values finite."""
    own = model.state_dict()
    most = sum(t.numel() * t.element_size() for t in own.values()) + HEADER
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        if path.stat().st_size > most:
            raise ValueError("it is larger than the model")
        found = load(path.read_bytes())
        if other := sorted(found.keys() ^ own.keys()):
            raise ValueError(f"it holds other tensors than the model: {', '.join(other[:3])}")
        for name, tensor in found.items():
            if (tensor.shape, tensor.dtype) != (own[name].shape, own[name].dtype):
                raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}, not as in the model")
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name} has values that are not finite")
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise UserError(clean(f"{path} cannot be used: {error}", 500)) from error
    model.load_state_dict(found)


def log_norms(model: nn.Module, images: Images, labels: NDArray[np.integer]) -> Norms:
    """log of the norms of each example's gradient, float64 [N] by attack; `images` on the model's device.

    Evaluation mode, fp32. The gradient of the cross-entropy by the logits is (1 − p_y) times a vector of L1 norm 2, and
    that factor is taken from the log-odds of p_y, so that nothing is lost where p_y rounds to one.
    """
    model.eval()
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def directed(parameters: dict[str, Tensor], image: Tensor, direction: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, (parameters, buffers), (image[None],))
        return (logits[0] * direction).sum()

    gradients = vmap(grad(directed, argnums=(0, 1)), in_dims=(None, 0, 0))
    size = sum(p.numel() * p.element_size() for p in parameters.values())
    parts = []
    with torch.backends.cudnn.flags(allow_tf32=False):
        for index in torch.split(torch.arange(len(images)), max(1, min(CHUNK, CHUNK_BYTES // size))):
            batch, own = images.plain(index), labels[index.numpy()]
            with torch.no_grad():
                logits = model(batch).cpu()
            factor = log_probability(-scaled_logit(logits.numpy(), own))  # log(1 − p_y)
            by_weight, by_input = gradients(parameters, batch, _direction(logits, own).to(batch.device))
            norms = [*_norms(list(by_weight.values())), *_norms([by_input])]
            parts.append(factor + np.log(np.stack(norms)))
    return dict(zip(ATTACKS, np.concatenate(parts, axis=1), strict=True))


def _direction(logits: Tensor, labels: NDArray[np.integer]) -> Tensor:
    """d cross-entropy / d logits, divided by 1 − p_y: the softmax over the other classes, and −1 at the label."""
    own = torch.from_numpy(labels.astype(np.int64))[:, None]
    return logits.double().scatter(1, own, -torch.inf).softmax(1).scatter(1, own, -1.0).float()


def _norms(tensors: list[Tensor]) -> list[NDArray[np.float64]]:
    """L1 and L2 norms, float64 [N], over all but the first dimension of all `tensors`."""
    vector_norm, tiny = torch.linalg.vector_norm, np.finfo(np.float64).tiny
    both = []
    for order in (1, 2):
        each = torch.stack([vector_norm(t.flatten(1), order, dim=1, dtype=torch.float64) for t in tensors])
        whole = vector_norm(each, order, dim=0).cpu().numpy()
        both.append(np.maximum(whole, tiny))  # a gradient of exactly zero still has a place in the order
    return both
