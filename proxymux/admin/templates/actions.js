// What changes something: each action asks first and shows the token, which is kept in a variable of this page only.

import { count, put } from "/page/text.js";

const find = (id) => document.getElementById(id);
let token = "";

const ACTIONS = {
  reload: {
    path: "/reload", title: "Reload?", verb: "Reload",
    text: "Routers, keys, deny files and certificates are read again. What cannot be read stays as it was.",
  },
  drain: {
    path: "/drain", title: "Drain?", verb: "Drain",
    text: "No more clients are accepted, and those that are there end by themselves. This cannot be undone from here.",
  },
  rollover: {
    path: "/rollover", title: "Roll over?", verb: "Roll over",
    text: "One worker after the other is replaced by a new process. No connection is refused or reset.",
  },
};

export class Actions {
  constructor() {
    this.action = null;
    this.dialog = find("ask");
    this.input = this.dialog.querySelector("input");
    for (const [name, action] of Object.entries(ACTIONS)) find(name).addEventListener("click", () => this.ask(action));
    find("ask-no").addEventListener("click", () => this.dialog.close());
    find("forget").addEventListener("click", () => {
      this.keep("");
      say("The token is forgotten.");
    });
    this.dialog.addEventListener("close", () => {
      this.input.value = "";
      this.action = null;
    });
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.act();
    });
  }

  /** Ask whether a session is to be closed. */
  closeSession(session) {
    this.ask({
      path: `/sessions/${session.id}/close`, title: `Close session ${session.id}?`, verb: "Close session",
      text: `${session.client} → ${session.target || "no target yet"}. It is cut, and ends as drained.`,
    });
  }

  /** Ask whether a target of a cluster is to be drained, or used again. */
  drainTarget(cluster, target) {
    const verb = target.drained ? "Enable" : "Drain";
    const path = [cluster, target.target].map(encodeURIComponent).join("/");
    this.ask({
      path: `/clusters/${path}/${verb.toLowerCase()}`, title: `${verb} ${target.target}?`, verb: `${verb} target`,
      text: target.drained ? `It gets new connections of ${cluster} again.`
        : `It gets nothing new of ${cluster}; the ${count(target.connections)} connections that it has go on.`,
    });
  }

  ask(action) {
    this.action = action;
    put(find("ask-title"), action.title);
    put(find("ask-text"), action.text);
    put(find("ask-yes"), action.verb);
    put(find("ask-problem"), "");
    this.showToken();
    this.dialog.showModal();
    (token ? find("ask-yes") : this.input).focus();
  }

  async act() {
    const action = this.action;
    const shown = token || this.input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(shown)) return this.problem("A token is wanted: one word of ASCII characters.");
    find("ask-yes").disabled = true;
    try {
      const answer = await fetch(action.path, { method: "POST", headers: { Authorization: `Bearer ${shown}` } });
      const words = (await answer.text()).trim().slice(0, 500);
      if (this.action !== action) return undefined; // it was cancelled meanwhile
      if (answer.ok) {
        this.keep(shown);
        this.dialog.close();
        return say(`${action.title.replace("?", "")}: ${words}.`);
      }
      this.keep(answer.status === 401 ? "" : token);
      return this.problem(answer.status === 401 ? "The token is wrong." : words || `Status ${answer.status}.`);
    } catch {
      return this.problem("There is no answer.");
    } finally {
      find("ask-yes").disabled = false;
    }
  }

  problem(text) {
    put(find("ask-problem"), text);
    this.showToken();
    if (!token) this.input.select();
  }

  keep(value) {
    token = value;
    find("forget").hidden = !token;
  }

  showToken() {
    find("ask-token").hidden = find("ask-hint").hidden = Boolean(token);
  }
}

/** Say what was done, to who sees and to who listens. */
export function say(text) {
  put(find("said"), text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put(find("said"), ""), 15000);
}
