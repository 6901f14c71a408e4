// One session explained, as /sessions/ID tells it.

import { bytes, duration, make, put, short } from "/page/text.js";

const find = (id) => document.getElementById(id);

export class Explanation {
  /** @param close is called with a session that is to be closed. */
  constructor(close) {
    this.dialog = find("explanation");
    this.session = null;
    find("explanation-done").addEventListener("click", () => this.dialog.close());
    find("explanation-close").addEventListener("click", () => {
      this.dialog.close();
      close(this.session);
    });
  }

  async show(session) {
    this.session = session;
    put(find("explanation-title"), `Session ${session.id}`);
    const place = find("explained");
    place.replaceChildren(make("p", "", "…"));
    find("explanation-close").hidden = true;
    this.dialog.showModal();
    try {
      const answer = await fetch(`/sessions/${session.id}`);
      if (this.session !== session) return;
      if (answer.ok) this.fill(place, await answer.json());
      else place.replaceChildren(make("p", "", (await answer.text()).trim()));
    } catch {
      place.replaceChildren(make("p", "", "There is no answer."));
    }
  }

  fill(place, found) {
    find("explanation-close").hidden = found.outcome !== null;
    const facts = {
      Service: found.service, Client: found.client, "Came in at": found.local, Target: found.target,
      State: found.outcome === null ? found.state : found.outcome, Reason: found.reason, Began: found.time,
      Lasted: duration(found.seconds), In: bytes(found.bytes_in), Out: bytes(found.bytes_out), Worker: found.worker,
      "Decided at": found.decided_at, "Bytes seen": found.seen.join(", "),
      ...prefixed("Note", found.note), ...prefixed("TLS", found.tls),
    };
    const list = make("dl");
    for (const [name, value] of Object.entries(facts)) {
      if (value !== null && value !== undefined && value !== "") list.append(make("dt", "", name), make("dd", "", String(value)));
    }
    place.replaceChildren(list);
    place.append(table("Phases", ["Phase", "From", "To"],
      found.phases.map((each) => [each.phase, short(each.from), each.to === null ? "now" : short(each.to)])));
    if (found.attempts.length) {
      place.append(table("Attempts to connect", ["Target", "From", "To", "Error"], found.attempts.map((each) =>
        [each.target, short(each.from), each.to === null ? "now" : short(each.to), each.error || "none"])));
    }
  }
}

/** The entries of an object, each named after it; a null has none. */
function prefixed(name, object) {
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  return Object.fromEntries(Object.entries(object || {}).map(([key, value]) => [`${name}: ${key}`, text(value)]));
}

function table(caption, headings, rows) {
  const made = make("table");
  made.append(make("caption", "", caption), make("thead"), make("tbody"));
  const line = (texts, tag) => {
    const row = make("tr");
    row.append(...texts.map((text) => make(tag, "", text)));
    return row;
  };
  made.tHead.append(line(headings, "th"));
  for (const cell of made.tHead.rows[0].cells) cell.scope = "col";
  made.tBodies[0].append(...rows.map((texts) => line(texts, "td")));
  return made;
}
