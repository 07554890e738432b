"""The Lab sidebar over a real server and a real cluster; and over answers made up where the real one cannot be had."""

import re

from playwright.sync_api import Locator, Route, expect

from tests.browser.lab import Lab, Tab

START_MS_MAX = 60_000
CLUSTERS = re.compile(r".*/jupyter_dist/api/v1/clusters(\?.*)?$")
FEED = re.compile(r".*/jupyter_dist/api/v1/feed.*")
FAILED_CLUSTER = {
    "name": "broken",
    "id": "1",
    "state": "failed",
    "reason": "the scheduler ended with exit code 3",
    "log": "ImportError: no module named 'left_pad'",
}


def button(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


def start_cluster(tab: Tab, sidebar: Locator, name: str, workers: int) -> Locator:
    button(sidebar, "New…").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()  # Lab does that a moment later, whatever has the focus by then
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Workers").fill(str(workers))
    button(dialog, "Start").click()
    card = sidebar.locator(f'[data-cluster="{name}"]')
    expect(card).to_have_attribute("data-state", "running", timeout=START_MS_MAX)
    expect(card).to_contain_text(f"{workers}/{workers} workers", timeout=START_MS_MAX)
    return card


def test_sidebar_without_clusters_says_how_to_start_one(tab: Tab) -> None:
    tab.open()
    sidebar = tab.open_sidebar()
    expect(sidebar.get_by_test_id("empty")).to_contain_text("%distributed start")
    expect(button(sidebar, "New…")).to_be_enabled()


def test_new_starts_a_cluster_that_is_scaled_and_stopped(tab: Tab, lab: Lab) -> None:
    tab.open()
    sidebar = tab.open_sidebar()
    card = start_cluster(tab, sidebar, "from-sidebar", workers=1)

    button(card, "One worker more").click()
    expect(card).to_contain_text("2/2 workers", timeout=START_MS_MAX)
    button(card, "One worker less").click()
    expect(card).to_contain_text("1/1 workers", timeout=START_MS_MAX)

    button(card, "Stop").click()
    dialog = tab.page.get_by_role("dialog")
    button(dialog, "Keep it").click()
    expect(card).to_have_attribute("data-state", "running")
    button(card, "Stop").click()
    button(tab.page.get_by_role("dialog"), "Stop cluster").click()
    expect(card).to_have_count(0, timeout=START_MS_MAX)
    tab.wait(lambda: lab.api("GET", "jupyter_dist/api/v1/clusters")["clusters"] == [], "the server has no cluster")


def test_restart_pressed_twice_gives_fresh_workers(tab: Tab) -> None:
    tab.open()
    card = start_cluster(tab, tab.open_sidebar(), "restarted", workers=1)
    button(card, "Restart").click()
    button(card, "Click again to restart").click()
    expect(button(card, "Restart")).to_be_visible()
    expect(card).to_contain_text("1/1 workers", timeout=START_MS_MAX)
    expect(card).to_have_attribute("data-state", "running")


def test_inserted_code_attaches_the_notebook(tab: Tab, lab: Lab) -> None:
    lab.write_notebook("attach.ipynb", "")
    tab.open_notebook("attach.ipynb")
    card = start_cluster(tab, tab.open_sidebar(), "attached", workers=1)
    button(card, "Insert code").click()
    expect(tab.cell(0)).to_contain_text('executor = Executor("attached")')
    tab.execute("notebook:insert-cell-below")
    tab.page.evaluate("""() => {
        const cell = jupyterapp.shell.currentWidget.content.activeCell;
        cell.model.sharedModel.setSource('executor.submit(lambda x: x + 1, 41).result(timeout=30)');
    }""")
    tab.run_all()
    expect(tab.output(1)).to_contain_text("42", timeout=START_MS_MAX)


def test_failed_cluster_shows_reason_and_log(tab: Tab) -> None:
    tab.page.route_web_socket(FEED, lambda socket: socket.close())  # the list is asked for, and answered here
    tab.page.route(CLUSTERS, lambda route: route.fulfill(json={"clusters": [FAILED_CLUSTER]}))
    tab.open()
    card = tab.open_sidebar().locator('[data-cluster="broken"]')
    expect(card).to_contain_text("failed")
    expect(card).to_contain_text("exit code 3")
    expect(card).to_contain_text("left_pad")
    expect(button(card, "Remove")).to_be_visible()
    expect(button(card, "Restart")).to_have_count(0)


def test_silent_server_leaves_last_values_and_says_when_it_is_asked_again(tab: Tab) -> None:
    is_silent = False

    def answer(route: Route) -> None:
        if is_silent:
            route.abort()
        else:
            route.fulfill(json={"clusters": [{**FAILED_CLUSTER, "name": "kept", "state": "running", "wanted": 2}]})

    tab.page.route_web_socket(FEED, lambda socket: socket.close())  # the list is asked for, and answered here
    tab.page.route(CLUSTERS, answer)
    tab.open()
    sidebar = tab.open_sidebar()
    card = sidebar.locator('[data-cluster="kept"]')
    expect(card).to_be_visible()
    is_silent = True
    expect(sidebar.get_by_test_id("disconnected")).to_contain_text(
        re.compile(r"as of \d\d:\d\d:\d\d, retrying in \d+ s")
    )
    expect(card).to_contain_text("0/2 workers")
    expect(button(card, "Stop")).to_be_disabled()
    is_silent = False
    expect(sidebar.get_by_test_id("disconnected")).to_have_count(0)
    expect(button(card, "Stop")).to_be_enabled()


def test_server_without_the_extension_says_how_to_enable_it(tab: Tab) -> None:
    tab.page.route_web_socket(FEED, lambda socket: socket.close())  # the list is asked for, and answered here
    tab.page.route(CLUSTERS, lambda route: route.fulfill(status=404, json={"message": "Not Found"}))
    tab.open()
    missing = tab.open_sidebar().get_by_test_id("missing")
    expect(missing).to_contain_text("jupyter server extension enable jupyter_dist")
