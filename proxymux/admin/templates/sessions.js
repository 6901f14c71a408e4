// The live sessions: what is known of them, and the table that filters and sorts them.

import { bytes, count, duration, make, put } from "/page/text.js";
import { RowWindow } from "/page/window.js";

/** The columns: what they are sorted by, how they are shown, and whether the largest comes first. */
const COLUMNS = [
  { name: "id", heading: "Session", by: (each) => each.id },
  { name: "service", heading: "Service", by: (each) => each.service, show: (each) => each.service },
  { name: "client", heading: "Client", by: (each) => each.clientOrder, show: (each) => each.client },
  { name: "target", heading: "Target", by: (each) => each.targetOrder, show: (each) => each.target || "–" },
  { name: "state", heading: "State", by: (each) => each.state, show: (each) => each.state },
  { name: "age", heading: "Age", by: (each) => -each.began, show: (each, at) => duration(at - each.began), most: true },
  { name: "in", heading: "In", by: (each) => each.bytes_in, show: (each) => bytes(each.bytes_in), most: true },
  { name: "out", heading: "Out", by: (each) => each.bytes_out, show: (each) => bytes(each.bytes_out), most: true },
  { name: "rate", heading: "Rate", by: (each, tick) => rate(each, tick), most: true,
    show: (each, _, tick) => (rate(each, tick) ? `${bytes(rate(each, tick))}/s` : "–") },
  { name: "worker", heading: "Worker", by: (each) => each.worker || 0, show: (each) => String(each.worker ?? "–") },
];

/** A rate is that of the last message; a session of which that said nothing has none. */
const rate = (session, tick) => (session.tick === tick ? session.rate : 0);
/** Numbers in a text sort as numbers. */
const order = (text) => (text || "").replace(/\d+/g, (digits) => digits.padStart(10, "0"));

export class Sessions {
  constructor() {
    this.all = new Map();
    this.tick = 0;
    this.at = 0;
  }

  /** Take what a message says of them: all, or what has changed. */
  take(told, at) {
    const passed = at - this.at;
    [this.at, this.tick] = [at, this.tick + 1];
    if (told.keys) this.keys = told.keys;
    const before = this.all;
    if (told.keys) this.all = new Map();
    for (const values of told.rows) {
      const row = Object.fromEntries(this.keys.map((key, index) => [key, values[index]]));
      this.all.set(row.id, this.merged(before.get(row.id), row, passed));
    }
    for (const id of told.gone || []) this.all.delete(id);
  }

  merged(known, row, passed) {
    const session = known || { key: row.id, began: this.at - row.seconds, rate: 0, tick: 0 };
    const moved = known ? row.bytes_in + row.bytes_out - known.bytes_in - known.bytes_out : 0;
    if (!known || known.target !== row.target || known.state !== row.state) {
      session.targetOrder = order(row.target);
      session.text = [row.id, row.service, row.client, row.target, row.state].join(" ").toLowerCase();
    }
    if (!known) session.clientOrder = order(row.client);
    if (passed > 0 && moved > 0) [session.rate, session.tick] = [moved / passed, this.tick];
    return Object.assign(session, row);
  }
}

export class SessionTable {
  /**
   * @param sessions to be shown.
   * @param explain, close are called with the session whose button was pressed.
   */
  constructor(sessions, explain, close) {
    this.sessions = sessions;
    this.table = document.getElementById("sessions");
    this.filter = document.getElementById("filter");
    this.summary = document.getElementById("shown");
    this.sorting = { column: COLUMNS.find((each) => each.name === "age"), isDown: true };
    this.live = 0;
    const scroller = document.getElementById("window");
    this.none = scroller.appendChild(make("p", "empty"));
    this.headings = COLUMNS.map((column) => this.heading(column));
    const last = make("th", "close");
    last.setAttribute("role", "columnheader");
    last.append(make("span", "hidden", "Close"));
    this.table.tHead.rows[0].append(...this.headings, last);
    this.window = new RowWindow(scroller, this.table.tBodies[0], { make: makeRow, fill: this.fill.bind(this) });
    this.table.tBodies[0].addEventListener("click", (event) => {
      const button = event.target.closest("button");
      const session = button && sessions.all.get(this.window.keyOf(button));
      if (session) (button.parentNode.classList.contains("close") ? close : explain)(session);
    });
    this.filter.addEventListener("input", () => this.show(this.live));
    this.mark();
  }

