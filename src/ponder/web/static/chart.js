// Small plots, drawn by hand as SVG: bars over time, and curves with intervals over a logarithmic axis.

import { h, s } from "./dom.js";

const nice = (top) => {
  if (!(top > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= top);
};
// In a narrow window a picture has fewer units, so that its letters stay readable.
const narrow = () => matchMedia("(max-width: 560px)").matches;
const short = (value) => {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e3) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${+value.toPrecision(3)}`;
};

/** Bars: `values` numbers, `labels` for the ends, `name` what they are. `marked`: a second, smaller count inside. */
export function bars({ values, marked = [], labels, name, spell = short }) {
  const width = narrow() ? 340 : 600, height = 150, left = 44, bottom = 22, top = nice(Math.max(...values, 0));
  const step = (width - left) / values.length;
  const y = (value) => 6 + (height - bottom - 6) * (1 - value / top);
  const total = values.reduce((sum, value) => sum + value, 0);
  return h("figure", null,
    h("figcaption", null, name),
    s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart",
      "aria-label": `${name}: ${spell(total)} in all, at most ${spell(Math.max(...values, 0))} in one bar` },
    [0, top / 2, top].map((value) => [
      s("line", { x1: left, x2: width, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, spell(value)),
    ]),
    values.map((value, at) => value > 0 && s("rect", { class: "bar", x: left + at * step + 0.5, y: y(value),
      width: Math.max(1, step - 1), height: y(0) - y(value) })),
    marked.map((value, at) => value > 0 && s("rect", { class: "bar failed", x: left + at * step + 0.5, y: y(value),
      width: Math.max(1, step - 1), height: y(0) - y(value) })),
    s("text", { x: left, y: height - 4 }, labels[0]),
    s("text", { x: width, y: height - 4, "text-anchor": "end" }, labels[1])));
}

const PATHS = [
  (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0`,
  (x, y) => `M${x - 4} ${y - 4}h8v8h-8z`,
  (x, y) => `M${x} ${y - 5}l5 9h-10z`,
  (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5 -5z`,
];
const mark = (at, x, y) => s("path", { d: PATHS[at % PATHS.length](x, y), class: `mark s${at % 8}` });

/** Curves of accuracy: `series` of {label, points: [{x, y, low, high}]}; x is logarithmic, y a share. */
export function curves({ series, name, xName }) {
  const width = narrow() ? 340 : 640, height = narrow() ? 260 : 320, left = 46, right = 12, bottom = 40, top = 10;
  const xs = series.flatMap((one) => one.points.map((point) => point.x)).filter((x) => x > 0);
  if (!xs.length) return h("p", null, "There is nothing to draw.");
  let low = Math.log10(Math.min(...xs)), high = Math.log10(Math.max(...xs));
  if (high - low < 0.3) [low, high] = [low - 0.3, high + 0.3];
  const pad = (high - low) * 0.04;
  const x = (value) => left + (width - left - right) * ((Math.log10(value) - low + pad) / (high - low + 2 * pad));
  const y = (value) => top + (height - top - bottom) * (1 - value);
  const ticks = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++)
    for (const step of high - low > 2 ? [1] : [1, 2, 5]) {
      const value = step * 10 ** power;
      if (Math.log10(value) >= low - pad && Math.log10(value) <= high + pad) ticks.push(value);
    }
  return h("figure", null,
    h("figcaption", null, name),
    s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart",
      "aria-label": `${name}; the table below has the numbers` },
    [0, 0.25, 0.5, 0.75, 1].map((value) => [
      s("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, `${100 * value} %`),
    ]),
    ticks.map((value) => s("text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" }, short(value))),
    s("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xName),
    series.map((one, at) => {
      const points = one.points.filter((point) => point.x > 0);
      return [
        s("polyline", { class: `line s${at % 8}`, points: points.map((p) => `${x(p.x)},${y(p.y)}`).join(" ") }),
        points.map((p) => p.low !== undefined && s("line", { class: `whisker s${at % 8}`, x1: x(p.x), x2: x(p.x),
          y1: y(p.low), y2: y(p.high) })),
        points.map((p) => mark(at, x(p.x), y(p.y))),
      ];
    })),
    h("ul", { class: "legend" }, series.map((one, at) => h("li", null,
      s("svg", { viewBox: "0 0 16 16", class: "key", "aria-hidden": "true" }, mark(at, 8, 8)), one.label))));
}
