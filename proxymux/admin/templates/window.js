// A long table of which only the rows in sight are in the page.  Rows are kept by what they show, so that the focus and
// the selection stay where they are while others come, go and change places.

import { make } from "/page/text.js";

/** Rows beyond what is in sight, above and below. */
const SPARE = 8;
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

export class RowWindow {
  /**
   * @param scroller is the box in which the body scrolls.
   * @param body is that of the table.
   * @param rows makes rows: `make()` returns one, `fill(row, item, tabIndex)` has it show an item.
   */
  constructor(scroller, body, rows) {
    this.scroller = scroller;
    this.body = body;
    this.source = rows;
    this.items = [];
    this.shown = new Map();
    this.height = 0;
    /** The key of the row that Tab leads to. */
    this.current = null;
    /** Where it is among the items. */
    this.place = 0;
    this.above = spacer();
    this.below = spacer();
    body.append(this.above, this.below);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    body.addEventListener("keydown", (event) => this.pressed(event));
    body.addEventListener("focusin", (event) => {
      const key = this.keyOf(event.target);
      if (key !== null && key !== this.current) {
        this.current = key;
        this.draw();
      }
    });
    new ResizeObserver(() => {
      this.height = 0;
      this.draw();
    }).observe(scroller);
  }

  /** Show items, each with a key of its own, in their order. */
  show(items) {
    this.items = items;
    this.draw();
  }

  draw() {
    const height = this.rowHeight();
    const first = Math.min(Math.max(0, Math.floor(this.scroller.scrollTop / height) - SPARE), this.items.length);
    const items = this.items.slice(first, first + Math.ceil(this.scroller.clientHeight / height) + 2 * SPARE);
    const lost = this.removeOthers(new Set(items.map((item) => item.key)));
    const at = items.findIndex((item) => item.key === this.current);
    if (at < 0 && items.length) {
      // What has taken its place is next to Tab.
      this.current = items[Math.min(Math.max(0, this.place - first), items.length - 1)].key;
    }
    if (at >= 0) this.place = first + at;
    const rows = items.map((item, at) => {
      let row = this.shown.get(item.key);
      if (!row) this.shown.set(item.key, (row = this.source.make()));
      row.setAttribute("aria-rowindex", first + at + 2);
      this.source.fill(row, item, item.key === this.current ? 0 : -1);
      return row;
    });
    this.arrange(rows);
    if (lost) this.refocus(lost);
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${(this.items.length - first - items.length) * height}px`;
  }

  /** Remove all rows but those of `keys`; returns the key and the column of the focus, if that was in one of them. */
  removeOthers(keys) {
    let lost = null;
    for (const [key, row] of this.shown) {
      if (keys.has(key)) continue;
      const column = [...row.querySelectorAll("button")].indexOf(document.activeElement);
      if (column >= 0) lost = { key, column };
      row.remove();
      this.shown.delete(key);
    }
    return lost;
  }

  /** The focus goes to what has taken the row's place; if that was only scrolled away, to the whole. */
  refocus({ key, column }) {
    const next = this.items.some((item) => item.key === key) ? null : this.shown.get(this.current);
    (next ? next.querySelectorAll("button")[column] : this.scroller).focus({ preventScroll: true });
  }

  /** Put the rows in order.  The one with the focus is not touched, as it would lose it: others move around it. */
  arrange(rows) {
    const kept = rows.findIndex((row) => row.contains(document.activeElement));
    let next = this.below;
    for (let at = rows.length - 1; at >= 0; at -= 1) {
      if (at !== kept && rows[at].nextSibling !== next) this.body.insertBefore(rows[at], next);
      next = rows[at];
    }
  }

  rowHeight() {
    if (!this.height) {
      const probe = this.body.insertBefore(this.source.make(), this.below);
      this.height = Math.max(1, probe.getBoundingClientRect().height);
      probe.remove();
    }
    return this.height;
  }

  keyOf(element) {
    for (const [key, row] of this.shown) if (row.contains(element)) return key;
    return null;
  }

  /** Arrows, Home, End and the page keys lead from a row's button to the same one of another row. */
  pressed(event) {
    const key = this.keyOf(event.target);
    if (key === null || event.altKey || event.ctrlKey || event.metaKey) return;
    const at = this.items.findIndex((item) => item.key === key);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight()) - 2);
    const to = { ...STEPS, PageDown: page, PageUp: -page, Home: -this.items.length, End: this.items.length }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const column = [...this.shown.get(key).querySelectorAll("button")].indexOf(event.target);
    this.goTo(Math.min(this.items.length - 1, Math.max(0, at + to)), column);
  }

  goTo(index, column) {
    const [top, height] = [index * this.rowHeight(), this.rowHeight()];
    const room = this.scroller.clientHeight - this.body.parentNode.tHead.offsetHeight - height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    this.current = this.items[index].key;
    this.draw();
    this.shown.get(this.current).querySelectorAll("button")[column].focus({ preventScroll: true });
  }
}

function spacer() {
  const row = make("tr", "spacer");
  row.setAttribute("aria-hidden", "true");
  row.append(make("td"));
  return row;
}
