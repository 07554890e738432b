"""What a saved notebook looks like to others: nbconvert's page and plain text of a cell's receipt, without a widget."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter

from jupyter_dist.notebook.capture import Shipped
from jupyter_dist.notebook.receipt import RunView, receipt_bundle, status_bundle
from tests.notebook.fakes import error_info

DONE = RunView(
    "fit-0123abcd", "done", 12.0, total=3, done=3, task_s=30.0, worker="worker-0 and worker-1", outputs=("model",),
    shipped=(Shipped("data", "value", 4200),), peak_bytes=42_000_000, peak_worker="worker-1", made_bytes=8000,
)  # fmt: skip
FAILED = RunView("cell-1", "failed", 1.0, total=2, done=1, failed=1, error=error_info(), error_of="n=0")


def saved(bundle):
    """Return a notebook as it is saved, with one cell that shows this."""
    output = nbformat.v4.new_output("display_data", data=bundle)
    cell = nbformat.v4.new_code_cell("%%distributed\nmodel = fit(data)", outputs=[output], execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.validate(notebook)
    return notebook


def words_of(page):
    """Return what a reader of a page sees of its body, in words."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page.partition("<body")[2], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_a_page_made_of_a_finished_cell_tells_its_receipt():
    page, _ = HTMLExporter().from_notebook_node(saved(receipt_bundle(DONE)))
    words = words_of(page)
    for fact in (
        "● done in 12 s on worker-0 and worker-1",
        "tasks 3/3 done",
        "task time 30 s, 2.5 × the wall time",
        "peak memory 42 MB on worker-1",
        "made model (8.0 kB in all)",
        "sent data (4.2 kB)",
        "run fit-0123abcd",
    ):
        assert fact in words
    assert "widget-view" not in page


def test_a_page_made_of_a_failed_cell_tells_whose_error_it_was_and_its_traceback():
    page, _ = HTMLExporter().from_notebook_node(saved(receipt_bundle(FAILED)))
    words = words_of(page)
    assert "first failure ValueError: bad, cell [7] 0a1b2c line 4 (n=0)" in words
    assert "Traceback ValueError: bad" in words


@pytest.mark.parametrize("view", [DONE, FAILED, RunView("r", "running", 3.0, running=1)], ids=["done", "failed", "on"])
def test_plain_text_of_a_saved_cell_is_there_for_viewers_without_html(view):
    bundle = status_bundle(view)
    text, _ = MarkdownExporter().from_notebook_node(saved({"text/plain": bundle["text/plain"]}))
    assert bundle["text/plain"].splitlines()[0] in text
