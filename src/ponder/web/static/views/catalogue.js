// The catalogue: the 65 papers, what of each works here, and the components.

import { get } from "../api.js";
import { h, labelled } from "../dom.js";

const AXES = { what: "what", how: "how", tuning: "tuning", stimulation: "stimulation", verification: "verification", search: "search",
  aggregation: "aggregation", where: "where", how_well: "measured by" };

function component(one) {
  return h("details", null,
    h("summary", null, `${one.name} `, h("span", { class: "badge" }, one.kind), ` ${one.idea}`),
    h("dl", null,
      h("dt", null, "known from"), h("dd", null, `${one.fidelity}${one.paper ? `, ${one.paper}` : ""}`),
      h("dt", null, "needs"), h("dd", null, [...one.needs, ...one.access].join(", ") || "nothing"),
      one.cards.length > 0 && [h("dt", null, "cards"), h("dd", null, one.cards.join(", "))]),
    one.header && h("pre", null, one.header));
}

function paper(one, byName) {
  const parts = one.components.flatMap((name) => byName.get(name) ?? []);
  return h("details", null,
    h("summary", null, `${String(one.card).padStart(2, "0")} · ${one.name}`, h("span", { class: `badge ${one.state}` }, one.state)),
    h("p", null, one.title, " ", h("a", { href: `https://arxiv.org/abs/${one.arxiv}`, rel: "noreferrer", target: "_blank" }, `arXiv:${one.arxiv}`), ` (${one.year})`),
    h("dl", null, h("dt", null, "known from"), h("dd", null, one.fidelity),
      Object.entries(one.taxonomy).map(([axis, words]) => [h("dt", null, AXES[axis] ?? axis), h("dd", null, words.join(", "))])),
    parts.length ? parts.map(component) : h("p", { class: "soft" }, "Nothing of it is here yet."));
}

export async function catalogue(_, signal) {
  const found = await get("/ponder/catalogue", signal);
  const byName = Map.groupBy(found.components, (one) => one.name);
  const words = h("input", { type: "search", placeholder: "name, title, method…", oninput: () => show() });
  const state = h("select", { onchange: () => show() }, h("option", { value: "" }, "all"), h("option", { value: "works" }, "works"), h("option", { value: "planned" }, "planned"));
  const count = h("p", { class: "soft", role: "status" });
  const list = h("div"), parts = h("div");
  const holds = (one) => words.value.toLowerCase().split(/\s+/).every((word) => JSON.stringify(one).toLowerCase().includes(word));
  function show() {
    const papers = found.papers.filter((one) => holds(one) && (!state.value || one.state === state.value));
    const components = found.components.filter(holds);
    const works = papers.filter((one) => one.state === "works").length;
    count.textContent = `Papers: ${papers.length} of ${found.papers.length}, working: ${works}. Components: ${components.length} of ${found.components.length}.`;
    list.replaceChildren(...papers.map((one) => paper(one, byName)));
    parts.replaceChildren(...components.map(component));
  }
  show();
  const field = labelled("State", state);
  field.classList.add("short");
  return [h("h1", null, "Catalogue"), h("div", { class: "card row" }, labelled("Search", words), field), count,
    h("section", { class: "card papers" }, h("h2", null, "Papers"), list),
    h("section", { class: "card" }, h("h2", null, "Components"), parts)];
}
