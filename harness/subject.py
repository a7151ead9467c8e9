"""The model under training and the data around it, as a job's key and seed decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlsbench.harness.canaries import mislabel
from mlsbench.harness.data import Prepared, enlarge, load
from mlsbench.harness.images import Images
from mlsbench.harness.measure import Measure
from mlsbench.harness.models import build, initialize
from mlsbench.harness.plan import Job
from mlsbench.harness.split import membership, run_seeds, validation
from mlsbench.harness.trainer import predict
from mlsbench.scoring.membership import accuracy
from mlsbench.scoring.trained import Trained

CURVE_EXAMPLES = 1000

Mask = NDArray[np.bool_]


@dataclass
class Subject:
    """The model, the pool and what each of its examples is, the test set. `labels` are those to train with."""

    model: nn.Module
    pool: Images
    labels: NDArray[np.int64]
    true_labels: NDArray[np.int64]
    member: Mask
    validation: Mask
    test: Images
    test_labels: NDArray[np.int64]

    def members(self) -> tuple[Images, Tensor]:
        """What the model is trained on: images, and int64 labels on the CPU."""
        return self._chosen(self.member)

    def references(self) -> tuple[Images, Tensor]:
        """What the model is compared with: validation images, and int64 labels on the CPU."""
        return self._chosen(self.validation)

    def _chosen(self, mask: Mask) -> tuple[Images, Tensor]:
        index = torch.from_numpy(np.flatnonzero(mask))
        return self.pool.subset(index), torch.from_numpy(self.labels)[index]

    def trained(self) -> Trained:
        """All that the model says now."""
        return self._said(np.arange(len(self.pool)), np.arange(len(self.test)))

    def curve_point(self, measure: Measure) -> dict[str, float]:
        """Accuracies and metrics on the first 1,000 examples of each kind, which never change; NaN for no number."""
        wrong = self.labels != self.true_labels
        kinds = (self.member & ~wrong, ~self.member & ~wrong & ~self.validation, self.member & wrong, self.validation)
        chosen = np.sort(np.concatenate([np.flatnonzero(kind)[:CURVE_EXAMPLES] for kind in kinds]))
        said = self._said(chosen, np.arange(len(self.test))[:CURVE_EXAMPLES])
        point = {
            "test_acc": said.test_acc,
            "member_acc": said.accuracy(said.honest & said.member),
            "non_member_acc": said.accuracy(said.honest & ~said.member),
        }
        numbers = measure(said) if said.finite else dict.fromkeys(measure.names)
        return point | {n: math.nan if v is None else v for n, v in numbers.items() if n != "test_acc"}

    def _said(self, pool: NDArray[np.intp], test: NDArray[np.intp]) -> Trained:
        pool_logits, test_logits = (
            predict(self.model, images, torch.from_numpy(index)).numpy()
            for images, index in ((self.pool, pool), (self.test, test))
        )
        return Trained(
            pool_logits, self.labels[pool], self.true_labels[pool], self.member[pool], self.validation[pool],
            test_logits, self.test_labels[test],
        )  # fmt: skip

    def test_acc(self) -> float:
        """The model's accuracy now, for which its logits need not be finite."""
        return accuracy(predict(self.model, self.test).numpy(), self.test_labels)


def prepare(job: Job) -> Subject:
    """Data, split and a freshly initialized model on the job's device."""
    device, key, seed = torch.device(job.device), job.key, job.setting.seed
    benchmark = job.spec.benchmarks[job.setting.benchmark]
    dataset = job.spec.datasets[benchmark.dataset]
    data: Prepared = load(benchmark.dataset, dataset, job.data, job.members, job.spec.parts)

    def images(pixels: Any) -> Images:
        return Images(torch.from_numpy(enlarge(pixels, benchmark.size)), dataset.mean, dataset.std, device)

    seeds = run_seeds(key, seed)
    model = build(job.setting.model or benchmark.model, dataset.classes, job.spec.image_shape(job.setting.benchmark))
    initialize(model, seeds.init)
    torch.manual_seed(seeds.model)
    apart = validation(key, data.train_keys) if job.spec.parts == 3 else np.zeros(len(data.train_keys), np.bool_)
    rest = np.flatnonzero(~apart)
    keys = [data.train_keys[i] for i in rest]
    member, labels = np.zeros(len(apart), np.bool_), data.train_labels.copy()
    member[rest] = membership(key, seed, keys)
    labels[rest], _ = mislabel(key, keys, labels[rest], dataset.classes, job.canaries)
    labels[rest], _ = mislabel(key, keys, labels[rest], dataset.classes, job.poisoned, "poison", member[rest])
    return Subject(
        model.to(device).to(memory_format=torch.channels_last), images(data.train_images), labels, data.train_labels,
        member, apart, images(data.test_images), data.test_labels,
    )  # fmt: skip
