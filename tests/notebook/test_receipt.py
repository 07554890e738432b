from __future__ import annotations

import re
from typing import Any

import pytest

from jupyter_dist.notebook.capture import Shipped
from jupyter_dist.notebook.receipt import RECEIPT_BYTES_MAX, RunView, receipt_bundle, status_bundle
from tests.notebook.fakes import error_info

EVIL = "<img src=x onerror=alert(1)>"


def test_a_run_under_way_is_one_line():
    bundle = status_bundle(RunView("run-1", "running", 12.4, running=1, worker="worker-1"))
    assert bundle["text/plain"] == "◐ running on worker-1: 0/1 done, 1 running; 12 s [run-1]"
    assert "<details" not in bundle["text/html"]


def test_many_tasks_have_a_bar():
    html = status_bundle(RunView("r", "running", 1.0, total=120, done=37, running=8, failed=2))["text/html"]
    assert "37/120 done, 8 running, 2 failed" in html
    assert html.count("height:6px") == 3


def test_a_receipt_tells_everything():
    view = RunView(
        "run-1", "failed", 12.0, failed=1, worker="worker-1", task_s=11.0, outputs=("model",),
        shipped=(Shipped("data", "value", 4200), Shipped("np", "module")), error=error_info(),
    )  # fmt: skip
    bundle = receipt_bundle(view)
    for text in bundle.values():
        for fact in ("failed", "12 s", "11 s", "worker-1", "model", "data (4.2 kB)", "np (module)", "run-1"):
            assert fact in text
        assert "ValueError: bad, cell [7] 0a1b2c line 4" in text
        assert "Traceback" in text


def test_a_receipt_has_no_widget_and_no_script():
    html = receipt_bundle(RunView("run-1", "done", 1.0, done=1))["text/html"]
    assert not re.search(r"script|widget|on\w+=", html)


@pytest.mark.parametrize("field", ["name", "worker", "note", "outputs", "shipped", "error"])
def test_user_text_is_escaped(field):
    values: dict[str, Any] = {
        "outputs": (EVIL,), "shipped": (Shipped(EVIL, "value", 1),),
        "error": error_info(type_name=EVIL, text=EVIL, traceback=EVIL, filename=EVIL),
    }  # fmt: skip
    fields: dict[str, Any] = {"name": "r", "state": "failed", "elapsed_s": 1.0, field: values.get(field, EVIL)}
    for bundle in (status_bundle(RunView(**fields)), status_bundle(RunView(**fields | {"state": "running"}))):
        assert "<img" not in bundle["text/html"]


def test_a_receipt_is_small_whatever_the_cell_was():
    view = RunView(
        "r" * 5000, "failed", 1.0, outputs=tuple(f"name{n}" * 30 for n in range(999)), note="<" * 90_000,
        shipped=tuple(Shipped(f"name{n}" * 30, "value", n) for n in range(999)),
        error=error_info(text="<é" * 90_000, traceback="<é" * 90_000, type_name="<" * 9000),
    )  # fmt: skip
    assert sum(len(text.encode()) for text in receipt_bundle(view).values()) < RECEIPT_BYTES_MAX


def test_terminal_colours_do_not_reach_the_receipt():
    bundle = receipt_bundle(RunView("r", "failed", 1.0, error=error_info(traceback="\x1b[31mred\x1b[0m")))
    assert all("\x1b" not in text for text in bundle.values())
