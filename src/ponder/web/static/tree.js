// A run as a tree: drawn from left to right, one row for each leaf. Arrow keys walk it, + and - zoom.

import { announce, brief, h, number, s, seconds } from "./dom.js";

const WIDTH = 190, HEIGHT = 42, ACROSS = 36, DOWN = 8, EDGE = 6;
const SIGNS = { chosen: "✓", lost: "–", pruned: "✂", failed: "✗", plain: "" };
const WORDS = { chosen: "chosen", lost: "lost", pruned: "pruned", failed: "failed", plain: "" };

function lay(node, depth, parent, all) {
  const spot = { node, depth, parent, below: [], at: all.spots.length };
  all.spots.push(spot);
  all.depth = Math.max(all.depth, depth);
  for (const child of node.children) spot.below.push(lay(child, depth + 1, spot, all));
  spot.row = spot.below.length ? (spot.below[0].row + spot.below.at(-1).row) / 2 : all.rows++;
  return spot;
}

function facts(node) {
  const out = [...node.scores];
  if (node.answer !== null && node.kind !== "step") out.unshift(`= ${brief(node.answer, 16)}`);
  if (node.tokens && out.length < 2) out.push(`${number(node.tokens[1])} tokens`);
  if (!out.length && node.seconds !== null) out.push(seconds(node.seconds));
  return brief(out.join(" · "), 30);
}

