// What was counted in the last minutes, and the rates that follow from it.

/** Seconds that are kept. */
export const SPAN = 300;
/** Seconds between two samples that are still joined by a line. */
const GAP = 4;

export class Samples {
  constructor() {
    this.list = [];
  }

  /** Add what a message says. */
  add(message) {
    const services = message.status.services;
    const sum = (key) => services.reduce((total, each) => total + (each[key] || 0), 0);
    const outcomes = {};
    for (const service of services) {
      for (const [name, value] of Object.entries(service.outcomes)) outcomes[name] = (outcomes[name] || 0) + value;
    }
    const last = this.last;
    if (last && message.at <= last.at) this.list = []; // another process answers: its clock is another
    this.list.push({
      at: message.at,
      total: sum("total"),
      live: sum("connections"),
      in: sum("bytes_in"),
      out: sum("bytes_out"),
      requests: Object.values(message.requests).reduce((total, each) => total + each, 0),
      pools: message.requests,
      outcomes,
    });
    while (this.list.length > 2 && this.list[1].at < message.at - SPAN) this.list.shift();
  }

  get last() {
    return this.list[this.list.length - 1];
  }

  /** The sample of some seconds ago, or the first. */
  before(seconds) {
    const from = this.last.at - seconds;
    return this.list.find((each) => each.at >= from) || this.last;
  }

  /** The last value of a rate: per second, of what `value` takes from a sample. */
  rate(value) {
    const [before, last] = [this.list[this.list.length - 2], this.last];
    return before && last.at - before.at < GAP ? perSecond(before, last, value) : 0;
  }

  /** Points of a rate: pairs of seconds ago and value; a null is a gap. */
  rates(value) {
    return this.points((before, each) => perSecond(before, each, value));
  }

  /** Points of what is so much now. */
  values(value) {
    return this.points((_, each) => value(each));
  }

  points(value) {
    const points = [];
    for (let at = 1; at < this.list.length; at += 1) {
      const [before, each] = [this.list[at - 1], this.list[at]];
      const isJoined = each.at - before.at < GAP;
      points.push(isJoined ? [this.last.at - each.at, value(before, each)] : null);
    }
    return points;
  }
}

function perSecond(before, after, value) {
  return Math.max(0, (value(after) - value(before)) / (after.at - before.at));
}
