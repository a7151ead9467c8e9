"""The record of a job: what ran, how it ended, its numbers; and how it is stored, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlsbench import UserError
from mlsbench.scoring.text import clean

RECORD_FILE = "record.json"
ROLLOUTS, TARGETS = "rollouts", "targets"
REASON_LIMIT = 500
NAME_LIMIT = 200
MOST_BYTES = 1 << 20  # of a record; a job's are some 4 KB

Status = Literal["scored", "collapsed", "failed", "rejected", "infra_failed", "cancelled"]
EntryType = Literal["baseline", "vanilla", "agent"]


def _line(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        line = clean(text, limit)
        if not line:
            raise ValueError("is empty")
        return line

    return AfterValidator(check)


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first or the last day of all, somewhere else
        raise ValueError("is no date in UTC") from None


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
ProtocolName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\+[a-z_]+=[A-Za-z0-9._-]+)*$", max_length=200)]
Word = Annotated[str, _line(100)]
Reason = Annotated[str, AfterValidator(lambda text: clean(text, REASON_LIMIT))]
# Bounds that no job comes near, so that no sum of a hostile file's numbers overflows and no page of it is endless.
Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Few = Field(max_length=100)
Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class Model(BaseModel):
    """Base of all parts of a record: unknown keys, NaN and infinity are errors, fields are not reassigned."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Group(NamedTuple):
    """What must agree between all numbers of one table."""

    task: str
    task_version: int
    frozen: str
    protocol: str
    split_key: str
    precision: str


class Setting(Model):
    """Everything but the submission that decides a job's number."""

    task: Name
    task_version: Annotated[int, Field(gt=0)]
    frozen: Digest = Field(description="digest of the code that decides numbers")
    benchmark: Name
    model: Name | None = Field(None, description="architecture as trained; null in records older than this field")
    protocol: ProtocolName = Field(description="a protocol of the task; overrides follow it as +key=value")
    seed: Seed
    split_key: Digest = Field(description="SHA-256 of the split key")
    sandbox: Word
    device_kind: Word
    precision: Literal["fp32", "bf16"]
    torch: Word = Field(description="torch version")
    data: Digest = Field(description="fingerprint of the dataset")

    def job_key(self, submission: str) -> str:
        """SHA-256, in hex, of the canonical JSON of this setting and the `submission` digest."""
        # Without nulls, so that the keys of older records stay what they are.
        identity = {**self.model_dump(mode="json", exclude_none=True), "submission": submission}
        return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def group(self) -> Group:
        """The part of the setting that must agree within one table."""
        return Group(self.task, self.task_version, self.frozen, self.protocol, self.split_key, self.precision)


class Entry(Model):
    """One line-up of the table: a named submission."""

    name: Annotated[str, _line(NAME_LIMIT)] = Field(description=f"one line, cut at {NAME_LIMIT} characters")
    type: EntryType
    submission: Digest = Field(description="SHA-256 of the submitted bytes")


class Record(Model):
    """What is known of one finished or given-up job."""

    schema_version: Literal[1] = 1
    job_key: Digest = Field(description="digest of setting and submission")
    entry: Entry
    setting: Setting
    status: Status
    reason: Reason = Field("", description=f"why it is not scored; one line, cut at {REASON_LIMIT} characters")
    metrics: Annotated[dict[Word, Number | None], Few] = Field(description="null: not measurable")
    audit: Annotated[dict[Word, Number | None], Few] = Field(
        {}, description="numbers of audit-1; empty if no classifier came out"
    )
    findings: Annotated[dict[Word, Reason], Few] = Field(
        {}, description="why mia_auc is a bad witness here, by the kind of finding"
    )
    attempts: Annotated[int, Field(ge=1)] = 1
    training: Annotated[dict[Word, float | int | str | None], Few] = Field(
        {}, description="epochs done, share of zero gradients and the like"
    )
    timing: Annotated[dict[Word, float], Few] = Field({}, description="seconds")
    environment: Annotated[dict[Word, str | int | float | None], Few] = {}
    created: Moment = Field(description="when the job ended, UTC")

    @model_validator(mode="after")
    def _key_belongs(self) -> Self:
        if self.job_key != self.setting.job_key(self.entry.submission):
            raise ValueError("job_key does not belong to this setting and submission")
        return self


@dataclass(frozen=True)
class Stored:
    """A record and the file that holds it."""

    path: Path
    record: Record


def record_schema() -> dict[str, Any]:
    """The JSON schema of `record.json`."""
    return Record.model_json_schema()


def read_whole(path: Path, most: int) -> bytes:
    """All of `path`, of at most `most` bytes. OSError for what is larger, and for links, pipes and devices.

    Runs folders come from other people, too: nothing in one shall make a reader wait or fill its memory.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
        return file.read(status.st_size)


def write_whole(path: Path, data: bytes) -> None:
    """Write `path` so that it holds all of `data` or, after a crash at any moment, what it held before.

    A crash may leave a `.<name>.<random>.tmp` beside it, which nothing reads.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name must survive a power cut too
    finally:
        os.close(folder)


def write_record(folder: Path, record: Record) -> Path:
    """Write `record` to `folder`, made if missing, in one step; returns the file. Write a job's other files first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECORD_FILE
    write_whole(path, record.model_dump_json(indent=2).encode() + b"\n")
    return path


def read_record(path: Path) -> Record:
    """The record in `path`; UserError, naming the file and a fault, if missing, damaged or of another version."""
    try:
        return Record.model_validate_json(read_whole(path, MOST_BYTES))
    except FileNotFoundError:
        raise UserError(
            f"there is no record {clean(str(path), 500)}: name the folder of a job, seed-42 for example"
        ) from None
    except OSError as error:
        fault = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fault = ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)
    raise UserError(clean(f"{path} is no readable record ({fault}); move it away and run the job again", 1000))


def find_records(root: Path) -> tuple[list[Stored], list[str]]:
    """All records below `root` in the order of their paths, a line for each that cannot be read. Follows no links.

    What lies in a folder `rollouts` below is of agents at work, and in `targets` are models that attacks are run on:
    neither is in a table.
    """
    stored, problems, found = [], [], []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if name not in (ROLLOUTS, TARGETS)]
        if RECORD_FILE in files:
            found.append(Path(folder) / RECORD_FILE)
    for path in sorted(found):
        try:
            stored.append(Stored(path, read_record(path)))
        except UserError as error:
            problems.append(str(error))
    return stored, problems
