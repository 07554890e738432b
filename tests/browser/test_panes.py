"""What can be opened beside the notebook, over a real cluster: tasks, the stream, workers, logs; and where else clusters are."""

import os
import re
import signal

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import Lab, Tab

API = "jupyter_dist/api/v1/clusters"
START = "%load_ext jupyter_dist\n%distributed start -n 1 --name panes"
WORK = """import time
def fail(n):
    print("tried", n)
    raise ValueError(f"no luck with {n}")
failing = executor.submit(fail, 7, key="fail-7")
napping = executor.submit(time.sleep, 600, key="nap-1")
failing.exception(timeout=60)"""


def button(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


@pytest.fixture
def card(tab: Tab, lab: Lab) -> Locator:
    """The card of a cluster on which one task erred and another one runs."""
    lab.write_notebook("work.ipynb", START, WORK)
    tab.open_notebook("work.ipynb")
    tab.run_all()
    card = tab.open_sidebar().locator('[data-cluster="panes"]')
    expect(card).to_contain_text("1/1 workers")
    return card


def test_tasks_pane_tells_the_error_cancels_what_runs_and_tries_again(tab: Tab, card: Locator) -> None:
    button(card, "Tasks").click()
    pane = tab.page.locator("#jupyter-dist-tasks-panes")
    pane.get_by_role("button", name=re.compile("1 erred")).click()
    row = pane.locator('[data-task="fail-7"]')
    row.get_by_role("button").click()
    expect(pane.get_by_label("Traceback")).to_contain_text("no luck with 7")
    expect(pane.get_by_label("Output")).to_contain_text("tried 7")
    pane.get_by_role("button", name=re.compile("1 running")).click()
    expect(pane.locator('[data-task="nap-1"]')).to_be_visible()
    button(pane, "Cancel these 1").click()
    button(pane, "Click again to cancel").click()
    expect(pane.get_by_role("button", name=re.compile("0 running"))).to_be_visible()
    button(pane, "Retry").click()  # in what is still open of the one that erred
    expect(pane.get_by_label("Output")).to_contain_text(re.compile(r"tried 7\s+tried 7"))


def test_workers_pane_tells_a_death_and_restarts_a_worker(tab: Tab, lab: Lab, card: Locator) -> None:
    button(card, "Workers").click()
    pane = tab.page.locator("#jupyter-dist-workers-panes")
    row = pane.locator('[data-worker="worker-0"]')
    expect(row).to_contain_text("1/1")
    (worker,) = lab.api("GET", f"{API}/panes/workers")["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    expect(tab.page.locator(".jp-toastContainer")).to_contain_text("worker-0 of cluster panes was lost")
    expect(row).to_contain_text("SIGKILL")
    expect(row).to_have_attribute("data-state", "running")
    row.get_by_role("button", name="Restart worker-0").click()
    button(row, "Click again to restart").click()
    expect(row.get_by_role("button", name="Restart worker-0")).to_be_visible()


def test_stream_pane_draws_what_runs_and_comes_back_with_the_layout(tab: Tab, card: Locator) -> None:
    button(card, "Task stream").click()
    canvas = tab.page.get_by_role("img", name=re.compile("Task stream of panes"))
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    status = tab.page.locator("#jupyter-dist-stream-panes").get_by_role("status").last

    def is_told() -> bool:
        tab.page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 8)
        tab.page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 9)
        return "nap-1" in status.inner_text()

    tab.wait(is_told, "the running bar is found under the pointer")
    tab.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    tab.page.wait_for_timeout(1500)  # Lab writes its layout a second after it changed
    tab.page.goto(f"{tab.lab.url}lab?token={tab.lab.token}")
    expect(tab.page.get_by_role("img", name=re.compile("Task stream of panes"))).to_be_visible()


def test_clusters_are_in_status_bar_running_panel_launcher_and_log(tab: Tab, lab: Lab, card: Locator) -> None:
    expect(tab.page.locator(".jp-jupyterDist-status")).to_contain_text("1 worker · 1 running · 1 error")
    button(card, "Logs").click()
    pane = tab.page.locator("#jupyter-dist-logs-panes")
    expect(pane.get_by_label("Log of scheduler")).to_be_visible()
    tab.execute("launcher:create")
    expect(tab.page.locator(".jp-Launcher").get_by_text("New Cluster")).to_be_visible()
    tab.page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    section = tab.page.locator("#jp-running-sessions")
    item = section.get_by_role("treeitem", name="panes", exact=True)
    expect(item).to_be_visible()
    item.hover()
    item.locator(".jp-RunningSessions-itemShutdown").click()
    button(tab.page.get_by_role("dialog"), "Stop cluster").click()
    tab.wait(lambda: lab.api("GET", API)["clusters"] == [], "the cluster is gone")


def test_attach_button_makes_an_executor_in_the_notebooks_kernel(tab: Tab, lab: Lab, card: Locator) -> None:
    lab.write_notebook("other.ipynb", "executor.submit(lambda: 41 + 1).key", "")
    tab.open_notebook("other.ipynb")
    card = tab.open_sidebar().locator('[data-cluster="panes"]')
    button(card, "Attach").click()
    expect(tab.page.locator(".jp-toastContainer")).to_contain_text("other.ipynb is attached to panes")
    tab.execute("notebook:run-all-cells")
    expect(tab.output(0)).to_contain_text("lambda")
