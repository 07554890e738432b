from __future__ import annotations

from jupyter_dist.notebook.live_table import HERE, LiveTable
from jupyter_dist.notebook.table_rows import Row

ROW = Row("a", "memory", ("done", "a"))


def recorded(table):
    sent: list[object] = []
    table.send = sent.append
    return sent


def test_changes_are_sent_and_nothing_else():
    table = LiveTable(("state", "name"), "Futures")
    sent = recorded(table)
    table.show([ROW], "one")
    table.show([ROW], "one")
    assert sent == [{"rows": {"a": ROW.wire()}, "order": ["a"], "caption": "one"}]


def test_a_view_that_opens_gets_all_of_it():
    table = LiveTable(("state", "name"), "Futures")
    table.show([ROW], "one")
    sent = recorded(table)
    table._handle_custom_msg({"ready": 1}, [])
    assert sent == [{"columns": ["state", "name"], "rows": {"a": ROW.wire()}, "order": ["a"], "caption": "one"}]


def test_other_messages_are_not_answered():
    table = LiveTable(("state", "name"), "Futures")
    sent = recorded(table)
    contents: list[object] = [{}, [], "ready", None]
    for content in contents:
        table._handle_custom_msg(content, [])
    assert sent == []


def test_a_saved_table_can_be_read():
    table = LiveTable(("state", "name"), "Futures")
    table.show([ROW], "one")
    assert "<table>" in table.html()


def test_the_page_never_reads_text_as_html():
    source = (HERE / "live_table.js").read_text()
    assert "innerHTML" not in source
    assert "insertAdjacentHTML" not in source


def test_an_action_of_a_row_is_told_and_no_other():
    acts: list[tuple[str, str]] = []
    table = LiveTable(("state", "name"), "Futures", lambda action, row: acts.append((action, row)))
    table.show(
        [Row("a", "erred", ("failed", "a"), "", (("retry", "Retry", ""),)), ROW.__class__("b", "memory", ("x", "b"))],
        "",
    )
    for content in (
        {"act": "retry", "id": "a"},
        {"act": "stop", "id": "a"},
        {"act": "retry", "id": "b"},
        {"act": "retry", "id": "c"},
        {"act": ["retry"], "id": {}},
    ):
        table._handle_custom_msg(content, [])
    assert acts == [("retry", "a")]
