// A line chart of the last minutes.  Its figures stand beside it as text: the drawing itself is not read out.

import { put, make } from "/page/text.js";
import { SPAN } from "/page/samples.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [600, 100];

export class Chart {
  /**
   * @param figure gets the drawing; its .now shows the present values.
   * @param show makes the text of a value.
   * @param names of the lines, if there are several.
   * @param least the scale reaches up to it at least.
   */
  constructor(figure, show, names = [""], least = 10) {
    this.show = show;
    this.least = least;
    this.now = figure.querySelector(".now");
    this.top = make("span", "top");
    this.note = make("p", "note");
    const drawing = make("div", "drawing");
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false",
    })) svg.setAttribute(name, value);
    for (const y of [0.5, HEIGHT / 2]) this.add(svg, "path", "grid").setAttribute("d", `M0 ${y}H${WIDTH}`);
    this.lines = names.map((_, at) => ({
      area: at === 0 ? this.add(svg, "path", "area line1") : null,
      line: this.add(svg, "path", `line line${at + 1}`),
    }));
    this.add(svg, "path", "base").setAttribute("d", `M0 ${HEIGHT - 0.5}H${WIDTH}`);
    const axis = make("div", "axis");
    axis.append(make("span", "", "−5 min"), this.note, make("span", "", "now"));
    this.top.setAttribute("aria-hidden", "true");
    drawing.append(svg, this.top);
    figure.append(drawing, axis);
    this.values = names.map((name, at) => {
      const value = make("span", `value line${at + 1}`);
      if (name) value.append(make("span", "key", name), make("span"));
      return value;
    });
    this.now.replaceChildren(...this.values);
    this.names = names;
  }

  add(svg, tag, className) {
    const element = document.createElementNS(SVG, tag);
    element.setAttribute("class", className);
    svg.append(element);
    return element;
  }

  /** Draw lines, each of points: pairs of seconds ago and value; with their present values. */
  draw(lines, now) {
    let peak = 0;
    for (const points of lines) for (const point of points) if (point && point[1] > peak) peak = point[1];
    const top = Math.max(this.least, rounded(peak));
    put(this.top, this.show(top));
    put(this.note, `peak ${this.show(peak)}`);
    lines.forEach((points, at) => {
      const { line, area } = this.lines[at];
      const pieces = split(points).map((piece) => piece.map(([ago, value]) =>
        `${(WIDTH * (1 - ago / SPAN)).toFixed(1)} ${(HEIGHT * (1 - value / top)).toFixed(1)}`));
      line.setAttribute("d", pieces.map((piece) => `M${piece.join("L")}`).join(""));
      if (area) area.setAttribute("d", pieces.map(closed).join(""));
      const value = this.values[at];
      put(this.names[at] ? value.lastChild : value, this.show(now[at]));
    });
  }
}

function closed(piece) {
  const x = (point) => point.slice(0, point.indexOf(" "));
  return `M${x(piece[0])} ${HEIGHT}L${piece.join("L")}L${x(piece[piece.length - 1])} ${HEIGHT}Z`;
}

/** The pieces between gaps; a piece of one point is none. */
function split(points) {
  const pieces = [[]];
  for (const point of points) {
    if (point) pieces[pieces.length - 1].push(point);
    else pieces.push([]);
  }
  return pieces.filter((piece) => piece.length > 1);
}

/** The next of 1, 2, 5, 10, 20 … that is not below. */
function rounded(value) {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((each) => each >= value);
}
