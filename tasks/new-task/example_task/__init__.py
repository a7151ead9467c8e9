"""The task example-task: everything that mlsbench reads of it lies in this folder."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
