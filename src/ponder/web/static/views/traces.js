// The traces: a list of requests, and any run as a tree in which one can see why a branch lost.

import { get, post, state } from "../api.js";
import { h, labelled, money, number, problem, seconds, table, when } from "../dom.js";
import { describe, drawTree } from "../tree.js";

const PAGE = 50;

function explorer(tree) {
  const panel = h("section", { class: "card node-panel", "aria-label": "Selected node", "aria-live": "polite" });
  const { element, size } = drawTree(tree, (node) => panel.replaceChildren(...describe(node)));
  return [h("p", { class: "soft small" }, `${number(size)} nodes`), h("div", { class: "two" }, h("div", { class: "card" }, element), panel)];
}

function asked(request) {
  const messages = request.messages ?? (request.prompt ? [{ role: "prompt", content: request.prompt }] : []);
  return messages.map((message) => {
    const text = typeof message.content === "string" ? message.content : JSON.stringify(message.content, null, 1);
    return [h("h3", null, message.role), h("pre", { tabindex: "0" }, text ?? "")];
  });
}

async function one(id, signal) {
  const found = await get(`/ponder/traces/${encodeURIComponent(id)}`, signal);
  const roles = Object.entries(found.paid).map(([role, used]) =>
    [role, number(used.calls), number(used.prompt_tokens), number(used.completion_tokens), money(used.usd)]);
  return [
    h("p", null, h("a", { href: "#/traces" }, "← All traces")),
    h("h1", null, `${found.method} on ${found.model}`),
    h("p", { class: "soft" }, [when(found.created), seconds(found.seconds), `status ${found.status}`, found.stopped, `key ${found.key}`, found.id].filter(Boolean).join(" · ")),
    found.result.detail && h("p", { class: "soft" }, found.result.detail),
    ...explorer(found.tree),
    h("details", { class: "card" }, h("summary", null, "What was asked"), ...asked(found.request).flat()),
    h("details", { class: "card", open: true }, h("summary", null, "What was paid"),
      table(["Role", "Calls", "Read", "Written", "Cost"], roles, { caption: "Paid by role", numbers: [1, 2, 3, 4] })),
  ].filter(Boolean);
}

export async function traces(id, signal) {
  if (id) return one(id, signal);
  const offer = await state();
  const body = h("div");
  const method = h("select", { onchange: () => load() }, h("option", { value: "" }, "all"),
    [...new Set(offer.models.map((one) => one.method))].map((name) => h("option", { value: name }, name)));
  const model = h("select", { onchange: () => load() }, h("option", { value: "" }, "all"),
    [...new Set(offer.models.map((one) => one.model))].map((name) => h("option", { value: name }, name)));
  const file = h("input", { type: "file", accept: ".jsonl,.json", onchange: async () => {
    try {
      const { tree } = await post("/ponder/tree", await file.files[0].text(), signal);
      body.replaceChildren(...explorer(tree));
    } catch (err) {
      body.replaceChildren(problem(err.message));
    }
  } });
  let rows = [];
  const line = (row) => [h("a", { href: `#/traces/${row.id}` }, when(row.created)), row.method, row.model, row.key, String(row.status),
    row.stopped, number(row.calls), number(row.tokens), money(row.usd), seconds(row.seconds)];

  async function load(before) {
    const query = new URLSearchParams({ limit: PAGE, method: method.value, model: model.value, before: before ?? 0 });
    try {
      const found = await get(`/ponder/traces?${query}`, signal);
      rows = before ? [...rows, ...found.rows] : found.rows;
      if (!found.kept) return body.replaceChildren(h("p", { class: "warn" }, "No traces are kept: write file = \"traces.sqlite\" into [traces] of the settings."));
      if (!rows.length) return body.replaceChildren(h("p", { class: "soft" }, "No request has been traced yet."));
      body.replaceChildren(
        table(["When", "Method", "Model", "Key", "Status", "Ended", "Calls", "Tokens", "Cost", "Time"], rows.map(line),
          { caption: "Requests, the newest first", numbers: [6, 7, 8, 9] }),
        found.rows.length === PAGE ? h("button", { type: "button", onclick: () => load(rows.at(-1).number) }, "Older ones") : "");
    } catch (err) {
      if (err.name !== "AbortError") body.replaceChildren(problem(err.message));
    }
  }
  await load();
  const short = (label, control) => {
    const field = labelled(label, control);
    field.classList.add("short");
    return field;
  };
  return [h("h1", null, "Traces"),
    h("div", { class: "card row" }, short("Method", method), short("Model", model), labelled("Open a trace file (JSON lines)", file),
      h("button", { type: "button", onclick: () => load() }, "Refresh")),
    offer.texts ? "" : h("p", { class: "soft" }, "The settings keep no texts: trees show numbers and names only."),
    h("div", { class: "card" }, body)];
}
