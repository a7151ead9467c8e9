"""The task specification: what a `task.toml` may say, as pydantic models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlsbench.tasks.array import Method, Model, Name
from mlsbench.tasks.models import MODELS
from mlsbench.tasks.offers import mistakes

RESERVED = {"rollouts", "targets"}  # below whose folders nothing looks for records of entries
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["auto", "fp32", "bf16"]


class Contract(Model):
    """What a submission must be: the file, its editable region, the class, its methods, what it may import."""

    file: str = Field(
        description="name of the template and of a submission in a folder", pattern=r"^[A-Za-z0-9_]+\.py$"
    )
    begin: str = Field(description="line that opens the editable region")
    end: str = Field(description="line that closes the editable region")
    class_name: str = Field(
        alias="class", description="class that the submission defines, constructed without arguments"
    )
    modules: tuple[str, ...] = Field(description="modules that a submission may import")
    methods: dict[Name, Method] = Field(description="what the trainer calls: `compute_loss`, `mix`; `fit`, `score`")

    @model_validator(mode="after")
    def _offered(self) -> Contract:
        if wrong := mistakes(self.methods):
            raise ValueError("; ".join(wrong))
        return self


class Limits(Model):
    """What a worker may use; times are the worker's own."""

    call_seconds: Positive = Field(10, description="one call")
    start_seconds: Positive = Field(60, description="import and construction of the candidate")
    job_seconds: Positive = Field(1800, description="all calls of one job")
    memory_mib: Count = Field(2048, description="memory on top of what the worker has when the candidate arrives")
    log_kib: Count = Field(64, description="kept output")


class Validity(Model):
    """When a trained model is no classifier: test accuracy at most max(chance_factor / K, 1 / K + sigmas · σ), or one
    class with `max_class_share` of the test predictions; σ is the deviation of a guesser's accuracy on the test set."""

    chance_factor: Positive = 2
    sigmas: Positive = 4
    max_class_share: Fraction = 0.99


class Metric(Model):
    """A column of the results table."""

    name: Name
    title: str
    direction: Literal["max", "min"]
    unit: str
    primary: bool = False


class Dataset(Model):
    """A prepared dataset: shape (H, W, C), sizes and fingerprints of its splits, channel statistics of the first.

    A table is a dataset of "images" of one row and one channel. Without fingerprints it is not known beforehand which
    data these are, and records tell by the digest of what was read.
    """

    shape: tuple[Count, Count, Count]
    classes: Annotated[int, Field(ge=2, le=256)]
    train: Count
    test: Count
    train_fingerprint: Digest | None = None
    test_fingerprint: Digest | None = None
    mean: tuple[float, ...]
    std: tuple[Positive, ...]

    @model_validator(mode="after")
    def _channels(self) -> Dataset:
        if not len(self.mean) == len(self.std) == self.shape[2]:
            raise ValueError(f"mean and std need one value a channel, that is {self.shape[2]}")
        if (self.train_fingerprint is None) != (self.test_fingerprint is None):
            raise ValueError("give both fingerprints or none")
        return self

    @property
    def table(self) -> bool:
        """Whether examples are rows of a table and no images."""
        return self.shape[0] == self.shape[2] == 1


class Training(Model):
    """How a model is trained: on all parameters."""

    optimizer: Literal["sgd", "adam"] = Field("sgd", description="SGD with momentum 0.9, or Adam with β 0.9 and 0.999")
    epochs: Count
    lr: Positive
    schedule: Literal["cosine", "steps"] = Field(
        "cosine", description="cosine to 0, or ×0.1 at each of `milestones`, constant without any; by the epoch"
    )
    milestones: tuple[Count, ...] = Field((), description="epochs at which `steps` lowers the rate")
    weight_decay: Annotated[float, Field(ge=0)]
    batch: Count
    augment: bool = Field(description="black padding of 4, random crop, random flip")


class TrainingChange(Model):
    """A benchmark's own values where they differ from its protocol's."""

    optimizer: Literal["sgd", "adam"] | None = None
    epochs: Count | None = None
    lr: Positive | None = None
    schedule: Literal["cosine", "steps"] | None = None
    milestones: tuple[Count, ...] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    batch: Count | None = None
    augment: bool | None = None


