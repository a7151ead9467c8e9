"""The conversation of a rollout: Inspect's model and limits, tools on a workbench."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, execute_tools, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolError, tool
from inspect_ai.util import LimitExceededError, apply_limits, concurrency, store, time_limit

from mlsbench import MachineError
from mlsbench.agents.rollout import Grading, LiveRollout
from mlsbench.agents.workbench import RefusedError, Workbench
from mlsbench.harness.engine import Engine
from mlsbench.scoring.rollouts import End

CONTINUE = "Go on with a tool. submit(n) submits the file of test n and ends the work."
STATE = "workbench"
ENDS: dict[str, End] = {"time": "time", "token": "tokens", "cost": "cost", "turn": "replies"}

# The rollouts of this process, by sample: they hold keys, which no log or store may see.
LIVE: dict[str, LiveRollout] = {}

T = TypeVar("T")


@solver
def rollout(grading: Grading) -> Solver:
    """The model works until it submits or runs out of something."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        live = LIVE[state.uuid] = LiveRollout(grading, str(state.model), state.uuid)
        seconds = grading.budget.minutes * 60 if grading.budget.minutes is not None else None
        started = time.monotonic()
        try:
            # A limit of its own: Inspect's would hold for the grading, too.
            with apply_limits([time_limit(seconds)], catch_errors=True) as scope:
                await _converse(state, live.bench, tools(live))
            if scope.limit_error:
                live.ended = "time"
            elif live.bench.checked_out:
                live.ended = "replies"
        except LimitExceededError as error:
            live.ended = ENDS.get(error.type, "another limit")
            raise
        finally:
            live.seconds = time.monotonic() - started
        return state

    return solve


async def _converse(state: TaskState, bench: Workbench, offered: list[Tool]) -> None:
    while not bench.over:
        state.output = await get_model().generate(state.messages, offered)
        drop_unwritable(state.output.message)
        state.messages.append(state.output.message)
        calls = state.output.message.tool_calls
        if not calls:
            bench.act()
            state.messages.append(ChatMessageUser(content=CONTINUE))
            continue
        before = bench.state.calls
        state.messages.extend((await execute_tools(state.messages, offered)).messages)
        for _ in range(len(calls) - (bench.state.calls - before)):  # those that never reached a tool
            bench.waste()


def tools(live: LiveRollout) -> list[Tool]:
    """The tools on the workbench of `live`. Only one works at a time."""
    bench = live.bench

    def told(answer: Callable[[], str]) -> str:
        try:
            return f"{answer()}\n{bench.left()}"
        except RefusedError as refused:
            raise ToolError(f"{refused}\n{bench.left()}") from None
        finally:
            store().set(STATE, bench.state.model_dump(mode="json"))

    def used(answer: Callable[[], str] = str, free: bool = False) -> str:
        def enter() -> str:
            bench.enter(free)
            return answer()

        return told(enter)

    @tool(parallel=False)
    def view() -> Tool:
        async def execute() -> str:
            """Show the file with line numbers."""
            return used(bench.view)

        return execute

    @tool(parallel=False)
    def edit() -> Tool:
        async def execute(new: str, old: str | None = None, first: int | None = None, last: int | None = None) -> str:
            """Change the editable region: replace a text that stands in it once, or a range of lines.

            Args:
                new: The new text.
                old: The text to replace; not with first and last.
                first: The first line to replace, as the file is numbered now.
                last: The last line to replace; first - 1 inserts before line first.
            """
            return used(lambda: bench.edit(new, old, first, last))

        return execute

    @tool(parallel=False)
    def undo() -> Tool:
        async def execute() -> str:
            """Take the latest edit back."""
            return used(bench.undo)

        return execute

    @tool(parallel=False)
    def validate() -> Tool:
        async def execute() -> str:
            """Check the file and try a few calls in the sandbox. Uses no action."""
            used(free=True)  # before the sandbox is taken
            return told(await _probe(live))

        return execute

    @tool(parallel=False)
    def test() -> Tool:
        async def execute() -> str:
            """Train and attack with the file as it is. What is rejected or was tested before uses no test."""
            used()  # one action, whatever comes of it
            try:
                submission = bench.start_test()
            except RefusedError as refused:
                raise ToolError(f"{refused}\n{bench.left()}") from None
            if isinstance(submission, str):
                return f"{submission}\n{bench.left()}"
            accepted = await _probe(live)
            try:
                accepted()
            except RefusedError as refused:
                raise ToolError(f"{refused} No test was used.\n{bench.left()}") from None
            with _ours():
                report = await in_thread(lambda engine: live.test(submission, engine), live.engine())
            text = bench.finish_test(submission, report)
            store().set(STATE, bench.state.model_dump(mode="json"))
            return f"{text}\n{bench.left()}"

        return execute

    @tool(parallel=False)
    def submit() -> Tool:
        async def execute(n: int) -> str:
            """Submit the file of a test that was run, and end the work.

            Args:
                n: The number of the test.
            """
            return used(lambda: bench.submit(n))

        return execute

    return [view(), edit(), undo(), validate(), test(), submit()]


async def _probe(live: LiveRollout) -> Callable[[], str]:
    """What says how the probe went: it takes a sandbox, which must not hold up other rollouts."""
    try:
        submission = live.bench.submission()
        with _ours():
            answer = await anyio.to_thread.run_sync(live.validate, submission)
    except RefusedError as error:
        refused = error

        def refuse() -> str:
            raise refused

        return refuse
    return lambda: answer


@contextmanager
def _ours() -> Iterator[None]:
    """Inspect would tell the model of an OSError, with the path; it is a failure of ours."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise MachineError(str(error)) from error


def drop_unwritable(message: ChatMessageAssistant) -> None:
    """Make calls in `message` that no log can hold into calls that cannot be read: they would break the whole log."""
    if isinstance(message.content, str):
        message.content = message.content.encode(errors="replace").decode()
    for call in message.tool_calls or []:
        try:
            json.dumps([call.function, call.arguments], ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):  # half a surrogate pair, infinity, a number of thousands of digits
            call.function = call.function.encode(errors="replace").decode()
            call.arguments, call.parse_error = {}, "The arguments hold what cannot be written down."


async def in_thread(work: Callable[[Engine], T], engine: Engine) -> T:
    """What `work` returns, which runs jobs on `engine`; one at a time. When cancelled, it ends the jobs first."""
    ended = threading.Event()

    def call() -> T:
        try:
            return work(engine)
        finally:
            ended.set()

    async with concurrency("mlsbench training", 1):
        try:
            return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            engine.stop()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(ended.wait)
            raise