/** Return the drawing with its tools; `chosen(node)` is called for what is selected. */
export function drawTree(root, chosen) {
  const all = { spots: [], rows: 0, depth: 0 };
  lay(root, 0, null, all);
  const width = (all.depth + 1) * WIDTH + all.depth * ACROSS + 2 * EDGE;
  const height = all.rows * (HEIGHT + DOWN) - DOWN + 2 * EDGE;
  const x = (spot) => EDGE + spot.depth * (WIDTH + ACROSS);
  const y = (spot) => EDGE + spot.row * (HEIGHT + DOWN);
  let zoom = 1, current = null;

  const drawn = all.spots.map((spot) => {
    const { node } = spot;
    const said = [node.label, WORDS[node.state], ...node.scores].filter(Boolean).join(", ");
    return s("g", { class: `node ${node.kind} ${node.state}`, role: "treeitem", tabindex: "-1", "aria-label": said,
      "aria-level": String(spot.depth + 1), "aria-selected": "false", transform: `translate(${x(spot)} ${y(spot)})`,
      onclick: () => select(spot, true) },
    s("rect", { width: WIDTH, height: HEIGHT, rx: 6 }),
    s("text", { x: 9, y: 17, class: "name" }, brief(`${SIGNS[node.state]} ${node.label}`.trim(), 26)),
    s("text", { x: 9, y: 33, class: "detail" }, facts(node) || brief(node.text, 28) || node.kind));
  });
  const edges = all.spots.filter((spot) => spot.parent).map((spot) => {
    const from = x(spot.parent) + WIDTH, to = x(spot), half = (from + to) / 2;
    const one = y(spot.parent) + HEIGHT / 2, two = y(spot) + HEIGHT / 2;
    return s("path", { class: `edge ${spot.node.state}`, d: `M${from} ${one}C${half} ${one} ${half} ${two} ${to} ${two}` });
  });
  const picture = s("svg", { class: "tree", role: "tree", "aria-label": "The run as a tree", viewBox: `0 0 ${width} ${height}` },
    edges, drawn);
  const box = h("div", { class: "tree-box" }, picture);

  function select(spot, focus) {
    if (current) {
      drawn[current.at].setAttribute("aria-selected", "false");
      drawn[current.at].setAttribute("tabindex", "-1");
    }
    current = spot;
    drawn[spot.at].setAttribute("aria-selected", "true");
    drawn[spot.at].setAttribute("tabindex", "0");
    if (focus) {
      drawn[spot.at].focus({ preventScroll: true });
      reveal(spot);
    }
    chosen(spot.node);
  }
  function reveal(spot) {
    const [l, t, w, b] = [x(spot) * zoom, y(spot) * zoom, WIDTH * zoom, HEIGHT * zoom];
    if (l < box.scrollLeft || l + w > box.scrollLeft + box.clientWidth) box.scrollLeft = l + w / 2 - box.clientWidth / 2;
    if (t < box.scrollTop || t + b > box.scrollTop + box.clientHeight) box.scrollTop = t + b / 2 - box.clientHeight / 2;
  }
  function scale(value) {
    zoom = Math.min(3, Math.max(0.15, value));
    picture.setAttribute("width", width * zoom);
    picture.setAttribute("height", height * zoom);
    if (current) reveal(current);
    announce(`zoom ${Math.round(100 * zoom)} %`);
  }
  const fit = () => scale(Math.min(1, (box.clientWidth - 4) / width, (box.clientHeight - 4) / height));

  const near = (spot, way) => {
    const beside = all.spots.filter((one) => one.depth === spot.depth).sort((a, b) => a.row - b.row);
    return beside[beside.indexOf(spot) + way];
  };
  picture.addEventListener("keydown", (event) => {
    const moves = {
      ArrowLeft: () => current.parent, ArrowRight: () => current.below[0], ArrowUp: () => near(current, -1),
      ArrowDown: () => near(current, 1), Home: () => all.spots[0], End: () => all.spots.at(-1),
    };
    const zooms = { "+": () => scale(zoom * 1.25), "=": () => scale(zoom * 1.25), "-": () => scale(zoom / 1.25), 0: fit };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) {
      const spot = moves[event.key]();
      if (spot) select(spot, true);
    } else if (zooms[event.key]) zooms[event.key]();
    else return;
    event.preventDefault();
  });
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    scale(zoom * (event.deltaY < 0 ? 1.1 : 1 / 1.1));
  }, { passive: false });

  const losers = all.spots.filter((spot) => ["lost", "pruned", "failed"].includes(spot.node.state));
  const winner = all.spots.filter((spot) => spot.node.state === "chosen").at(-1);
  const jump = (spots) => {
    const after = spots.find((spot) => current && spot.at > current.at) ?? spots[0];
    if (after) select(after, true);
  };
  const tools = h("div", { class: "tools-row", role: "toolbar", "aria-label": "Tree" },
    h("button", { type: "button", "aria-label": "Zoom out", onclick: () => scale(zoom / 1.25) }, "−"),
    h("button", { type: "button", "aria-label": "Zoom in", onclick: () => scale(zoom * 1.25) }, "+"),
    h("button", { type: "button", onclick: fit }, "Whole tree"),
    h("button", { type: "button", disabled: !winner, onclick: () => select(winner, true) }, "✓ Chosen"),
    h("button", { type: "button", disabled: !losers.length, onclick: () => jump(losers) },
      `Next that lost (${losers.length})`));
  scale(1);
  select(winner ?? all.spots[0], false);
  return { element: h("div", null, tools, box, h("p", { class: "soft small" },
    "Arrow keys walk the tree, + and − zoom, 0 shows all of it.")), size: all.spots.length };
}

/** Return what there is to read about a node. */
export function describe(node) {
  return [
    h("h2", null, node.label, node.state !== "plain" && h("span", { class: `badge ${node.state}` }, WORDS[node.state])),
    node.why && h("div", { class: "why" }, h("h3", null, "Why it lost"), h("p", null, node.why)),
    h("dl", null,
      node.answer !== null && [h("dt", null, "answer"), h("dd", null, brief(node.answer, 200))],
      node.scores.length > 0 && [h("dt", null, "scores"), h("dd", null, node.scores.join(" · "))],
      node.tokens && [h("dt", null, "tokens"), h("dd", null, `${number(node.tokens[0])} read, ${number(node.tokens[1])} written`)],
      h("dt", null, "time"), h("dd", null, node.seconds === null ? `at ${seconds(node.start)}` : `${seconds(node.seconds)}, from ${seconds(node.start)} on`),
      node.facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
    node.text && h("pre", { tabindex: "0" }, node.text),
  ].filter(Boolean);
}