class Benchmark(Model):
    """An architecture on a dataset."""

    model: Name
    dataset: Name
    size: Count = Field(description="height of the images that the model gets; a whole multiple of the dataset's")
    cpu_ms: Positive = Field(description="milliseconds to train on one image on two CPU cores, for estimates")
    gpu_mib: Count = Field(description="MiB of a GPU that a job takes, CUDA's own part included, to pack jobs onto it")
    training: TrainingChange = TrainingChange()
    hidden: bool = Field(False, description="an agent that is graded neither sees it nor hears of it; it counts")


class Protocol(Model):
    """Benchmarks, seeds and training that belong together; numbers of different protocols are never compared."""

    title: str
    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 63)], ...], Field(min_length=1)]
    training: Training
    members: Count | None = Field(None, description="members of each model, as many as there can be by default")
    references: tuple[int, ...] = Field(
        (), description="seeds of the models whose membership an attack is told; of other pairs than `seeds`"
    )
    canaries: Annotated[int, Field(ge=0)] = Field(
        0, description="examples with a wrong label, half of them members by chance; fewer than members"
    )
    precision: Precision = Field("auto", description="auto: bf16 autocast on CUDA, fp32 on the CPU")


class Baseline(Model):
    """A submission that ships with the task."""

    title: str
    control: bool = Field(False, description="not a defense, but what a defense must beat")
    submission: Name | None = Field(None, description="the baseline whose file it is, if that is another's")
    variant: Name | None = Field(None, description="of the model: of resnet20 the variant dropout is resnet20_dropout")


class Target(Model):
    """Whom an attack is run on: models trained with a baseline of another task, on this task's benchmarks."""

    task: Name = Field(description="the task whose contract, metrics and verdicts the models' training follows")
    baseline: Name


def half_of_a_pair(seeds: Sequence[int]) -> int | None:
    """The first of `seeds` whose other half, with the opposite members, is among them, too; None if there is none.

    Such targets of an attack would be attacked side by side, by workers that may notice each other's load: by that they
    could agree on who is a member of one of them.
    """
    return next((seed for seed in seeds if seed ^ 1 in seeds), None)


