"""Foreign text as one harmless line: names and reasons come from candidates and are only ever data."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # strings: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?"
)
# Letters and marks that are drawn as nothing although Unicode calls them printable.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_REPLACED = "\ufffd"
_READ_FACTOR = 8


def clean(text: str, limit: int) -> str:
    """`text` as one printable line of at most `limit` characters; cleaning it again changes nothing.

    Runs of white space, line ends included, become one space. Runs of escape sequences, control, bidirectional,
    zero-width, private, unassigned and surrogate characters become one U+FFFD. What is too long ends in "…".
    """
    head = text[: _READ_FACTOR * limit]  # no work on megabytes that nobody will see
    head = _INVISIBLE.sub(_REPLACED, _ESCAPE.sub(_REPLACED, head))
    head = "".join(" " if c.isspace() else c if c.isprintable() else _REPLACED for c in head)
    head = re.sub(f"{_REPLACED}+", _REPLACED, re.sub(" +", " ", head)).strip()
    if len(text) <= _READ_FACTOR * limit and len(head) <= limit:
        return head
    return head[: limit - 1].rstrip() + "…"
