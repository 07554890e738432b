"""The magics as tables: their commands, their options, what each is for. Pure.

Parsing, help, Tab completion and the user's page in the documentation read these and nothing else, so an option exists
in all of them or in none.
"""

from __future__ import annotations

from jupyter_dist.notebook.options import Option

EXECUTOR = Option(("-e", "--executor"), "text", "the executor to use, by its name in the notebook", "EXECUTOR")
ON_INTERRUPT = ("cancel", "detach", "kill")
GROUPS = ("worker", "order")

CELL_SUMMARY = "Run the cell on the cluster. The names it makes become futures at once."
CELL_OPTIONS = (
    EXECUTOR,
    Option(("-i", "--inputs"), "names", "names to send although the cell does not seem to read them", "NAMES"),
    Option(("-o", "--outputs"), "names", "names to bring back; by default what the cell makes", "NAMES"),
    Option(
        ("--map",),
        "python",
        "run it once for each element of an iterable; in the cell the name is one element. "
        "Results are lists of futures",
        "VAR[=ITERABLE]",
    ),
    Option(("--each",), "flag", "run it once on every worker; results are dicts of futures by worker"),
    Option(("-w", "--workers"), "words", "workers that may run it: names, hosts or addresses", "WORKERS"),
    Option(("--block",), "flag", "wait for the cell and raise what it raises"),
    Option(("--timeout",), "seconds", "stop it when it has run for so long", "S"),
    Option(("--retries",), "number", "run it again so often when it raises", "N"),
    Option(("--rerun",), "text", "`never`: fail rather than begin again when its worker dies", "WHEN"),
    Option(("--no-capture",), "flag", "do not show what the cell prints"),
    Option(
        ("--group",),
        "choice",
        "with --map and --each: show prints at the end, by worker or in order, instead of as they come",
        "{worker,order}",
        GROUPS,
    ),
    Option(
        ("--on-interrupt",),
        "choice",
        "what the stop button does while the cell blocks: cancel its work (then, pressed again, kill the workers "
        "that are still inside it), leave it running, or kill at once",
        "{cancel,detach,kill}",
        ON_INTERRUPT,
    ),
    Option(("--name",), "text", "what the run is called", "NAME"),
)

SUBMIT_USAGE = "%submit [-o NAME] f(x, y=2)"
SUBMIT_SUMMARY = "Send the call f(x, y=2), without calling it here, and return its future."
SUBMIT_OPTIONS = (EXECUTOR, Option(("-o", "--output"), "names", "a name for the future", "NAME"))
GATHER_USAGE = "%gather a b"
GATHER_SUMMARY = "Wait for futures, or lists and dicts of them, and bind their names to their values."
GATHER_OPTIONS = (EXECUTOR,)

COMMANDS = {
    "start": "start a cluster that outlives this kernel",
    "connect": "use a running cluster",
    "status": "say how the cluster is",
    "scale": "keep so many workers",
    "restart": "forget every task and replace every worker",
    "stop": "end the cluster",
    "attach": "take over the futures of this notebook's earlier kernel",
    "cancel": "stop the distributed cells of this notebook that go on, or the one of a name",
    "push": "put values into the cluster's shared memory; their names become futures",
    "pull": "wait for futures and bind their names to their values, as %gather",
    "panel": "show the Executor panel",
    "stream": "show the task stream",
    "list": "list the running clusters",
}
USAGE = {
    "connect": "connect [NAME]",
    "scale": "scale N",
    "attach": "attach [NAME]",
    "cancel": "cancel [RUN]",
    "push": "push a b",
    "pull": "pull a b",
}
COMMAND_OPTIONS = {
    "start": (
        Option(("-n", "--workers"), "number", "worker processes; by default one for each core", "N"),
        Option(("--threads",), "number", "tasks each worker runs at a time, 1 by default", "T"),
        Option(("--name",), "text", "the cluster's name, `default` by default", "NAME"),
    ),
    "attach": (Option(("--overwrite",), "flag", "bind also names that stand for something else"),),
}


def usage_of(command: str) -> str:
    """Return how a command of ``%distributed`` is written."""
    return f"%distributed {USAGE.get(command, command)}"


def describe_commands() -> str:
    """Return the help of ``%distributed``."""
    lines = [f"  {usage_of(name):<28} {text}" for name, text in COMMANDS.items()]
    lines.append(f"  {'%%distributed':<28} run the cell on the cluster; `%%distributed --help` lists its options")
    return "\n".join([*lines, "`%distributed COMMAND --help` tells more of each."])
