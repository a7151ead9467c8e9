"""A record says what ran and how it ended, and takes nothing that is not a number, a name or a line of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from mlsbench.scoring import Entry, Record, Setting, record_schema

CHANGES = {
    "task": "other",
    "task_version": 2,
    "frozen": "e" * 64,
    "benchmark": "two",
    "model": "resnet20_dropout",
    "protocol": "paper+epochs=3",
    "seed": 43,
    "split_key": "b" * 64,
    "sandbox": "docker",
    "device_kind": "cuda",
    "precision": "bf16",
    "torch": "2.7",
    "data": "c" * 64,
}


def changed(record: Record, **changes: Any) -> dict[str, Any]:
    return {**record.model_dump(mode="json"), **changes}


def test_a_record_survives_the_way_through_json(make_record: Callable[..., Record]) -> None:
    record = make_record(0.1 + 0.2, reason="why", status="failed")
    assert Record.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("field", list(CHANGES))
def test_each_part_of_the_setting_changes_the_job_key(make_setting: Callable[..., Setting], field: str) -> None:
    assert make_setting(**{field: CHANGES[field]}).job_key("1" * 64) != make_setting().job_key("1" * 64)


def test_every_part_of_the_setting_is_in_the_test_above() -> None:
    assert set(CHANGES) == set(Setting.model_fields)


def test_the_submission_changes_the_job_key(make_setting: Callable[..., Setting]) -> None:
    assert make_setting().job_key("1" * 64) != make_setting().job_key("2" * 64)


def test_the_job_key_stays_what_it_was_in_earlier_records(make_setting: Callable[..., Setting]) -> None:
    key = "6b6d5505e87adb0452c45e2e9ecc1544e963027635e9163ec3fadb872516472b"
    assert make_setting(model=None).job_key("1" * 64) == key


@pytest.mark.parametrize("field", list(CHANGES))
def test_only_what_must_agree_in_a_table_makes_the_group(make_setting: Callable[..., Setting], field: str) -> None:
    agrees = make_setting(**{field: CHANGES[field]}).group() == make_setting().group()
    assert agrees == (field in {"benchmark", "model", "seed", "sandbox", "device_kind", "torch", "data"})


def test_a_job_key_of_another_setting_is_refused(make_record: Callable[..., Record]) -> None:
    with pytest.raises(ValidationError, match="job_key does not belong"):
        Record.model_validate(changed(make_record(), job_key="0" * 64))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["metrics", "audit", "training", "timing", "environment"])
def test_numbers_that_are_not_finite_are_refused(make_record: Callable[..., Record], field: str, number: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Record.model_validate(changed(make_record(), **{field: {"value": number}}))


@pytest.mark.parametrize("where", ["record", "entry", "setting"])
def test_unknown_keys_are_refused(make_record: Callable[..., Record], where: str) -> None:
    raw = make_record().model_dump(mode="json")
    (raw if where == "record" else raw[where])["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Record.model_validate(raw)


def test_a_field_is_not_reassigned(make_record: Callable[..., Record]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_record().status = "scored"


def test_null_metrics_are_kept(make_record: Callable[..., Record]) -> None:
    record = make_record(metrics={"acc": 0.1, "auc": None})
    assert Record.model_validate_json(record.model_dump_json()).metrics == {"acc": 0.1, "auc": None}


def test_a_hostile_name_is_kept_as_one_line_of_at_most_200_characters() -> None:
    entry = Entry(name="\x1b[31m\n" + "x" * 10_000, type="agent", submission="1" * 64)
    assert entry.name.isprintable()
    assert len(entry.name) == 200


@pytest.mark.parametrize("name", ["", " \n "])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        Entry(name=name, type="agent", submission="1" * 64)


def test_a_reason_is_one_line_of_at_most_500_characters(make_record: Callable[..., Record]) -> None:
    reason = make_record(reason="raised\n\x1b[31m" + "E" * 10_000_000).reason
    assert reason.startswith("raised �EEE")
    assert len(reason) == 500


@pytest.mark.parametrize("protocol", ["../up", "a/b", ".hidden", "paper+epochs=", "", "paper\n", "paper+epochs=../3"])
def test_a_protocol_that_could_be_a_path_is_refused(make_setting: Callable[..., Setting], protocol: str) -> None:
    with pytest.raises(ValidationError, match="protocol"):
        make_setting(protocol=protocol)


def test_several_overrides_are_a_protocol(make_setting: Callable[..., Setting]) -> None:
    assert make_setting(protocol="paper+epochs=3+precision=fp32").protocol == "paper+epochs=3+precision=fp32"


@pytest.mark.parametrize("field", ["submission", "frozen", "split_key", "data"])
def test_a_digest_is_64_hexadecimal_digits(make_record: Callable[..., Record], field: str) -> None:
    raw = make_record().model_dump(mode="json")
    (raw["entry"] if field == "submission" else raw["setting"])[field] = "A" * 64
    with pytest.raises(ValidationError, match=field):
        Record.model_validate(raw)


def test_the_time_is_utc_whatever_zone_it_was_given_in(make_record: Callable[..., Record]) -> None:
    east = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    record = Record.model_validate(changed(make_record(), created=east))
    assert record.created.tzinfo is UTC
    assert json.loads(record.model_dump_json())["created"] == "2026-05-01T10:00:00Z"


def test_a_time_without_a_zone_is_refused(make_record: Callable[..., Record]) -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Record.model_validate(changed(make_record(), created="2026-05-01T10:00:00"))


def test_the_schema_accepts_a_record(make_record: Callable[..., Record]) -> None:
    jsonschema.validate(make_record().model_dump(mode="json"), record_schema())


def test_the_schema_refuses_unknown_keys(make_record: Callable[..., Record]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(changed(make_record(), surprise=1), record_schema())


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_that_has_no_date_in_utc_is_refused(make_record: Callable[..., Record], moment: str) -> None:
    with pytest.raises(ValidationError, match="no date in UTC"):
        Record.model_validate(changed(make_record(), created=moment))
