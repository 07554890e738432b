"""What tasks printed: the tail of each, and of all what fits."""

from jupyter_dist.core.scheduler.prints import Prints


def test_chunks_are_kept_in_order_with_their_streams():
    prints = Prints(100, 1000)
    prints.add("a", "stdout", "one")
    prints.add("a", "stderr", "two")
    prints.add("a", "stdout", "")
    assert prints.of("a") == (("stdout", "one"), ("stderr", "two"))
    assert prints.of("b") == ()
    assert "a" in prints
    assert "b" not in prints


def test_of_a_long_output_the_tail_is_kept():
    prints = Prints(10, 1000)
    for number in range(10):
        prints.add("a", "stdout", f"line {number}\n")
    assert "".join(text for _, text in prints.of("a")) == " 8\nline 9\n"
    prints.add("a", "stdout", "x" * 100)
    assert prints.of("a") == (("stdout", "x" * 10),)
    assert prints.chars == 10


def test_of_many_tasks_those_go_first_that_are_silent_for_longest():
    prints = Prints(10, 25)
    for key in ("a", "b", "a", "c"):
        prints.add(key, "stdout", "12345")
    prints.add("d", "stdout", "1234567890")
    assert prints.keys() == ("a", "c", "d")
    assert prints.chars == 25


def test_what_is_dropped_is_not_counted():
    prints = Prints(10, 100)
    prints.add("a", "stdout", "12345")
    prints.add("b", "stdout", "12")
    prints.drop("a")
    prints.drop("nobody")
    assert (prints.keys(), prints.chars) == (("b",), 2)
    prints.clear()
    assert (prints.keys(), prints.chars) == ((), 0)
