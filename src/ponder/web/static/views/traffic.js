// Live traffic: what passes, what it costs, how long it takes, what `auto` saves. Asked again every few seconds.

import { get } from "../api.js";
import { h, labelled, money, number, percent, problem, seconds, table } from "../dom.js";
import { bars } from "../chart.js";

const EVERY = 3000;

const figure = (name, value) => h("div", null, h("b", null, value), name);
const clock = (unix, hours) => new Date(unix * 1000).toLocaleString("en-GB", hours > 24 ? { dateStyle: "short" } : { timeStyle: "short" });

function summed(lines, by) {
  const groups = new Map();
  for (const line of lines) {
    const sum = groups.get(line[by]) ?? { requests: 0, failed: 0, calls: 0, tokens: 0, usd: 0 };
    for (const name of Object.keys(sum)) sum[name] += line[name];
    groups.set(line[by], sum);
  }
  return [...groups].sort((a, b) => b[1].requests - a[1].requests).map(([name, sum]) =>
    [name, number(sum.requests), number(sum.failed), number(sum.calls), number(sum.tokens), money(sum.usd)]);
}

const spent = (value, unit) => (unit === "usd" ? money(value) : `${number(value)} ${unit}`);
const several = (count, name) => `${number(count)} ${name}${count === 1 ? "" : "s"}`;
const between = (low, high, unit) => (unit === "usd" ? `${money(low)} to ${money(high)}` : `${number(low)} to ${number(high)} ${unit}`);
const less = (share) => `${percent(Math.abs(share))} ${share < 0 ? "more" : "less"}`;

function auto(found) {
  const { here, evidence, saved } = found.auto;
  const lines = here.map((one) => {
    const others = Object.entries(one.others).map(([name, tokens]) => `${name} ${number(tokens)}`).join(", ");
    return h("li", null, `${one.model}: ${several(one.requests, "request")}, ${number(one.tokens)} tokens each; other methods here: ${others || "none yet"}`);
  });
  const fixed = evidence?.against === "equal_accuracy" ? "the cheapest fixed method as accurate" : "the best fixed method";
  return h("section", { class: "card" }, h("h2", null, "What auto saves"),
    saved && h("div", { class: "figures" },
      h("div", null, h("b", null, spent(Math.abs(saved.saved[0]), evidence.unit)), saved.saved[0] < 0 ? "spent on top (estimate)" : "saved (estimate)"),
      h("div", null, h("b", null, between(saved.saved[1], saved.saved[2], evidence.unit)), "95 % interval"),
      h("div", null, h("b", null, spent(saved.spent, evidence.unit)), `spent by ${several(saved.requests, "request")}`)),
    evidence
      ? h("p", null, `The active policy cost ${spent(evidence.cost, evidence.unit)} a question on questions it had not seen, ${fixed} ${spent(evidence.fixed, evidence.unit)}: ${less(1 - evidence.ratio[0])} (95 % interval ${less(1 - evidence.ratio[2])} to ${less(1 - evidence.ratio[1])}).`)
      : h("p", { class: "soft" }, "There is no active policy with evidence on held-out questions, so nothing can be said about savings: `ponder tune` makes one."),
    saved && h("p", { class: "soft small" }, `The estimate is what these requests spent since the policy is active, at that rate. It holds as far as they are like the policy's questions.`),
    lines.length ? h("ul", null, lines) : h("p", { class: "soft" }, "No request has used auto in this time."),
    lines.length > 0 && h("p", { class: "soft small" }, "Tokens a request of different methods are of different questions: they are a hint, not a comparison."));
}

function limits(found) {
  const shown = (line, value) => (value === null ? "none" : line.unit === "nanousd" ? money(value) : number(value));
  return h("section", { class: "card" }, h("h2", null, "Limits"), table(["Whose", "Unit", "Per", "Spent", "Held", "Limit", "Left"],
    found.limits.map((line) => [line.scope, line.unit === "nanousd" ? "USD" : line.unit, line.period, shown(line, line.spent),
      shown(line, line.reserved), shown(line, line.limit), shown(line, line.left)]),
    { caption: "Windows of this moment (UTC)", numbers: [3, 4, 5, 6] }));
}

function draw(found, hours) {
  const total = (name) => found.lines.reduce((sum, line) => sum + line[name], 0);
  const ends = [clock(found.since, hours), clock(found.now, hours)];
  const head = (name) => [name, "Requests", "Failed", "Calls", "Tokens", "Known cost"];
  const wide = { numbers: [1, 2, 3, 4, 5] };
  return [
    found.kept ? "" : h("p", { class: "warn" }, "No traces are kept, so nothing can be counted here: write file = \"traces.sqlite\" into [traces] of the settings. /metrics counts all the same."),
    found.lost ? h("p", { class: "warn" }, `${number(found.lost)} traces were lost and are missing below.`) : "",
    h("div", { class: "figures" },
      figure("in progress", number(found.running)), figure("waiting", number(found.waiting)), figure("requests", number(total("requests"))),
      figure("failed", number(total("failed"))), figure("tokens, all models", number(total("tokens"))), figure("known cost", money(total("usd"))),
      figure("p50", seconds(found.latency?.p50)), figure("p90", seconds(found.latency?.p90)), figure("p99", seconds(found.latency?.p99))),
    h("div", { class: "columns" },
      h("section", { class: "card" }, bars({ name: "Requests (failed ones in red)", values: found.bins.map((bin) => bin.requests), marked: found.bins.map((bin) => bin.failed), labels: ends })),
      h("section", { class: "card" }, bars({ name: "Tokens", values: found.bins.map((bin) => bin.tokens), labels: ends }))),
    h("div", { class: "columns broad" },
      ["method", "model", "key"].map((by) => h("section", { class: "card" }, h("h2", null, `By ${by}`),
        table(head(by[0].toUpperCase() + by.slice(1)), summed(found.lines, by), { ...wide, caption: `Traffic by ${by}`, quiet: true })))),
    h("section", { class: "card" }, h("h2", null, "Latency"), table(["Method", "Model", "Key", "Requests", "p50", "p90", "p99"],
      found.lines.map((line) => [line.method, line.model, line.key, number(line.requests), seconds(line.p50), seconds(line.p90), seconds(line.p99)]),
      { caption: "From the request to the last byte", numbers: [3, 4, 5, 6] })),
    auto(found), limits(found),
  ].flat();
}

export async function traffic(_, signal) {
  const hours = h("select", { onchange: () => load() }, [[1, "hour"], [24, "day"], [168, "week"], [720, "30 days"]].map(([value, text]) =>
    h("option", { value: String(value) }, `last ${text}`)));
  const body = h("div");
  async function load() {
    try {
      body.replaceChildren(...draw(await get(`/ponder/traffic?hours=${hours.value}`, signal), Number(hours.value)));
    } catch (err) {
      if (err.name !== "AbortError") body.replaceChildren(problem(err.message));
      if (err.status === 401) throw err;
    }
  }
  await load();
  const timer = setInterval(() => {
    const busy = body.contains(document.activeElement); // a reader who has stopped in a table keeps it
    if (!document.hidden && !busy) load().catch(() => clearInterval(timer));
  }, EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
  const field = labelled("Time", hours);
  field.classList.add("short");
  return [h("div", { class: "row spread" }, h("h1", null, "Live traffic"), field), body];
}
