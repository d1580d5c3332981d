// Benches and policies: open a report, lay several over each other, choose the policy that `auto` follows.

import { get, post } from "../api.js";
import { announce, h, labelled, number, percent, problem, seconds, table, when } from "../dom.js";
import { curves } from "../chart.js";

const address = (name) => `/ponder/benches/${name.split("/").map(encodeURIComponent).join("/")}`;
const share = (accuracy) => (accuracy ? `${percent(accuracy.value)} [${percent(accuracy.low)}, ${percent(accuracy.high)}]` : "–");

/** Plots of accuracy against tokens, one of each task family; `reports` by name. */
function plots(reports) {
  const families = new Map();
  const several = reports.size > 1;
  for (const [name, report] of reports)
    for (const point of report.points) {
      const label = several ? `${name}: ${point.curve}` : point.curve;
      const family = families.get(point.family) ?? families.set(point.family, new Map()).get(point.family);
      (family.get(label) ?? family.set(label, []).get(label)).push(point);
    }
  return [...families].map(([family, byLabel]) => h("section", { class: "card" }, h("h2", null, family),
    curves({
      name: "Accuracy against tokens a problem, with 95 % intervals", xName: "tokens a problem (policy)",
      series: [...byLabel].map(([label, points]) => ({ label, points: points.filter((p) => p.accuracy).sort((a, b) => a.tokens - b.tokens)
        .map((p) => ({ x: p.tokens, y: p.accuracy.value, low: p.accuracy.low, high: p.accuracy.high })) })).filter((one) => one.points.length),
    }),
    h("details", { open: several }, h("summary", null, "The numbers"), table(["Curve", "n", "Prompts", "Accuracy", "Tokens", "Seconds", "Cut"],
      [...byLabel].flatMap(([label, points]) => points.map((p) => [label, String(p.n), number(p.prompts), share(p.accuracy), number(p.tokens), seconds(p.seconds), percent(p.cut)])),
      { caption: family, numbers: [1, 2, 3, 4, 5, 6] }))));
}

/** Rows that several reports share, with their differences to the first one. */
function shared(reports) {
  const [[first, one], ...others] = [...reports];
  const spell = (p) => `${p.family} · ${p.curve} · n=${p.n}`;
  const rows = others.flatMap(([name, other]) => {
    const known = new Map(other.points.map((p) => [spell(p), p]));
    return one.points.filter((p) => known.has(spell(p)) && p.accuracy && known.get(spell(p)).accuracy).map((p) => {
      const q = known.get(spell(p));
      return [spell(p), name, percent(p.accuracy.value), percent(q.accuracy.value), `${(100 * (q.accuracy.value - p.accuracy.value)).toFixed(1)} points`, number(p.tokens), number(q.tokens)];
    });
  });
  if (!rows.length) return h("p", { class: "soft" }, "They have no point of the same family, curve and n in common.");
  return table(["Point", "Against", `Accuracy: ${first}`, "Accuracy there", "Difference", "Tokens", "Tokens there"], rows, { caption: `Points in common with ${first}`, numbers: [2, 3, 4, 5, 6] });
}

const fold = (one) => h("details", null, h("summary", null, one.summary), one.text && h("pre", null, one.text),
  one.tables.map((t) => table(t.head, t.rows, { caption: t.title || undefined })), one.folds.map(fold));

function report(name, found) {
  return [
    h("p", null, h("a", { href: "#/benches" }, "← All benches")),
    h("h1", null, found.title), h("p", { class: "soft" }, [name, ...found.facts].join(" · ")),
    found.warning && h("p", { class: "warn" }, found.warning),
    ...plots(new Map([[name, found]])),
    ...found.sections.map((section) => h("section", { class: "card" }, h("h2", null, section.title), section.note && h("p", { class: "soft small" }, section.note),
      section.lines.length > 0 && h("ul", null, section.lines.map((line) => h("li", null, line))),
      section.tables.map((t) => table(t.head, t.rows, { caption: t.title || undefined })), section.folds.map(fold))),
    h("section", { class: "card" }, h("h2", null, "How to read it"), h("ul", null, found.notes.map((note) => h("li", null, note)))),
  ].filter(Boolean);
}

