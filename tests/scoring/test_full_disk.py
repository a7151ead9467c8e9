"""A disk that is full in the middle of a write costs what was being written, and nothing that was there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# To a write, a limit on the size of files is what a full disk is: an error after the first bytes.
WRITE = """
import resource, sys
from pathlib import Path
from mlsbench.scoring.record import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_whole(Path(sys.argv[1]), bytes(1000))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_disk_that_is_full_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("earlier")
    done = subprocess.run([sys.executable, "-c", WRITE, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "OSError\n"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    assert path.read_text() == "earlier"
