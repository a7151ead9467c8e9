"""HTML that is escaped by construction: a text is data unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable

Attribute = str | int | float | bool | None
_EMPTY = ("input", "meta")


class Html(str):
    """Text that is HTML already; any other text is escaped where it is put."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: Attribute) -> Html:
    """The element `name`. `class_` is class, `data_x` is data-x; an attribute None or False is left out."""
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>" if name in _EMPTY else f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    """The parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{html.escape(str(value))}"'