  heading(column) {
    const [cell, button] = [make("th", column.name), make("button", "", column.heading)];
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    button.type = "button";
    button.addEventListener("click", () => {
      const isSame = this.sorting.column === column;
      this.sorting = { column, isDown: isSame ? !this.sorting.isDown : Boolean(column.most) };
      this.mark();
      this.show(this.live);
    });
    cell.append(button);
    return cell;
  }

  mark() {
    this.headings.forEach((cell, at) => {
      if (COLUMNS[at] !== this.sorting.column) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", this.sorting.isDown ? "descending" : "ascending");
    });
  }

  /** Leave out the columns that would say the same in every row. */
  leaveOut({ service, worker }) {
    this.table.classList.toggle("one-service", service);
    this.table.classList.toggle("one-process", worker);
  }

  /** Show what is known now; `live` are as many as there are. */
  show(live) {
    this.live = live;
    const { sessions } = this;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...sessions.all.values()];
    const items = words.length ? all.filter((each) => words.every((word) => each.text.includes(word))) : all;
    this.sort(items);
    this.table.setAttribute("aria-rowcount", items.length + 1);
    // Numbers of workers' sessions begin with that of the worker.
    this.table.classList.toggle("long-ids", all.some((each) => each.id > 999999));
    this.none.hidden = items.length > 0;
    put(this.none, all.length ? "No session matches the filter." : "There is no session now.");
    put(this.summary, summary(items.length, all.length, live, words.length > 0));
    this.window.show(items);
  }

  sort(items) {
    const { column, isDown } = this.sorting;
    const { tick } = this.sessions;
    const sign = isDown ? -1 : 1;
    items.sort((one, other) => {
      const [a, b] = [column.by(one, tick), column.by(other, tick)];
      return a === b ? one.id - other.id : a < b ? -sign : sign;
    });
  }

  fill(row, session, tabIndex) {
    const { at, tick } = this.sessions;
    COLUMNS.forEach((column, index) => {
      if (column.show) put(row.cells[index], column.show(session, at, tick));
    });
    if (row.dataset.state !== session.state) row.dataset.state = session.state;
    const [explain, close] = row.querySelectorAll("button");
    if (explain.firstChild.data !== String(session.id)) {
      put(explain, String(session.id));
      explain.setAttribute("aria-label", `Explain session ${session.id}`);
      close.setAttribute("aria-label", `Close session ${session.id}`);
    }
    if (row.cells[2].title !== session.client) row.cells[2].title = session.client;
    if (row.cells[3].title !== (session.target || "")) row.cells[3].title = session.target || "";
    explain.tabIndex = close.tabIndex = tabIndex;
  }
}

function summary(shown, listed, live, isFiltered) {
  const all = listed < live ? `oldest ${count(listed)} of ${count(live)}` : count(listed);
  return isFiltered ? `${count(shown)} match, of ${all}` : all;
}

function makeRow() {
  const row = make("tr");
  row.setAttribute("role", "row");
  for (const { name } of [...COLUMNS, { name: "close" }]) {
    const cell = make("td", name, "\u00a0");
    cell.setAttribute("role", "cell");
    if (name === "id" || name === "close") {
      const button = make("button", "", name === "id" ? "\u00a0" : "Close…");
      button.type = "button";
      cell.replaceChildren(button);
    }
    row.append(cell);
  }
  return row;
}
