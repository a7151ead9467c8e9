"""The architectures that a benchmark can name. `mlsbench.harness.models` builds them, which needs torch."""

from __future__ import annotations

MODELS = (
    "alexnet", "densenet_bc_100_12", "mlp", "mlp_dropout", "mobilenetv2", "mobilenetv2_dropout", "resnet110",
    "resnet20", "resnet20_dropout", "shokri_cnn", "tabular", "vgg16", "vgg16bn", "vgg16bn_dropout",
)  # fmt: skip
