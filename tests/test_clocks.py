"""What decides goes by monotonic clocks: a clock that jumps changes what is shown, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "jupyter_dist"
WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today")}
# Where the time of day is read, and what for.
ALLOWED = {
    "cli.py": "shows how old a cluster is",
    "launch/connection_file.py": "compares with the time of files that a dead launcher left",
    "launch/local.py": "says when a cluster was started",
    "notebook/cluster_commands.py": "shows how old futures are",
    "notebook/task_stream.py": "draws on an axis of the time of day",
    "processes/nanny.py": "says when a worker died",
    "processes/scheduler.py": "says by how much the two clocks differ, for what is shown",
    "processes/slots.py": "says when a task ran",
    "server/extension.py": "says when somebody was active, as Jupyter asks for it",
    "server/starting.py": "shows how long a start takes",
    "server/watching.py": "shows how long a start takes",
    "sources/graph.py": "compares with the time of files",
    "storage/journal_recovery.py": "names a file that is set aside",
    "storage/places.py": "compares with the time of files that a dead cluster left",
}


def reads_wall_clock(tree: ast.AST) -> bool:
    """Whether code refers to the time of day, also under a name of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in WALL:
            return True
        if isinstance(node, ast.ImportFrom) and any((node.module, alias.name) in WALL for alias in node.names):
            return True
    return False


def test_time_of_day_is_read_only_where_it_is_shown_or_compared_with_files():
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if reads_wall_clock(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert readers == ALLOWED.keys()
    assert not [name for name in readers if name.startswith(("core/", "comm/", "client/", "protocol/"))]


def test_time_of_day_is_noticed_by_any_of_its_names():
    for code in ("import time\ntime.time()", "from time import time as wall", "datetime.now(UTC)"):
        assert reads_wall_clock(ast.parse(code)), code
    for code in ("import time\ntime.monotonic()", "from time import monotonic", "loop.time()"):
        assert not reads_wall_clock(ast.parse(code)), code
