"""The part of the page that says where the numbers come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from mlsbench.scoring.record import Record
from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.markup import Html, tag
from mlsbench.scoring.report.sections import caption, note, scroller, section
from mlsbench.scoring.text import clean

_SETTINGS = ("task_version", "protocol", "split_key", "sandbox", "device_kind", "precision", "torch", "frozen", "data")
_TITLES = {"split_key": "split key (SHA-256)", "frozen": "code (digest)", "data": "data (fingerprint)"}


def environment_section(contents: Contents) -> Html:
    """Versions, devices, sandboxes and digests, each with the number of records that have it; what was left out."""
    rows = [_line(name, [clean(text, 80)]) for name, text in contents.versions.items()]
    rows += [_line(title, _counted(values)) for title, values in _facts(contents.records)]
    words = caption(f"From {len(contents.records)} records; where they differ, how many have each value.")
    lines = [note(clean(line, 300)) for line in contents.left_out] or [note("No record was left out.")]
    table = tag("table", words, tag("tbody", *rows), class_="facts")
    return section("environment", "Environment", scroller("Environment", table), *lines)


def _facts(records: Iterable[Record]) -> list[tuple[str, list[str]]]:
    known = list(records)
    found = [(_TITLES.get(f, f.replace("_", " ")), [str(getattr(r.setting, f)) for r in known]) for f in _SETTINGS]
    names = sorted({name for record in known for name in record.environment})
    found += [(name, [_text(r.environment.get(name)) for r in known]) for name in names]
    if known:
        ends = sorted(record.created for record in known)
        found.append(("ended, UTC", [f"{ends[0]:%Y-%m-%d %H:%M} to {ends[-1]:%Y-%m-%d %H:%M}"]))
    return [(clean(title, 60), values) for title, values in found]


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def _counted(values: list[str]) -> list[str]:
    counts = Counter(clean(value, 80) for value in values)
    return [value if len(counts) == 1 else f"{value} ({n})" for value, n in counts.most_common()]


def _line(title: str, values: list[str]) -> Html:
    return tag("tr", tag("th", title, scope="row"), tag("td", *(tag("div", _shown(value)) for value in values)))


def _shown(value: str) -> Html | str:
    return tag("code", value) if re.match(r"[0-9a-f]{64}\b", value) else value
