"""What a notebook shows in a real Lab: the panel, the task stream and a distributed cell, over a real cluster."""

from playwright.sync_api import expect

from tests.browser.lab import Lab, Tab

WAIT_MS_MAX = 60_000
START = "%load_ext jupyter_dist\n%distributed start -n 1 --name browser"
BARS = """() => (window.Bokeh ? window.Bokeh.documents : []).flatMap(document => [...document._all_models.values()])
    .map(model => Object.values(model.data instanceof Map ? Object.fromEntries(model.data) : (model.data || {})))
    .reduce((most, columns) => Math.max(most, ...columns.map(column => column.length || 0)), 0)"""

FINISHED = """() => (window.Bokeh ? window.Bokeh.documents : []).flatMap(document => [...document._all_models.values()])
    .map(model => Object.values(model.data instanceof Map ? Object.fromEntries(model.data) : (model.data || {})))
    .some(columns => columns.some(column => [...column].some(value => String(value).includes("12 finished"))))"""


def test_panel_shows_workers_and_what_became_of_futures(tab: Tab, lab: Lab) -> None:
    work = "futures = executor.map(lambda n: 1 / n, [0, 1, 2, 3])"
    lab.write_notebook("panel.ipynb", START, "%distributed panel", work)
    tab.open_notebook("panel.ipynb")
    tab.run_all()
    panel = tab.output(1)
    expect(panel).to_contain_text("1/1 workers", timeout=WAIT_MS_MAX)
    expect(panel).to_contain_text("3 in memory", timeout=WAIT_MS_MAX)
    expect(panel).to_contain_text("1 failed")
    expect(panel.get_by_role("row").filter(has_text="finished")).to_have_count(3)
    panel.get_by_role("tab", name="Errors").click()
    expect(panel.get_by_role("row").filter(has_text="ZeroDivisionError")).to_be_visible()
    panel.get_by_role("tab", name="Workers").click()
    expect(panel.get_by_role("row").filter(has_text="worker-0")).to_be_visible()


def test_panel_tries_errors_again_together_and_asks_before_it_cancels(tab: Tab, lab: Lab) -> None:
    gate = lab.folder / "gate"
    work = (
        f"import os, time\ndef need(n):\n    return open({str(gate)!r}).read() + str(n)\n"
        "failing = executor.map(need, range(3))\nslow = executor.submit(time.sleep, 600)"
    )
    lab.write_notebook("actions.ipynb", START.replace("-n 1", "-n 2"), "%distributed panel", work)
    tab.open_notebook("actions.ipynb")
    tab.run_all()
    panel = tab.output(1)
    expect(panel).to_contain_text("3 failed", timeout=WAIT_MS_MAX)
    panel.get_by_role("tab", name="Errors").click()
    panel.get_by_role("row").filter(has_text="FileNotFoundError").click()
    expect(panel.locator(".jd-detail:visible")).to_contain_text("need")
    tab.screenshot("panel-errors")
    gate.write_text("opened")
    panel.get_by_role("button", name="Retry these 3").click()
    expect(panel).to_contain_text("3 tasks tried again", timeout=WAIT_MS_MAX)
    panel.get_by_role("tab", name="Futures").click()
    expect(panel).to_contain_text("3 in memory", timeout=WAIT_MS_MAX)
    panel.get_by_role("row").filter(has_text="running").click()
    cancel = panel.locator(".jd-action", has_text="Cancel")
    cancel.click()
    expect(cancel).to_contain_text("Click again")
    tab.screenshot("panel-futures")
    cancel.click()
    expect(panel).to_contain_text("was cancelled", timeout=WAIT_MS_MAX)


def test_task_stream_draws_a_bar_for_each_task(tab: Tab, lab: Lab) -> None:
    lab.write_notebook("stream.ipynb", START, "%distributed stream", "executor.gather(executor.map(str, range(12)))")
    tab.open_notebook("stream.ipynb")
    tab.run_all()
    expect(tab.output(1).locator("canvas").first).to_be_visible(timeout=WAIT_MS_MAX)
    tab.wait(lambda: tab.page.evaluate(BARS) >= 12, "the stream has a bar for each of 12 tasks")


def test_plots_move_in_the_notebook(tab: Tab, lab: Lab) -> None:
    work = "executor.gather(executor.map(str, range(12)))"
    lab.write_notebook("plots.ipynb", START, "executor.plots.progress", "executor.plots.memory", work)
    tab.open_notebook("plots.ipynb")
    tab.run_all()
    for number in (1, 2):
        expect(tab.output(number).locator("canvas").first).to_be_visible(timeout=WAIT_MS_MAX)
    tab.wait(lambda: tab.page.evaluate(FINISHED), "the plot of progress tells of 12 finished tasks")
    tab.screenshot("plots")


def test_cancel_in_the_status_line_stops_a_blocking_cell_and_leaves_no_widget(tab: Tab, lab: Lab) -> None:
    cell = "%%distributed --block\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"
    lab.write_notebook("cancel.ipynb", START, cell)
    tab.open_notebook("cancel.ipynb")
    tab.execute("notebook:run-cell-and-select-next")
    tab.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")
    output = tab.output(1)
    expect(output).to_contain_text("begun", timeout=WAIT_MS_MAX)
    expect(output).to_contain_text("running", timeout=WAIT_MS_MAX)
    tab.screenshot("cancel-line")
    output.get_by_role("button", name="Cancel").click()
    expect(output.locator("summary").filter(has_text="cancelled")).to_be_visible(timeout=WAIT_MS_MAX)
    expect(output).to_contain_text("cancelled in its cell")
    expect(output.get_by_role("button", name="Cancel")).to_have_count(0)
    tab.screenshot("cancel-receipt")
    tab.execute("docmanager:save")
    saved = (lab.root / "cancel.ipynb").read_text()
    assert "widget-view" not in saved
    assert "cancelled in its cell" in saved


def test_mapped_cell_has_headed_prints_and_a_receipt(tab: Tab, lab: Lab) -> None:
    cell = "%%distributed --map n=range(6)\nimport matplotlib.pyplot as plt\nprint('part', n)\nplt.plot([n, 1]) if n == 5 else None;"
    lab.write_notebook("mapped.ipynb", START.replace("-n 1", "-n 2"), cell)
    tab.open_notebook("mapped.ipynb")
    tab.run_all()
    output = tab.output(1)
    expect(output).to_contain_text("── n=5", timeout=WAIT_MS_MAX)
    expect(output.locator("summary").filter(has_text="done")).to_be_visible(timeout=WAIT_MS_MAX)
    expect(output.locator("img")).to_be_visible(timeout=WAIT_MS_MAX)
    output.locator("summary").first.click()
    expect(output).to_contain_text("6/6 done")
    tab.screenshot("mapped")


def test_distributed_cell_shows_its_prints_and_leaves_a_future(tab: Tab, lab: Lab) -> None:
    cell = "%%distributed\nprint('on the worker')\nanswer = 41"
    lab.write_notebook("cell.ipynb", START, cell, "answer.result(timeout=30) + 1")
    tab.open_notebook("cell.ipynb")
    tab.run_all()
    expect(tab.output(1)).to_contain_text("on the worker", timeout=WAIT_MS_MAX)
    expect(tab.output(2)).to_contain_text("42", timeout=WAIT_MS_MAX)