function policyFacts(policy) {
  const held = policy.held_out;
  return h("dl", null,
    h("dt", null, "for"), h("dd", null, Object.entries(policy.models).map(([role, model]) => `${role}: ${model}`).join(", ")),
    h("dt", null, "learned for"), h("dd", null, policy.objective + (policy.budget ? `, at most ${number(policy.budget)} ${policy.unit}` : "")),
    policy.probe && [h("dt", null, "looks by"), h("dd", null, policy.probe)],
    Object.entries(policy.table).map(([bin, choice]) => [h("dt", null, `bin ${bin}`), h("dd", null, choice)]),
    h("dt", null, "otherwise"), h("dd", null, policy.otherwise),
    held?.fixed && [h("dt", null, "held out"), h("dd", null, `accuracy ${percent(held.accuracy[0])} at ${number(held.cost)} ${policy.unit}; best fixed method ${percent(held.fixed.accuracy)} at ${number(held.fixed.cost)}`)],
    policy.created && [h("dt", null, "made"), h("dd", null, policy.created)]);
}

export async function benches(name, signal) {
  if (name) return report(name, await get(address(name), signal));
  const found = await get("/ponder/benches", signal);
  const out = h("div");
  const said = h("div", { role: "status" });
  const boxes = new Map(found.benches.map((bench) => [bench.name, h("input", { type: "checkbox", "aria-label": `Compare ${bench.name}` })]));
  const compare = h("button", { type: "button", onclick: async () => {
    const names = [...boxes].filter(([, box]) => box.checked).map(([one]) => one);
    if (names.length < 2) return out.replaceChildren(h("p", { class: "warn" }, "Mark at least two benches."));
    compare.disabled = true;
    out.replaceChildren(h("p", { class: "soft" }, "Making the reports; with thousands of rows this takes minutes."));
    try {
      const reports = new Map();
      for (const one of names) reports.set(one, await get(address(one), signal));
      out.replaceChildren(h("h2", null, "Side by side"), ...plots(reports), h("section", { class: "card" }, shared(reports)));
      announce("compared");
    } catch (err) {
      if (err.name !== "AbortError") out.replaceChildren(problem(err.message));
    }
    compare.disabled = false;
  } }, "Compare what is marked");

  const active = h("div"), list = h("div");
  async function change(body, done) {
    try {
      await post("/ponder/policy", body, signal);
      const fresh = await get("/ponder/benches", signal);
      said.replaceChildren(h("p", { class: "answer" }, done));
      show(fresh);
    } catch (err) {
      if (err.name !== "AbortError") said.replaceChildren(problem(err.message));
    }
  }
  function show({ active: now, policies }) {
    active.replaceChildren(
      now.file ? h("p", null, "Active: ", h("code", null, now.file)) : h("p", { class: "soft" }, "The settings name no policy, so auto takes its default. Write policy = \"FILE\" into them to choose one here."),
      now.error ? problem(now.error) : now.otherwise ? policyFacts(now) : "",
      h("button", { type: "button", disabled: !now.previous, onclick: () => change({ roll_back: true }, "The policy before is active again.") }, "Roll back"));
    list.replaceChildren(...policies.map((policy) => h("details", null,
      h("summary", null, policy.name, policy.fits?.length ? h("span", { class: "badge works" }, `fits ${policy.fits.join(", ")}`) : ""),
      policy.error ? problem(policy.error) : [policyFacts(policy), policy.fits.length ? "" : policy.why.map((line) => h("p", { class: "warn" }, line)),
        h("button", { type: "button", disabled: !policy.fits.length || !now.file, onclick: () => change({ activate: policy.name }, `${policy.name} is active.`) }, "Activate")])));
    if (!policies.length) list.replaceChildren(h("p", { class: "soft" }, "There is no policy in the folder."));
  }
  show(found);
  return [
    h("h1", null, "Benches and policies"),
    found.folder ? "" : h("p", { class: "warn" }, "No folder is shown: write benches = \"FOLDER\" into [server] of the settings."),
    h("section", { class: "card" }, h("h2", null, "Benches"),
      found.benches.length
        ? table(["Bench", "Compare", "Models", "Methods", "Runs", "Changed"], found.benches.map((bench) => [
          h("a", { href: `#/benches/${bench.name.split("/").map(encodeURIComponent).join("/")}` }, bench.name), boxes.get(bench.name),
          bench.models.join(", "), bench.methods.join(", "), number(bench.runs), when(bench.changed)]), { caption: found.folder, numbers: [4] })
        : h("p", { class: "soft" }, "There is no recorded bench in the folder."),
      found.benches.length > 1 && h("div", { class: "tools-row" }, compare)),
    out,
    h("section", { class: "card" }, h("h2", null, "Policy of auto"), said, active),
    h("section", { class: "card" }, h("h2", null, "Policies in the folder"), list),
  ];
}
