import asyncio
import io
import subprocess
import sys
import threading
import time

import pytest

from jupyter_dist.processes.output import Capture, RoutedStream, current_capture, follow_threads, join_tail


@pytest.fixture
def stream():
    original = io.StringIO()
    routed = RoutedStream("stdout", original)
    return routed, original


@pytest.fixture
def capture():
    made = Capture(10_000)
    token = current_capture.set(made)
    yield made
    current_capture.reset(token)


@pytest.fixture
def threads_followed(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    follow_threads()


def test_print_inside_a_task_is_captured_in_order(stream, capture):
    routed, original = stream
    errors = RoutedStream("stderr", original)
    print("one", 2, file=routed)
    print("oops", file=errors)
    print("three", file=routed)
    assert capture.take() == [("stdout", "one 2\n"), ("stderr", "oops\n"), ("stdout", "three\n")]
    assert capture.take() == []
    assert original.getvalue() == ""


def test_print_outside_a_task_goes_to_the_original(stream):
    routed, original = stream
    print("outside", file=routed)
    assert original.getvalue() == "outside\n"


def test_print_after_the_task_ended_goes_to_the_original(stream, capture):
    routed, original = stream
    routed.write("in")
    assert capture.close() == [("stdout", "in")]
    routed.write("late")
    assert capture.take() == []
    assert original.getvalue() == "late"


def test_print_with_broken_original_does_not_raise(stream):
    routed, original = stream
    original.close()
    assert routed.write("lost") == 4


def test_flood_keeps_the_tail_and_says_how_much_was_cut():
    capture = Capture(1000)
    for number in range(100_000):
        capture.write("stdout", f"{number}\n")
    text = join_tail(capture.take())
    cut, _, tail = text.partition("\n")
    assert tail.endswith("99998\n99999\n")
    assert 800 < len(tail) <= 1000
    assert int(cut.split()[0].strip("[")) == sum(len(f"{n}\n") for n in range(100_000)) - len(tail)


def test_one_huge_write_is_cut_to_its_end():
    capture = Capture(1000)
    capture.write("stdout", "x" * 5_000_000 + "end")
    text = join_tail(capture.take())
    assert text.endswith("xend")
    assert len(text) < 1100


def test_long_write_then_newline_keeps_the_long_one():
    capture = Capture(65536)
    capture.write("stdout", "x" * 65536)
    capture.write("stdout", "\n")
    assert len(join_tail(capture.take())) > 60_000


def test_text_that_is_not_ascii_is_bounded_in_bytes():
    capture = Capture(1000)
    for _ in range(1000):
        capture.write("stdout", "é" * 100)
    capture.write("stdout", "\udcff")
    text = join_tail(capture.take())
    assert len(text.encode("utf-8", "surrogatepass")) < 1100


def test_flood_of_a_hundred_megabytes_is_fast():
    capture = Capture(65536)
    line = "x" * 999 + "\n"
    started = time.thread_time()
    for _ in range(100_000):
        capture.write("stdout", line)
    assert time.thread_time() - started < 5


def test_write_of_something_else_raises_like_python(stream):
    with pytest.raises(TypeError, match="must be str, not bytes"):
        stream[0].write(b"x")


def test_bytes_written_to_the_buffer_are_decoded(stream, capture):
    routed, _ = stream
    routed.buffer.write("é".encode()[:1])
    routed.buffer.write("é".encode()[1:] + b"\xff")
    assert join_tail(capture.take()) == "é\ufffd"


def test_stream_closed_by_a_task_still_takes_text(stream, capture):
    routed, _ = stream
    routed.close()
    routed.buffer.close()
    print("still", file=routed, flush=True)
    assert join_tail(capture.take()) == "still\n"
    assert routed.writable()
    assert routed.buffer.writable()
    assert not routed.isatty()


def test_thread_of_a_task_prints_into_it(stream, capture, threads_followed):
    routed, original = stream
    thread = threading.Thread(target=lambda: routed.write("thread"))
    thread.start()
    thread.join()
    asyncio.run(asyncio.to_thread(routed.write, "pool"))
    assert join_tail(capture.take()) == "threadpool"
    assert original.getvalue() == ""


def test_thread_of_nobody_prints_outside(stream, threads_followed):
    routed, original = stream
    thread = threading.Thread(target=lambda: routed.write("thread"))
    thread.start()
    thread.join()
    assert original.getvalue() == "thread"


def test_finalizer_that_prints_in_the_middle_of_a_print_does_not_deadlock(capture):
    class Chatty(str):
        __slots__ = ()

        def __getitem__(self, index):
            capture.write("stdout", "inner")
            return str(self)[index]

    assert capture.write("stdout", Chatty("outer"))
    assert join_tail(capture.take()) == "innerouter"


def test_install_streams_replaces_both_and_keeps_the_descriptor():
    program = (
        "import sys; from jupyter_dist.processes.output import *; fd = sys.stdout.fileno(); install_streams();"
        "assert isinstance(sys.stdout, RoutedStream) and isinstance(sys.stderr, RoutedStream);"
        "assert sys.stdout.fileno() == fd; print('out'); print('err', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
