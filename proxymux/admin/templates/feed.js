// The feed: what the server tells once a second, and coming back to it when it has stopped.

/** Seconds without a message after which what is shown is called old. */
const SILENCE = 4;
/** Seconds after which a page that nobody sees asks for nothing more. */
const UNSEEN = 60;
/** Seconds to wait before each further attempt. */
const PAUSES = [1, 2, 5, 10];

export class Feed {
  /**
   * @param limit of the sessions that are asked for.
   * @param told is called with each message.
   * @param lost is called when nothing has come for a while, and when an attempt has failed.
   */
  constructor(limit, told, lost) {
    this.limit = limit;
    this.told = told;
    this.lost = lost;
    this.failures = 0;
    this.source = null;
    this.timer = null;
    this.unseen = null;
    document.addEventListener("visibilitychange", () => this.seen());
    this.open();
  }

  seen() {
    clearTimeout(this.unseen);
    if (document.hidden) this.unseen = setTimeout(() => this.close(), UNSEEN * 1000);
    // A phone that wakes up must not wait for the timer.
    else if (!this.source || performance.now() - this.heard > SILENCE * 1000) this.open();
  }

  open() {
    this.close();
    this.heard = performance.now();
    this.source = new EventSource(`/events?limit=${this.limit}`);
    this.source.onmessage = (event) => {
      this.heard = performance.now();
      this.failures = 0;
      this.wait(SILENCE, () => this.fail());
      this.told(JSON.parse(event.data));
    };
    this.source.onerror = () => this.fail();
    this.wait(SILENCE, () => this.fail());
  }

  close() {
    clearTimeout(this.timer);
    if (this.source) this.source.close();
    this.source = null;
  }

  fail() {
    this.close();
    this.lost();
    this.wait(PAUSES[Math.min(this.failures, PAUSES.length - 1)], () => this.open());
    this.failures += 1;
  }

  wait(seconds, then) {
    clearTimeout(this.timer);
    this.timer = setTimeout(then, seconds * 1000);
  }

  /** Ask for more sessions, or for fewer. */
  ask(limit) {
    this.limit = limit;
    this.open();
  }
}
