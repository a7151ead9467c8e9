"""The command line. Commands import what they need when they run: `mlsbench --help` must not wait for torch."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper

import typer

from mlsbench import MachineError, UserError, __version__
from mlsbench.cli import agent, audit, clean, data, doctor, grade, image, report, run, table, tasks, verify

app = typer.Typer(
    help="Grade training losses and attacks, and the agents that write them: privacy of training data, robustness.\n\n"
    "Example: mlsbench run security-membership-inference-defense --submission my_loss.py --protocol smoke",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (tasks, run, grade, agent, table, audit, report, verify, doctor, clean):
    module.add(app)
app.add_typer(data.app, name="data")
app.add_typer(image.app, name="image")

USAGE, REJECTED, INFRASTRUCTURE = 2, 3, 4


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The `mlsbench` command. A user's mistake ends with one message on standard error and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # "?" for what a terminal's encoding lacks is better than no table
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, signal.default_int_handler)  # a job manager's wish is as good as Ctrl-C
    try:
        app()
    except UserError as error:
        from mlsbench.scoring.text import clean
        from mlsbench.tasks import SubmissionRejected

        rejected = isinstance(error, SubmissionRejected)
        lines = f"{'rejected' if rejected else 'error'}: {error}".split("\n")
        typer.echo("\n".join(clean(line, 2000) for line in lines), err=True)  # which may name foreign files
        sys.exit(REJECTED if rejected else INFRASTRUCTURE if isinstance(error, MachineError) else USAGE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
