from __future__ import annotations

import contextlib
import contextvars
import io
import threading

from jupyter_dist.notebook.output import CellOutput

CELL = contextvars.ContextVar("CELL", default="none")


class Kernel(io.StringIO):
    """A stream that notes for which cell each text is, as a kernel's does."""

    def __init__(self):
        super().__init__()
        self.cells = []

    def write(self, text):
        self.cells.append((CELL.get(), text))
        return len(text)


def submit(cell, bytes_max=1000):
    stream = Kernel()
    CELL.set(cell)
    with contextlib.redirect_stdout(stream):
        output = CellOutput(bytes_max)
    CELL.set("another")
    return stream, output


def from_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def test_text_from_a_thread_lands_in_the_cell_that_submitted():
    stream, output = submit("cell 2")
    from_a_thread(output.write, "stdout", "hello\n")
    assert stream.cells == [("cell 2", "hello\n")]


def test_a_function_run_in_the_cell_sees_its_context():
    _, output = submit("cell 2")
    seen = []
    from_a_thread(output.run, lambda: seen.append(CELL.get()))
    assert seen == ["cell 2"]


def test_long_output_is_cut_and_its_tail_shown_at_the_end():
    stream, output = submit("cell 2", bytes_max=12)
    for number in range(100):
        output.write("stdout", f"line {number}\n")
    output.finish()
    text = "".join(text for _, text in stream.cells)
    assert text.startswith("line 0\nline ")
    assert "… 79 lines not shown" in text
    assert text.endswith("line 98\nline 99\n")
    assert len(text) < 500


def test_a_line_cut_in_two_is_shown_whole():
    stream, output = submit("cell 2", bytes_max=0)
    output.write("stdout", "ab")
    output.write("stdout", "cd")
    output.finish()
    output.finish()
    assert "".join(text for _, text in stream.cells) == "abcd\n"


def test_nothing_is_said_at_the_end_of_short_output():
    stream, output = submit("cell 2")
    output.write("stdout", "x")
    output.finish()
    assert stream.cells == [("cell 2", "x")]
