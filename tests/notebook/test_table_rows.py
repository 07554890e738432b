from __future__ import annotations

from jupyter_dist.notebook.table_rows import Row, TableDiff, html_table

A, B = Row("a", "memory", ("done", "a")), Row("b", "erred", ("failed", "b"), "why")


def test_only_what_changed_is_told():
    table = TableDiff(("state", "name"))
    first = table.update([A, B], "two")
    assert first == {"rows": {"a": A.wire(), "b": B.wire()}, "order": ["a", "b"], "caption": "two"}
    changed = Row("b", "memory", ("done", "b"))
    assert table.update([A, changed], "two") == {"rows": {"b": changed.wire()}}
    assert table.update([changed, A], "two") == {"rows": {}, "order": ["b", "a"]}
    assert table.update([changed, A], "2") == {"rows": {}, "caption": "2"}
    assert table.update([changed], "2") == {"rows": {}, "order": ["b"]}


def test_nothing_is_told_when_nothing_changed():
    table = TableDiff(("state", "name"))
    table.update([A], "one")
    assert table.update([Row("a", "memory", ("done", "a"))], "one") is None


def test_diffs_add_up_to_the_snapshot():
    table = TableDiff(("state", "name"))
    rows: dict[str, object] = {}
    order: list[str] = []
    steps: list[list[Row]] = [[A], [B, A], [B], [A, B], []]
    for step in steps:
        diff = table.update(step, "") or {"rows": {}}
        rows |= diff["rows"]
        order = diff.get("order", order)
        seen = table.snapshot()
        assert seen["order"] == order
        assert seen["rows"] == {key: rows[key] for key in order}


def test_a_saved_table_is_escaped():
    html = html_table(("<i>",), [Row("x", "memory", ("<b>",), "")], "<u>")
    assert not {"<i>", "<b>", "<u>"} & set(html.split())
    assert "&lt;b&gt;" in html
    assert '<th scope="col">' in html
