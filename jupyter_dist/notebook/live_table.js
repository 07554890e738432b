// A live table: rows by id, changed ones sent as custom messages, only those in view in the page.
// Every text goes in as a text node. A real <table>; a row opens with a click or Enter and shows its detail below.
const ROW_PX = 24;
const OVERSCAN = 6;

function element(tag, className, parent) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (parent) parent.appendChild(node);
  return node;
}

function render({ model, el }) {
  const rows = new Map();
  let order = [];
  let columns = [];
  let opened = null;
  let scheduled = false;

  const root = element("div", "jd-table", el);
  const caption = element("div", "jd-caption", root);
  caption.setAttribute("aria-live", "off");
  const scroller = element("div", "jd-scroll", root);
  const table = element("table", "", scroller);
  table.setAttribute("aria-label", model.get("label"));
  const head = element("tr", "", element("thead", "", table));
  const above = element("tr", "jd-space", element("tbody", "", table));
  const body = element("tbody", "", table);
  const below = element("tr", "jd-space", element("tbody", "", table));
  const bar = element("div", "jd-actions", root);
  const detail = element("pre", "jd-detail", root);
  bar.hidden = detail.hidden = true;
  let armed = null;

  function drawHead() {
    head.replaceChildren();
    for (const name of columns) {
      const cell = element("th", "", head);
      cell.scope = "col";
      cell.textContent = name;
    }
    for (const space of [above, below]) {
      space.replaceChildren();
      element("td", "", space).colSpan = Math.max(1, columns.length);
    }
    table.setAttribute("aria-colcount", String(columns.length));
  }

  function setText(cell, text) {
    if (cell.textContent !== text) cell.textContent = text;
  }

  function fill(line, id, index) {
    const [icon, colour, cells] = rows.get(id);
    line.dataset.id = id;
    line.setAttribute("aria-rowindex", String(index + 2));
    line.setAttribute("aria-expanded", String(id === opened));
    line.classList.toggle("jd-open", id === opened);
    while (line.cells.length < columns.length) element("td", "", line);
    cells.forEach((text, position) => {
      const cell = line.cells[position];
      if (position > 0) return setText(cell, text);
      if (cell.childNodes.length !== 2) {
        cell.replaceChildren();
        element("span", "jd-icon", cell);
        cell.appendChild(document.createTextNode(""));
      }
      setText(cell.firstChild, icon);
      cell.firstChild.style.color = colour;
      if (cell.lastChild.data !== " " + text) cell.lastChild.data = " " + text;
      return undefined;
    });
    line.cells[1] && (line.cells[1].title = rows.get(id)[3].split("\n")[0]);
  }

  function draw() {
    scheduled = false;
    const height = scroller.clientHeight || 240;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - OVERSCAN);
    const last = Math.min(order.length, first + Math.ceil(height / ROW_PX) + 2 * OVERSCAN);
    table.setAttribute("aria-rowcount", String(order.length + 1));
    above.style.height = first * ROW_PX + "px";
    below.style.height = (order.length - last) * ROW_PX + "px";
    while (body.rows.length < last - first) element("tr", "jd-row", body).tabIndex = 0;
    while (body.rows.length > last - first) body.deleteRow(-1);
    for (let index = first; index < last; index += 1) fill(body.rows[index - first], order[index], index);
    const row = opened === null ? undefined : rows.get(opened);
    detail.hidden = !row;
    if (row) setText(detail, row[3]);
    drawActions(row);
  }

  // A row's actions: [name, text, warning]. One with a warning arms first, for five seconds, and says what it will do.
  function drawActions(row) {
    const actions = row ? row[4] : [];
    bar.hidden = !actions.length;
    const drawn = JSON.stringify([opened, actions, armed]);
    if (bar.dataset.drawn === drawn) return;
    bar.dataset.drawn = drawn;
    const focused = document.activeElement && bar.contains(document.activeElement) && document.activeElement.dataset.name;
    bar.replaceChildren();
    for (const [name, text, warning] of actions) {
      const button = element("button", "jd-action", bar);
      button.type = "button";
      button.dataset.name = name;
      button.classList.toggle("jd-armed", armed === name);
      button.textContent = armed === name ? `${warning}. Click again` : text;
      button.addEventListener("click", () => act(name, warning));
      if (focused === name) button.focus();
    }
  }

  function act(name, warning) {
    if (warning && armed !== name) {
      armed = name;
      setTimeout(() => {
        armed = null;
        schedule();
      }, 5000);
    } else {
      armed = null;
      model.send({ act: name, id: opened });
    }
    schedule();
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  function onMessage(message) {
    if (message.columns) {
      columns = message.columns;
      rows.clear();
      drawHead();
    }
    if (!columns.length) return; // the snapshot this view has asked for comes next
    for (const [id, row] of Object.entries(message.rows || {})) rows.set(id, row);
    if (message.order) {
      order = message.order;
      const known = new Set(order);
      for (const id of [...rows.keys()]) if (!known.has(id)) rows.delete(id);
      order = order.filter((id) => rows.has(id));
    }
    if (message.caption !== undefined) caption.textContent = message.caption;
    schedule();
  }

  function toggle(event) {
    const line = event.target.closest(".jd-row");
    if (!line) return;
    opened = opened === line.dataset.id ? null : line.dataset.id;
    armed = null;
    schedule();
  }

  function onKey(event) {
    if (event.key === "Enter" || event.key === " ") {
      toggle(event);
      event.preventDefault();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling";
      const line = event.target.closest(".jd-row");
      if (line && line[next]) line[next].focus();
      event.preventDefault();
    }
  }

  scroller.addEventListener("scroll", schedule);
  body.addEventListener("click", toggle);
  body.addEventListener("keydown", onKey);
  const resized = new ResizeObserver(schedule);
  resized.observe(scroller);
  model.on("msg:custom", onMessage);
  model.send({ ready: 1 });
  return () => {
    resized.disconnect();
    model.off("msg:custom", onMessage);
  };
}

export default { render };
