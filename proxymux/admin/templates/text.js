// Numbers and texts as an operator reads them, and elements that show them.  What comes from outside is set as text
// only, never as markup.

const SCALE = ["", "k", "M", "G", "T", "P"];

/** Three significant digits with a decimal prefix, `1.23 MB`; below a thousand with so many decimals. */
function scaled(value, unit, decimals) {
  let at = 0;
  while (value >= 999.5 && at < SCALE.length - 1) {
    value /= 1000;
    at += 1;
  }
  if (at === 0) return `${value.toFixed(value >= 100 ? 0 : decimals)}${unit ? ` ${unit}` : ""}`;
  return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${SCALE[at]}${unit}`;
}

export const bytes = (value) => (value === null || value === undefined ? "–" : scaled(value, "B", 0));
export const perSecond = (value) => `${value ? scaled(value, "", 1) : "0"}/s`;

/** A count with all its digits: 12,345. */
export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

/** A duration: 0:07, 12:34, 1:02:03, 3 d 4:05:06. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours}:${two(minutes)}:${two(whole % 60)}`;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A short duration: 0.25 ms, 12.3 ms, 1.23 s. */
export function short(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 1)} ms`;
  return seconds < 60 ? `${seconds.toFixed(2)} s` : duration(seconds);
}

/** The time of day. */
export const clock = (date) => date.toLocaleTimeString("en-GB");

/** Set the text of an element, unless it has it already. */
export function put(element, text) {
  const shown = element.firstChild;
  if (shown && shown.nodeType === Node.TEXT_NODE && !shown.nextSibling) {
    if (shown.data !== text) shown.data = text;
  } else {
    element.textContent = text;
  }
}

/** An element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
