"""`python -m mlsbench`."""

from mlsbench.cli import main

main()
