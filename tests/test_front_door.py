"""The front door: which names are public, what importing them loads, and what the documents say of the code."""

import re
import subprocess
import sys
from pathlib import Path

import jupyter_dist
from jupyter_dist.core.scheduler.arcs import ARCS

ROOT = Path(__file__).parent.parent
PUBLIC = [
    "Event",
    "Executor",
    "Future",
    "LocalCluster",
    "Lock",
    "Queue",
    "Semaphore",
    "Variable",
    "__version__",
    "as_completed",
    "default_executor",
    "errors",
    "fire_and_forget",
    "get_executor",
    "load_ipython_extension",
    "progress",
    "register_joblib",
    "rejoin",
    "secede",
    "wait",
]
HEAVY = ("IPython", "bokeh", "ipykernel", "ipywidgets", "jupyter_server", "jupyterlab", "notebook", "numpy", "tornado")


def test_public_names_are_these_and_each_can_be_had():
    assert sorted(jupyter_dist.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(jupyter_dist, name) is not None


def test_import_of_the_executor_loads_neither_jupyter_nor_bokeh():
    program = f"import sys, jupyter_dist; jupyter_dist.Executor; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_table_of_task_states_in_the_architecture_is_that_of_the_code():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| .+ \|$", text, re.MULTILINE)
    assert {row for row in rows if row != ("from", "to")} == set(ARCS)


def test_modules_the_architecture_names_are_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:core|client|comm|processes|protocol|storage|launch|server|notebook)/[\w/]+\.py)", text)
    assert named
    assert [name for name in named if not (ROOT / "jupyter_dist" / name).exists()] == []
