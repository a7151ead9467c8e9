"""Whatever a candidate calls itself or raises becomes one short printable line."""

from __future__ import annotations

import pytest

from mlsbench.scoring import clean


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain – text, ünïcode 漢字", "plain – text, ünïcode 漢字"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("\u2028separators\u2029 \xa0 and  spaces ", "separators and spaces"),
        ("\x1b[31mred\x1b[0m", "�red�"),
        ("\x1b]0;title\x07after", "�after"),
        ("\x1b]8;;http://x\x1b\\link", "�link"),
        ("\x9b31mred", "�red"),
        ("\x1b", "�"),
        ("\x1b]never ends", "�never ends"),
        ("nul\x00\x01\x02bell\x07", "nul�bell�"),
        ("right\u202eleft\u2066", "right�left�"),
        ("zero\u200bwidth\ufeff\u2060", "zero�width�"),
        ("hidden\u3164\ufe0f\u2800", "hidden�"),
        ("tags\U000e0041\U000e0042", "tags�"),
        ("surrogate\ud800", "surrogate�"),
        ("private\ue000", "private�"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_text_becomes_one_printable_line(text: str, line: str) -> None:
    assert clean(text, 100) == line


def test_every_character_becomes_printable_and_encodable() -> None:
    everything = "".join(map(chr, range(0x110000)))
    line = clean(everything, len(everything))
    line.encode()
    assert line.isprintable()
    assert not set("\u202e\u200b\x1b\n\u3164") & set(line)


@pytest.mark.parametrize("length", [11, 80, 81, 10_000])
def test_long_text_is_cut_to_the_limit_and_says_so(length: int) -> None:
    assert clean("x" * length, 10) == "x" * 9 + "…"


def test_text_of_the_limit_is_not_cut() -> None:
    assert clean("x" * 10, 10) == "x" * 10


def test_text_that_shrinks_below_the_limit_still_says_that_it_was_cut() -> None:
    assert clean("a" + " " * 1000 + "b", 10) == "a…"


@pytest.mark.parametrize("text", ["a b " * 9, "\x1b[31m\x1b[0m x \u202e", "y" * 300, " \x00 \x00 "])
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text, 20), 20) == clean(text, 20)
