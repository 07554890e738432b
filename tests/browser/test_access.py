"""For whom, and where: without a mouse, in the dark theme, with a screen reader's rules, and in Notebook 7."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from scripts.environment import FRONT_END
from tests.browser.lab import Lab, Tab

AXE = Path(FRONT_END, "node_modules", "axe-core", "axe.min.js")
NOTEBOOKS_OWN = ("reading 'schema'", "'filebrowser:open-path' not registered")  # errors of its page without us
CHECK = """async selector => {
    const told = await axe.run(selector);
    return told.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`);
}"""
START = (
    "%load_ext jupyter_dist\n%distributed start -n 1 --name seen\nexecutor.submit(str, 1, key='one').result(timeout=60)"
)


def violations(tab: Tab, selector: str) -> Any:
    return tab.page.evaluate(CHECK, selector)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_sidebar_and_panes_break_no_rule_of_accessibility(tab: Tab, lab: Lab, theme: str) -> None:
    lab.write_notebook("seen.ipynb", START)
    tab.open_notebook("seen.ipynb")
    tab.execute("apputils:change-theme", theme=theme)
    tab.run_all()
    card = tab.open_sidebar().locator('[data-cluster="seen"]')
    expect(card).to_contain_text("1/1 workers")
    tab.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found = violations(tab, "#jupyter-dist-clusters")
    for kind, name in (("tasks", "Tasks"), ("workers", "Workers"), ("stream", "Task stream"), ("logs", "Logs")):
        card.get_by_role("button", name=name, exact=True).click()
        pane = f"#jupyter-dist-{kind}-seen"
        expect(tab.page.locator(pane)).to_be_visible()
        found += violations(tab, pane)
    assert found == []


def test_cluster_is_started_and_stopped_with_the_keyboard_alone(tab: Tab, lab: Lab) -> None:
    tab.open()
    keys = tab.page.keyboard
    keys.press("Control+Alt+d")
    sidebar = tab.page.locator("#jupyter-dist-clusters")
    sidebar.get_by_role("button", name="New…").focus()
    keys.press("Enter")
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    keys.type("typed")
    keys.press("Tab")
    keys.type("1")
    keys.press("Enter")
    card = sidebar.locator('[data-cluster="typed"]')
    expect(card).to_contain_text("1/1 workers")
    stop = card.get_by_role("button", name="Stop", exact=True)
    for _ in range(30):
        if stop.evaluate("node => node === document.activeElement"):
            break
        keys.press("Tab")
    expect(stop).to_be_focused()
    keys.press("Enter")
    expect(tab.page.get_by_role("dialog").get_by_role("button", name="Stop cluster")).to_be_focused()
    keys.press("Enter")
    expect(card).to_have_count(0)


def test_notebook_7_shows_the_clusters_and_a_pane(tab: Tab, lab: Lab) -> None:
    lab.write_notebook("seven.ipynb", START)
    tab.page.goto(f"{lab.url}notebooks/seven.ipynb?token={lab.token}")
    tab.page.locator(".jp-Notebook .jp-Cell").first.click()
    tab.page.keyboard.press("Control+Shift+c")
    tab.page.locator(".lm-CommandPalette-input").fill("Show Clusters")
    tab.page.locator('.lm-CommandPalette-item[data-command="jupyter-dist:show-clusters"]').click()
    sidebar = tab.page.locator("#jupyter-dist-clusters")
    expect(sidebar).to_be_visible()
    tab.page.locator(".jp-Notebook .jp-Cell").first.click()
    tab.page.keyboard.press("Control+Enter")
    card = sidebar.locator('[data-cluster="seen"]')
    expect(card).to_contain_text("1/1 workers")
    card.get_by_role("button", name="Workers", exact=True).click()
    expect(tab.page.locator("#jupyter-dist-workers-seen")).to_contain_text("worker-0")
    tab.errors[:] = [error for error in tab.errors if not any(words in error for words in NOTEBOOKS_OWN)]
