// Elements from texts. Nothing on this page makes HTML of a string, so what a model wrote stays text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string" && !(element instanceof SVGElement)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: h("a", {href, onclick}, "text", other). */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Say something to people who do not see the page. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** A table; a quiet caption is heard and not seen, where a heading says the same. */
export function table(head, rows, { caption, numbers = [], quiet = false } = {}) {
  const kind = (at) => (numbers.includes(at) ? "number" : null);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption ?? "table" },
    h("table", null,
      caption && h("caption", quiet ? { class: "visually-hidden" } : null, caption),
      h("thead", null, h("tr", null, head.map((name, at) => h("th", { scope: "col", class: kind(at) }, name)))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, at) =>
        at === 0 ? h("th", { scope: "row" }, cell ?? "–") : h("td", { class: kind(at) }, cell ?? "–")))))));
}

export const number = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  return value < 100 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function money(value) {
  if (value === null || value === undefined) return "no price";
  if (!value) return "0 USD";
  return value < 0.01 ? `${value.toPrecision(2)} USD` : `${value.toFixed(2)} USD`;
}

export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

export function when(unix) {
  return new Date(unix * 1000).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" });
}

export function brief(text, length = 80) {
  const line = String(text ?? "").replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
}

let last = 0;
/** A label with its control; the control gets an id. */
export function labelled(text, control, note) {
  control.id ||= `control-${++last}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control, note && h("small", null, note));
}

export function problem(message) {
  return h("p", { class: "problem", role: "alert" }, message);
}
