"""The task specification: what a `task.toml` may say, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["auto", "fp32", "bf16"]


class Model(BaseModel):
    """Base of all parts of a specification: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Array(Model):
    """A named array of a contract's method."""

    name: Name
    dtype: Literal["float32", "int64"]
    shape: tuple[str, ...] = Field(description="symbolic dimensions, for example ['batch', 'classes']; [] is a scalar")
    gradient: bool = Field(False, description="the reply carries d output / d this input")


class Method(Model):
    """A method that the candidate implements: arrays in, arrays out, gradients of its first output."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]

    @model_validator(mode="after")
    def _differentiable(self) -> Method:
        if any(a.gradient for a in self.outputs):
            raise ValueError("only inputs have gradients")
        if any(a.gradient and a.dtype != "float32" for a in self.inputs):
            raise ValueError("an input with a gradient must be float32")
        if any(a.gradient for a in self.inputs) and not (self.outputs and self.outputs[0].shape == ()):
            raise ValueError("a method with gradients needs a scalar as its first output")
        return self


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
    methods: dict[Name, Method]


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
    """A prepared dataset: shape (H, W, C), sizes and fingerprints of its splits, channel statistics of the first."""

    shape: tuple[Count, Count, Count]
    classes: Annotated[int, Field(ge=2)]
    train: Count
    test: Count
    train_fingerprint: Digest
    test_fingerprint: Digest
    mean: tuple[float, ...]
    std: tuple[Positive, ...]

    @model_validator(mode="after")
    def _channels(self) -> Dataset:
        if not len(self.mean) == len(self.std) == self.shape[2]:
            raise ValueError(f"mean and std need one value a channel, that is {self.shape[2]}")
        return self


class Training(Model):
    """How a model is trained: SGD with momentum 0.9 on all parameters."""

    epochs: Count
    lr: Positive
    schedule: Literal["cosine", "steps"] = Field(
        "cosine", description="cosine to 0, or ×0.1 at each of `milestones`; by the epoch"
    )
    milestones: tuple[Count, ...] = Field((), description="epochs at which `steps` lowers the rate")
    weight_decay: Annotated[float, Field(ge=0)]
    batch: Count
    augment: bool = Field(description="black padding of 4, random crop, random flip")


class TrainingChange(Model):
    """A benchmark's own values where they differ from its protocol's."""

    epochs: Count | None = None
    lr: Positive | None = None
    batch: Count | None = None


class Benchmark(Model):
    """An architecture on a dataset."""

    model: Name
    dataset: Name
    size: Count = Field(description="side of the images that the model gets; a whole multiple of the dataset's")
    cpu_ms: Positive = Field(description="milliseconds to train on one image on two CPU cores, for estimates")
    gpu_mib: Count = Field(description="MiB of a GPU that a job takes, CUDA's own part included, to pack jobs onto it")
    training: TrainingChange = TrainingChange()
    hidden: bool = Field(False, description="an agent that is graded neither sees it nor hears of it; it counts")


class Protocol(Model):
    """Benchmarks, seeds and training that belong together; numbers of different protocols are never compared."""

    title: str
    benchmarks: tuple[Name, ...]
    seeds: tuple[int, ...]
    training: Training
    canaries: Annotated[int, Field(ge=0)] = Field(
        0, description="examples with a wrong label, half of them members by chance; fewer than members"
    )
    precision: Precision = Field("auto", description="auto: bf16 autocast on CUDA, fp32 on the CPU")


class Baseline(Model):
    """A submission that ships with the task."""

    title: str
    control: bool = Field(False, description="not a defense, but what a defense must beat")


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
    datasets: dict[Name, Dataset]
    benchmarks: dict[Name, Benchmark]
    protocols: dict[Name, Protocol]
    default_protocol: Name
    baselines: dict[Name, Baseline]

    @model_validator(mode="after")
    def _references(self) -> Task:
        if sum(m.primary for m in self.metrics) != 1:
            raise ValueError("exactly one metric must be primary")
        if self.default_protocol not in self.protocols:
            raise ValueError(f"default_protocol: there is no protocol {self.default_protocol!r}")
        for name, benchmark in self.benchmarks.items():
            if benchmark.dataset not in self.datasets:
                raise ValueError(f"benchmarks.{name}.dataset: there is no dataset {benchmark.dataset!r}")
            if benchmark.size % self.datasets[benchmark.dataset].shape[0]:
                raise ValueError(f"benchmarks.{name}.size: {benchmark.size} is no multiple of the dataset's side")
        for name, protocol in self.protocols.items():
            for used in protocol.benchmarks:
                if used not in self.benchmarks:
                    raise ValueError(f"protocols.{name}.benchmarks: there is no benchmark {used!r}")
        return self

    @property
    def primary(self) -> Metric:
        """The metric that ranks entries."""
        return next(m for m in self.metrics if m.primary)

    def training(self, protocol: str, benchmark: str) -> Training:
        """The training values of `benchmark` under `protocol`."""
        change = self.benchmarks[benchmark].training.model_dump(exclude_none=True)
        return self.protocols[protocol].training.model_copy(update=change)