class Task(Model):
    """A whole task.toml."""

    id: Name
    title: str
    version: Count
    description: str
    contract: Contract
    limits: Limits = Limits()
    validity: Validity = Validity()
    metrics: tuple[Metric, ...]
    datasets: dict[Name, Dataset] = Field({}, description="beside those of the catalogue that benchmarks use")
    benchmarks: dict[Name, Benchmark] = Field({}, description="beside those of the catalogue that protocols use")
    protocols: dict[Name, Protocol]
    default_protocol: Name
    baselines: dict[Name, Baseline]
    target: Target | None = Field(None, description="what an attack is run on; its references are trained alike")
    poison: dict[Name, Fraction] = Field(
        {}, description="share of members, by benchmark, that are trained with a label of another class"
    )

    @model_validator(mode="after")
    def _references(self) -> Task:
        if sum(m.primary for m in self.metrics) != 1:
            raise ValueError("exactly one metric must be primary")
        names = [metric.name for metric in self.metrics]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"metrics: {repeated[0]} stands there twice")
        if reserved := sorted({*self.protocols, *self.benchmarks} & RESERVED):
            raise ValueError(f"{reserved[0]} is the name of a folder beside the records: take another")
        if self.default_protocol not in self.protocols:
            raise ValueError(f"default_protocol: there is no protocol {self.default_protocol!r}")
        for name, benchmark in self.benchmarks.items():
            if benchmark.dataset not in self.datasets:
                raise ValueError(f"benchmarks.{name}.dataset: there is no dataset {benchmark.dataset!r}")
            if benchmark.model not in MODELS:
                known = ", ".join(MODELS)
                raise ValueError(f"benchmarks.{name}.model: there is no model {benchmark.model!r}; choose from {known}")
            if benchmark.size % self.datasets[benchmark.dataset].shape[0]:
                raise ValueError(f"benchmarks.{name}.size: {benchmark.size} is no multiple of the dataset's height")
        for name in self.poison:
            if name not in self.benchmarks:
                raise ValueError(f"poison.{name}: there is no benchmark {name!r}")
        for name, baseline in self.baselines.items():
            if baseline.submission is not None and baseline.submission not in self.baselines:
                raise ValueError(f"baselines.{name}.submission: there is no baseline {baseline.submission!r}")
        for name, protocol in self.protocols.items():
            for used in protocol.benchmarks:
                if used not in self.benchmarks:
                    raise ValueError(f"protocols.{name}.benchmarks: there is no benchmark {used!r}")
                for known in self.baselines:
                    if (model := self.model(used, known)) not in MODELS:
                        raise ValueError(f"baselines.{known}.variant: there is no model {model!r} for {used}")
                if self.training(name, used).augment and self.datasets[self.benchmarks[used].dataset].table:
                    raise ValueError(f"protocols.{name}: {used} is about a table, whose rows cannot be augmented")
            if self.procedure == "attack" and (seed := half_of_a_pair(protocol.seeds)) is not None:
                raise ValueError(f"protocols.{name}.seeds: {seed} and {seed ^ 1} are one pair: take other targets")
            if fault := self._fault_of_references(protocol):
                raise ValueError(f"protocols.{name}.references: {fault}")
        if (self.target is not None) != (self.procedure == "attack"):
            raise ValueError("target: an attack has one, and a loss has none")
        return self

    def _fault_of_references(self, protocol: Protocol) -> str:
        """What is wrong with them, "" if nothing: half a pair, or half a target's, would tell who the members are."""
        if (self.procedure == "attack") != bool(protocol.references):
            return "an attack needs some, and a loss has no use for them"
        given = set(protocol.references)
        if len(given) < len(protocol.references) or any(seed ^ 1 not in given for seed in given):
            return "give whole pairs of seeds 2k and 2k + 1, once each"
        shared = sorted(given & {other for seed in protocol.seeds for other in (seed, seed ^ 1)})
        return f"seed {shared[0]} is of the pair of a target" if shared else ""

    @property
    def primary(self) -> Metric:
        """The metric that ranks entries."""
        return next(m for m in self.metrics if m.primary)

    @property
    def procedure(self) -> Literal["loss", "attack"]:
        """What a job does with a submission: it trains a model with the loss, or attacks trained models."""
        return "attack" if "score" in self.contract.methods else "loss"

    @property
    def parts(self) -> Literal[2, 3]:
        """Into what the pool is divided: members and non-members, and examples for validation if the loss sees such."""
        loss = self.contract.methods.get("compute_loss")
        return 3 if loss and any(array.name.startswith("reference_") for array in loss.inputs) else 2

    @property
    def plain(self) -> bool:
        """Whether a step of training is but one batch's logits to the loss, and its gradient back."""
        arrays = {array.name for method in self.contract.methods.values() for array in method.inputs}
        return set(self.contract.methods) == {"compute_loss"} and arrays <= {"logits", "labels", "epoch"}

    @property
    def audited(self) -> bool:
        """Whether the audit has something to say: it is about what mia_auc misses."""
        return any(metric.name == "mia_auc" for metric in self.metrics)

    def most_members(self, benchmark: str) -> int:
        """How many members a model of `benchmark` can have."""
        pool = self.datasets[self.benchmarks[benchmark].dataset].train
        return pool // 2 if self.parts == 2 else (pool - pool // 3) // 2

    def model(self, benchmark: str, baseline: str | None = None) -> str:
        """The architecture of `benchmark`, in the variant of `baseline` if that is a baseline of its own model."""
        known = self.baselines.get(baseline) if baseline else None
        model = self.benchmarks[benchmark].model
        return f"{model}_{known.variant}" if known and known.variant else model

    def image_shape(self, benchmark: str) -> tuple[int, int, int]:
        """Height, width and channels of the images that the model of `benchmark` gets."""
        size = self.benchmarks[benchmark].size
        height, width, channels = self.datasets[self.benchmarks[benchmark].dataset].shape
        return size, width * size // height, channels

    def training(self, protocol: str, benchmark: str) -> Training:
        """The training values of `benchmark` under `protocol`."""
        change = self.benchmarks[benchmark].training.model_dump(exclude_none=True)
        return self.protocols[protocol].training.model_copy(update=change)
