"""A table never mixes numbers that should not be mixed, and says what it left out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from mlsbench.scoring import Plan, Record, one_record_a_job, select

OTHER_KEY = "b" * 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "bf16"}, "1 record left out: precision bf16, the table's is fp32"),
        ({"split_key": OTHER_KEY}, "1 record left out: split key bbbbbbbb…, the table's is aaaaaaaa… (--key chooses)"),
        ({"frozen": "e" * 64}, "1 record left out: code eeeeeeee…, the table's is ffffffff…"),
        ({"task_version": 2}, "1 record left out: task version 2, the table's is 1"),
        ({"protocol": "quick"}, "1 record left out: of protocol quick, the table is of paper"),
        ({"protocol": "paper+epochs=3"}, "1 record left out: of protocol paper+epochs=3, the table is of paper"),
        ({"sandbox": "inprocess"}, "1 record left out: run in process, which is for tests and debugging"),
    ],
    ids=str,
)
def test_a_record_of_another_group_is_left_out_and_said(
    make_record: Callable[..., Record], change: dict[str, str], said: str
) -> None:
    ours = [make_record(seed=42, minute=0), make_record(seed=43, minute=1)]
    chosen, left_out = select([make_record(seed=44, **change), *ours], "paper")
    assert chosen == ours
    assert left_out == [said]


@pytest.mark.parametrize("change", [{"torch": "2.9"}, {"device_kind": "cuda"}, {"sandbox": "docker"}], ids=str)
def test_what_need_not_agree_stays_together(make_record: Callable[..., Record], change: dict[str, str]) -> None:
    chosen, left_out = select([make_record(), make_record(seed=43, **change)], "paper")
    assert len(chosen) == 2
    assert left_out == []


def test_the_group_with_the_most_records_is_chosen(make_record: Callable[..., Record]) -> None:
    few_but_new = [make_record(split_key=OTHER_KEY, minute=60)]
    many = [make_record(seed=42, minute=0), make_record(seed=43, minute=1)]
    assert select([*few_but_new, *many], "paper")[0] == many


@pytest.mark.parametrize(("older", "newer"), [("a" * 64, OTHER_KEY), (OTHER_KEY, "a" * 64)])
def test_of_equal_groups_the_newest_is_chosen(make_record: Callable[..., Record], older: str, newer: str) -> None:
    old, new = make_record(split_key=older, minute=0), make_record(split_key=newer, minute=1)
    assert select([old, new], "paper")[0] == [new]
    assert select([new, old], "paper")[0] == [new]


def test_the_split_key_that_was_asked_for_decides(make_record: Callable[..., Record]) -> None:
    many = [make_record(seed=seed) for seed in (42, 43)]
    asked = make_record(split_key=OTHER_KEY)
    chosen, left_out = select([*many, asked], "paper", split_key=OTHER_KEY)
    assert chosen == [asked]
    assert left_out == ["2 records left out: split under key aaaaaaaa…, asked for is bbbbbbbb…"]


def test_the_task_that_was_asked_for_decides(make_record: Callable[..., Record]) -> None:
    other = [make_record(task="other", seed=seed) for seed in (42, 43)]
    chosen, left_out = select([*other, make_record()], "paper", task="demo")
    assert chosen == [make_record()]
    assert left_out == ["2 records left out: of task other, the table is of demo"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{"seed": 99}], "1 record left out: of seed 99, the table is of SEEDS (--seed chooses)"),
        (
            [{"seed": seed} for seed in range(100, 90, -1)],
            "10 records left out: of seeds 91, 92, 93, 94, 95, 96, 97, 98, …, the table is of SEEDS (--seed chooses)",
        ),
        (
            [{"benchmark": "nine"}],
            "1 record left out: of benchmark nine, the table is of BENCHMARKS (--benchmark chooses)",
        ),
    ],
)
def test_what_is_not_planned_is_left_out_and_named(
    make_record: Callable[..., Record], plan: Plan, changes: list[dict[str, Any]], said: str
) -> None:
    chosen, left_out = select([*(make_record(**change) for change in changes), make_record()], "paper", plan=plan)
    assert chosen == [make_record()]
    seeds, benchmarks = ", ".join(map(str, plan.seeds)), ", ".join(plan.benchmarks)
    assert left_out == [said.replace("SEEDS", seeds).replace("BENCHMARKS", benchmarks)]


def test_records_run_in_process_do_not_make_a_group_larger(make_record: Callable[..., Record]) -> None:
    many = [make_record(seed=seed, split_key=OTHER_KEY, sandbox="inprocess") for seed in (42, 43)]
    assert select([*many, make_record()], "paper")[0] == [make_record()]


def test_nothing_of_the_protocol_is_no_table_and_says_what_there_is(make_record: Callable[..., Record]) -> None:
    chosen, left_out = select([make_record()], "overfit")
    assert chosen == []
    assert left_out == ["1 record left out: of protocol paper, the table is of overfit"]


def test_each_record_is_either_chosen_or_counted_as_left_out(make_record: Callable[..., Record]) -> None:
    records = [
        make_record(seed=seed, precision=precision, sandbox=sandbox, protocol=protocol)
        for seed in (42, 43)
        for precision in ("fp32", "bf16")
        for sandbox in ("process", "docker", "inprocess")
        for protocol in ("paper", "quick")
    ]
    chosen, left_out = select(records, "paper")
    assert len(chosen) + sum(int(line.split()[0]) for line in left_out) == len(records)


def test_another_try_is_left_out_and_said(make_record: Callable[..., Record]) -> None:
    first, second = make_record(0.5, minute=0), make_record(0.9, sandbox="docker", minute=1)
    chosen, left_out = select([second, first], "paper")
    assert chosen == [first]
    assert left_out == ["1 record left out: the first finished record of the same entry, benchmark and seed counts"]


@pytest.mark.parametrize("status", ["scored", "collapsed", "failed", "rejected"])
def test_the_earliest_finished_record_counts_whatever_it_says(make_record: Callable[..., Record], status: str) -> None:
    tries = [
        make_record(status="infra_failed", minute=0),
        make_record(0.3, status=status, torch="2.7", minute=1),
        make_record(0.9, status="scored", torch="2.8", minute=2),
        make_record(status="cancelled", torch="2.9", minute=3),
    ]
    for order in permutations(tries):
        assert one_record_a_job(order) == [tries[1]]


def test_of_records_that_are_not_finished_the_newest_counts(make_record: Callable[..., Record]) -> None:
    old, new = make_record(status="infra_failed"), make_record(status="cancelled", torch="2.7", minute=1)
    assert one_record_a_job([new, old]) == [new]


def test_a_record_run_in_process_is_no_try(make_record: Callable[..., Record]) -> None:
    debugging, real = make_record(0.1, sandbox="inprocess"), make_record(0.9, minute=1)
    assert one_record_a_job([debugging, real]) == [real]
