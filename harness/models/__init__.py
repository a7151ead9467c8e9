"""The architectures of the benchmarks, and the one way in which all of them are initialized."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from mlsbench import UserError
from mlsbench.harness.models.alexnet import alexnet
from mlsbench.harness.models.dense import mlp, tabular
from mlsbench.harness.models.densenet import densenet_bc_100_12
from mlsbench.harness.models.mobilenet import mobilenetv2
from mlsbench.harness.models.pooled import Shape
from mlsbench.harness.models.resnet import resnet20, resnet110
from mlsbench.harness.models.shokri import shokri_cnn
from mlsbench.harness.models.vgg import vgg16, vgg16bn

__all__ = ["MODELS", "Shape", "build", "initialize"]

DROPOUT = 0.5

MODELS: dict[str, Callable[[int, Shape], nn.Module]] = {
    "alexnet": alexnet,
    "densenet_bc_100_12": densenet_bc_100_12,
    "mlp": mlp,
    "mlp_dropout": partial(mlp, dropout=DROPOUT),
    "mobilenetv2": mobilenetv2,
    "mobilenetv2_dropout": partial(mobilenetv2, dropout=DROPOUT),
    "resnet110": resnet110,
    "resnet20": resnet20,
    "resnet20_dropout": partial(resnet20, dropout=DROPOUT),
    "shokri_cnn": shokri_cnn,
    "tabular": tabular,
    "vgg16": vgg16,
    "vgg16bn": vgg16bn,
    "vgg16bn_dropout": partial(vgg16bn, dropout=DROPOUT),
}


def build(name: str, classes: int, shape: Shape) -> nn.Module:
    """A model, still to be initialized, that maps float [N, C, H, W] to logits [N, classes].

    shape: H, W and C of its images. The global random state stays as it was. Raises UserError for an unknown name.
    """
    if name not in MODELS:
        raise UserError(f"there is no model {name!r}; the models are {', '.join(MODELS)}")
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that `initialize` replaces
        return MODELS[name](classes, shape)


def initialize(model: nn.Module, generator_seed: int) -> None:
    """Set all parameters of `model`, which is on the CPU, from `generator_seed` alone.

    Convolutions: normal with variance 2 / fan-out and bias 0 (He et al. 2015, arXiv:1502.01852); fan-out is output
    channels × kernel area, for grouped convolutions too, as in PyTorch. Batch norm: weight 1, bias 0, running
    statistics reset. Linear layers: uniform within ±1 / √inputs, PyTorch's default. A generator of its own is used,
    so the global random state plays no part and stays as it was. Raises TypeError for parameters of another layer.
    """
    generator = torch.Generator().manual_seed(generator_seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            # With slope √5 the bound is 1 / √inputs, to the bit as nn.Linear computes it.
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"nothing says how a {type(module).__name__} is initialized")
