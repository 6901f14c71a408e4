// The small tables beside the sessions: services, pools, clusters, held targets, outcomes, workers, the fleet.

import { bytes, count, duration, make, perSecond, put, short } from "/page/text.js";

/** A table that is filled anew, cell by cell: what has not changed stays, with the selection in it. */
class Table {
  /**
   * @param columns pairs of heading and class; the class "number" aligns to the right.
   * @param empty is said instead of a table without rows.
   */
  constructor(place, label, columns, empty) {
    this.columns = columns;
    this.table = make("table");
    this.table.setAttribute("aria-label", label);
    const head = make("tr");
    for (const [heading, kind] of columns) {
      const cell = make("th", kind, heading);
      cell.scope = "col";
      head.append(cell);
    }
    this.table.append(make("thead"), make("tbody"));
    this.table.tHead.append(head);
    this.empty = make("p", "empty", empty);
    this.box = make("div", "box");
    this.box.append(this.table);
    place.append(this.box, this.empty);
  }

  /** Show rows: lists of texts, of pairs of text and state, or of buttons: their word, their whole name, what they do. */
  fill(rows) {
    const body = this.table.tBodies[0];
    this.box.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    while (body.rows.length > rows.length) body.lastChild.remove();
    rows.forEach((texts, at) => {
      const row = body.rows[at] || body.appendChild(this.row());
      texts.forEach((text, cell) => {
        if (text.press) return press(row.cells[cell], text);
        const [shown, state] = Array.isArray(text) ? text : [text, ""];
        put(row.cells[cell], shown);
        if (row.cells[cell].dataset.state !== state) row.cells[cell].dataset.state = state;
        return undefined;
      });
    });
  }

  row() {
    const row = make("tr");
    this.columns.forEach(([, kind], at) => {
      const cell = make(at ? "td" : "th", kind);
      if (!at) cell.scope = "row";
      row.append(cell);
    });
    return row;
  }
}

/** Have a cell hold a button, the same one for as long as the cell is there: who has it in focus keeps it. */
function press(cell, { word, name, press: pressed }) {
  if (!cell.firstElementChild) {
    const button = make("button");
    button.type = "button";
    cell.append(button);
  }
  const button = cell.firstElementChild;
  put(button, word);
  button.setAttribute("aria-label", name);
  button.onclick = pressed;
}

const number = (heading) => [heading, "number"];
const POOL = ["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login", "maxwait"];

export class Tables {
  /** @param drain is called with a cluster's name and one of its targets, which is to be drained or used again. */
  constructor(drain) {
    this.drain = drain;
    const place = (name) => document.getElementById(name);
    this.services = new Table(place("services"), "Services",
      [["Service", ""], ["Listens on", "long"], number("Now"), number("Most"), number("Total"), number("In"),
        number("Out")], "None runs.");
    this.pools = new Table(place("pools"), "Pools",
      [["Pool", ""], ...POOL.map(number), number("requests")], "");
    this.pools.table.className = "tight";
    this.clusters = new Table(place("clusters"), "Targets",
      [["Cluster", ""], number("Heard"), ["Target", "long"], ["Health", ""], number("Connections"), number("Weight"),
        ["", ""]], "");
    this.holds = new Table(place("holds"), "Held targets",
      [["Target", "long"], number("For"), number("Waiting")], "");
    this.outcomes = new Table(place("outcomes"), "Outcomes",
      [["Outcome", ""], number("Last minute"), number("Total")], "No session has ended yet.");
    this.workers = new Table(place("workers"), "Workers",
      [["Worker", ""], number("Process"), number("Connections"), ["State", ""]], "None answers.");
    this.fleet = new Table(place("fleet"), "Fleet",
      [["Host", ""], ["Listens on", "long"], ["Admin", "long"], ["Version", ""], number("Connections"), ["State", ""]],
      "");
  }

  show(message, samples) {
    const { services, workers } = message.status;
    this.services.fill(services.map((each) => [
      each.service, each.addresses.join(" ") || "–", count(each.connections), count(each.most), count(each.total),
      bytes(each.bytes_in), bytes(each.bytes_out),
    ]));
    const pools = services.filter((each) => each.pool);
    section(this.pools).hidden = pools.length === 0;
    this.pools.fill(pools.map((each) => [
      each.service,
      ...POOL.map((key) => poolCell(key, each.pool)),
      perSecond(samples.rate((sample) => sample.pools[each.service] || 0)),
    ]));
    const targets = services.flatMap((each) => Object.entries(each.clusters).flatMap(([name, list]) =>
      list.map((target) => this.targetRow(name, target, each.cluster_ages[name]))));
    section(this.clusters).hidden = targets.length === 0;
    this.clusters.fill(targets);
    const holds = services.flatMap((each) => each.holds || []);
    section(this.holds).hidden = holds.length === 0;
    this.holds.fill(holds.map((each) => [[each.target, "warn"], duration(each.seconds), count(each.waiting)]));
    this.outcomes.fill(outcomes(samples));
    this.workers.fill(workerRows(message.status));
    const fleet = message.fleet || [];
    section(this.fleet).hidden = fleet.length === 0;
    this.fleet.fill(fleet.map((each) => [
      each.host, each.addresses.join(" ") || "–", each.admin || "–", each.version, count(each.connections),
      each.draining ? ["draining", "warn"] : ["serving", "good"],
    ]));
  }

  targetRow(cluster, target, age) {
    const word = target.drained ? "Enable" : "Drain";
    return [
      cluster, age < 1 ? "now" : duration(age), target.target, health(target),
      count(target.connections), count(target.weight),
      { word: `${word}…`, name: `${word} ${target.target} of ${cluster}`, press: () => this.drain(cluster, target) },
    ];
  }
}

const section = (table) => table.table.closest("section");

function health(target) {
  if (target.drained) return [target.up ? "drained" : "drained, down", "warn"];
  return target.up ? ["up", "good"] : [`down: ${target.reason}`, "bad"];
}

/** That somebody waits is said loudly once it takes a second: that all slots are taken for a moment is no trouble. */
function poolCell(key, pool) {
  const value = pool[key] || 0;
  const text = key === "maxwait" ? short(value) : count(value);
  return pool.maxwait >= 1 && (key === "maxwait" || key === "cl_waiting") ? [text, "warn"] : text;
}

function outcomes(samples) {
  const [now, before] = [samples.last.outcomes, samples.before(60).outcomes];
  return Object.entries(now).sort((a, b) => b[1] - a[1]).map(([name, total]) => {
    const lately = total - (before[name] || 0);
    return [name, lately > 0 ? [count(lately), name === "completed" ? "" : "new"] : "0", count(total)];
  });
}

function workerRows(status) {
  const rows = status.workers.map((each) => [
    each.number === undefined ? "this process" : String(each.number), String(each.pid), count(each.connections),
    each.draining ? ["draining", "warn"] : ["serving", "good"],
  ]);
  const missing = missingWorkers(status).map((number) => [String(number), "–", "–", ["missing", "bad"]]);
  return [...rows, ...missing].sort((a, b) => (Number(a[0]) || 0) - (Number(b[0]) || 0));
}

/** The numbers of the places at which nobody serves; there are places only where there are workers. */
export function missingWorkers(status) {
  const serving = new Set(status.workers.filter((each) => !each.draining).map((each) => each.number));
  return Array.from({ length: status.workers_wanted || 0 }, (_, at) => at + 1).filter((each) => !serving.has(each));
}
