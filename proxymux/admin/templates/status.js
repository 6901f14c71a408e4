// The status page: takes what the feed tells and has it shown.

import { Actions } from "/page/actions.js";
import { Chart } from "/page/chart.js";
import { Explanation } from "/page/explain.js";
import { Feed } from "/page/feed.js";
import { Samples } from "/page/samples.js";
import { SessionTable, Sessions } from "/page/sessions.js";
import { Tables, missingWorkers } from "/page/tables.js";
import { bytes, clock, count, duration, perSecond, put } from "/page/text.js";

const find = (id) => document.getElementById(id);
const bytesPerSecond = (value) => `${bytes(value)}/s`;

class Page {
  constructor() {
    this.samples = new Samples();
    this.sessions = new Sessions();
    this.actions = new Actions();
    this.tables = new Tables((cluster, target) => this.actions.drainTarget(cluster, target));
    const close = (session) => this.actions.closeSession(session);
    const explanation = new Explanation(close);
    this.table = new SessionTable(this.sessions, (session) => explanation.show(session), close);
    this.charts = {
      connections: new Chart(find("chart-connections"), perSecond),
      bytes: new Chart(find("chart-bytes"), bytesPerSecond, ["in", "out"], 1000),
      live: new Chart(find("chart-live"), count),
      requests: new Chart(find("chart-requests"), perSecond),
    };
    this.message = null;
    this.heardAt = null;
    this.isPaused = false;
    this.isDue = false;
    find("pause").addEventListener("click", () => this.pause());
    document.addEventListener("visibilitychange", () => this.due());
    this.feed = new Feed(find("limit").value, (message) => this.told(message), () => this.lost());
    find("limit").addEventListener("change", (event) => this.feed.ask(event.target.value));
  }

  told(message) {
    this.message = message;
    this.heardAt = new Date();
    this.samples.add(message);
    this.sessions.take(message.sessions, message.at);
    put(find("stale"), "");
    document.body.classList.remove("old");
    this.due();
  }

  /** What is drawn is drawn once a frame, and not at all while nobody sees it. */
  due() {
    if (this.isDue || this.isPaused || !this.message || document.hidden) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.show();
    });
  }

  show() {
    const { message, samples } = this;
    const { status } = message;
    put(find("version"), status.version);
    put(find("uptime"), duration(status.uptime_seconds));
    put(find("updated"), clock(this.heardAt));
    const [kind, words] = state(message);
    put(find("state"), words);
    find("state").dataset.state = kind;
    find("rollover").hidden = !status.workers_wanted;
    document.title = `${words} – proxymux ${location.host}`;
    this.draw(samples);
    this.tables.show(message, samples);
    this.table.leaveOut({ service: status.services.length < 2, worker: !status.workers_wanted });
    this.table.show(samples.last.live);
  }

  draw(samples) {
    const rate = (chart, ...values) =>
      chart.draw(values.map((value) => samples.rates(value)), values.map((value) => samples.rate(value)));
    rate(this.charts.connections, (each) => each.total);
    rate(this.charts.bytes, (each) => each.in, (each) => each.out);
    this.charts.live.draw([samples.values((each) => each.live)], [samples.last.live]);
    find("chart-requests").hidden = !Object.keys(this.message.requests).length;
    rate(this.charts.requests, (each) => each.requests);
  }

  lost() {
    document.body.classList.add("old");
    put(find("stale"), this.heardAt
      ? `Not updated since ${clock(this.heardAt)}. Trying again.`
      : "Nothing has come yet. Trying again.");
  }

  pause() {
    this.isPaused = !this.isPaused;
    find("pause").setAttribute("aria-pressed", String(this.isPaused));
    document.body.classList.toggle("paused", this.isPaused);
    this.due();
  }
}

/** The state of the whole: a kind, and words. */
function state({ ready, status }) {
  const { services, workers } = status;
  if (services.every((each) => each.draining) && !(status.workers_wanted && workers.some((each) => !each.draining))) {
    return ["draining", services.length ? "draining" : "no service runs"];
  }
  const missing = missingWorkers(status);
  if (missing.length) return ["missing", `${missing.length} of ${status.workers_wanted} workers missing`];
  if (workers.some((each) => each.draining)) return ["draining", "serving, old workers drain"];
  return ready ? ["serving", "serving"] : ["missing", "not every service is ready"];
}

new Page();
