// The playground: one prompt, several methods side by side, each followed while it runs.

import { follow, post, state } from "../api.js";
import { announce, brief, h, labelled, money, number, problem, seconds } from "../dom.js";

let kept = null; // what was typed, so that a look at a trace does not lose it

const option = (value, text = value, chosen = false) => h("option", { value, selected: chosen }, text);

function firstTwo(offer) {
  const ids = offer.models.map((one) => one.id);
  const model = offer.models[0]?.model;
  const wanted = ["greedy", "single", "self_consistency", "best_of_n"].map((name) => `${name}@${model}`);
  const found = wanted.filter((id) => ids.includes(id));
  return found.length > 2 ? [found[0], found[2]] : found;
}

/** One method with its settings, and what comes of it. */
class Column {
  constructor(offer, id, remove) {
    this.offer = offer;
    this.running = null;
    this.model = h("select", { onchange: () => this.settings() },
      offer.models.map((one) => option(one.id, one.id, one.id === id)));
    this.verifier = h("select", null, option("", "the gateway's"), Object.keys(offer.verifiers).map((name) => option(name)));
    this.fields = h("div", { class: "row" });
    this.out = h("div", { "aria-live": "off" });
    this.stop = h("button", { type: "button", disabled: true, onclick: () => this.cancel() }, "Cancel");
    this.element = h("section", { class: "card column" },
      h("div", { class: "row spread" }, labelled("Method on model", this.model),
        h("button", { type: "button", "aria-label": "Remove this method", onclick: () => remove(this) }, "Remove")),
      h("details", null, h("summary", null, "Verifier and settings"), labelled("Verifier", this.verifier), this.fields),
      h("div", { class: "tools-row" }, this.stop), this.out);
    this.settings();
  }

  get chosen() {
    return this.offer.models.find((one) => one.id === this.model.value);
  }

  settings() {
    const known = this.offer.methods[this.chosen?.method] ?? {};
    this.inputs = Object.entries(known).map(([name, value]) => {
      const input = typeof value === "boolean"
        ? h("select", null, option("", `${value}`), option("true"), option("false"))
        : h("input", { placeholder: value === null ? "none" : String(value).slice(0, 40), spellcheck: "false" });
      return { name, value, input, field: labelled(name, input) };
    });
    for (const one of this.inputs) one.field.classList.add("short");
    const needs = this.chosen?.needs.includes("verifier");
    this.verifier.required = needs;
    this.verifier.disabled = this.chosen?.method === this.offer.single;
    this.verifier.options[0].textContent = needs ? "choose one: this method needs it" : "the gateway's, if any";
    this.fields.replaceChildren(...(this.inputs.length ? this.inputs.map((one) => one.field) : [
      h("p", { class: "soft small" }, "This method has no settings.")]));
  }

  params() {
    const out = {};
    for (const { name, value, input } of this.inputs) {
      const text = input.value.trim();
      if (!text) continue;
      if (typeof value === "boolean") out[name] = text === "true";
      else if (text === "none") out[name] = null;
      else out[name] = typeof value === "string" || !Number.isFinite(Number(text)) ? text : Number(text);
    }
    return out;
  }

  async run(request) {
    const params = this.params();
    const ponder = { ...request.ponder };
    if (Object.keys(params).length) ponder.params = params;
    if (this.verifier.value && !this.verifier.disabled) ponder.verifier = this.verifier.value;
    const body = { ...request, model: this.model.value, ponder };
    this.running = { abort: new AbortController(), id: "", began: performance.now(), calls: new Map(), scores: new Map(), text: "" };
    this.stop.disabled = false;
    this.draw();
    const clock = setInterval(() => this.drawn.textContent = this.progress(), 200);
    try {
      await follow("/ponder/runs", body, (message) => this.told(message), this.running.abort.signal);
    } catch (err) {
      this.out.replaceChildren(problem(err.name === "AbortError" ? "You left before it ended." : err.message));
    } finally {
      clearInterval(clock);
      this.stop.disabled = true;
      this.running = null;
    }
  }

  async cancel() {
    const { id, abort } = this.running ?? {};
    if (!abort) return;
    this.stop.disabled = true;
    try {
      if (!id) throw new Error("not begun");
      await post(`/ponder/runs/${id}/cancel`, {});
    } catch {
      abort.abort();
    }
  }

  told(message) {
    const run = this.running;
    if (message.run) run.id = message.run;
    else if (message.token) run.text += message.token[1];
    else if (message.event) this.happened(message.event);
    else if (message.done) return this.finish(message.done);
    else if (message.error) {
      this.out.replaceChildren(problem(message.error.message));
      announce(`${this.model.value}: ${message.error.message}`);
      return;
    }
    this.dirty ??= requestAnimationFrame(() => {
      this.dirty = null;
      if (this.running === run) this.refresh();
    });
  }

  happened({ id, kind, phase, data }) {
    const run = this.running;
    if (kind === "call" && phase === "open") run.calls.set(id, { ...data, done: false });
    else if (kind === "call" && phase === "close") Object.assign(run.calls.get(id) ?? {}, data, { done: true });
    else if (kind === "score") run.scores.set(data.index, `${data.verifier} ${data.score.value ?? "missing"}`);
    else if (kind === "policy") run.policy = `${data.choice} (difficulty ${data.bin})`;
  }

  progress() {
    const run = this.running;
    if (!run) return "";
    const calls = [...run.calls.values()];
    const done = calls.filter((call) => call.done);
    const tokens = done.reduce((sum, call) => sum + (call.usage?.prompt_tokens ?? 0) + (call.usage?.completion_tokens ?? 0), 0);
    const cost = done.reduce((sum, call) => sum + (call.paid?.usd ?? 0), 0);
    const parts = [`${done.length} of ${calls.length} calls done`, `${number(tokens)} tokens`];
    if (cost) parts.push(money(cost));
    if (run.scores.size) parts.push(`${run.scores.size} scored`);
    if (run.policy) parts.push(run.policy);
    return `${parts.join(" · ")} · ${seconds((performance.now() - run.began) / 1000)}`;
  }

  draw() {
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "calls done" });
    this.drawn = h("p", { class: "small soft progress" }, "waiting for its turn");
    this.soFar = h("div", { class: "answer", hidden: true });
    this.list = h("div", { class: "list" });
    this.out.replaceChildren(this.bar, this.drawn, this.soFar, this.list);
  }

  refresh() {
    const run = this.running;
    const calls = [...run.calls.values()];
    const most = Math.max(calls.length, ...Object.values(this.chosen?.calls ?? {}));
    this.bar.max = Math.max(1, most);
    this.bar.value = calls.filter((call) => call.done).length;
    this.drawn.textContent = this.progress();
    this.soFar.hidden = !run.text;
    this.soFar.textContent = run.text;
    const shown = calls.filter((call) => call.role === "policy" && call.done).slice(-60);
    const opened = new Set([...this.list.querySelectorAll("details[open]")].map((one) => one.dataset.place));
    this.list.replaceChildren(...shown.map((call) => {
      const name = [call.path[0], ...call.path.filter((part) => typeof part === "number"), call.index].join(" ");
      const score = call.path[0] === "sample" ? run.scores.get(call.index) : undefined;
      const said = call.error ?? call.text ?? "";
      const one = h("details", { class: call.error ? "failed" : "", open: opened.has(name) },
        h("summary", null, [name, score, brief(said, 60)].filter(Boolean).join(" · ")), h("pre", null, said));
      one.dataset.place = name;
      return one;
    }));
  }

  finish(done) {
    const used = done.usage;
    const winner = done.list[done.chosen];
    this.out.replaceChildren(
      h("h3", null, "Answer"),
      h("div", { class: "answer", tabindex: "0" }, winner?.text || done.text || done.answer || "no answer"),
      h("dl", null,
        h("dt", null, "read as"), h("dd", null, brief(done.answer ?? "–", 200)),
        h("dt", null, "ended"), h("dd", null, done.detail ? `${done.stopped}: ${done.detail}` : done.stopped),
        h("dt", null, "cost"), h("dd", null, `${number(used.ponder.calls)} calls · ${number(used.prompt_tokens)} tokens read · ${number(used.completion_tokens)} written · ${money(used.ponder.usd)}`),
        Object.keys(used.ponder.roles).length > 1 && Object.entries(used.ponder.roles).map(([role, one]) => [
          h("dt", null, role), h("dd", null, `${number(one.calls)} calls · ${number(one.prompt_tokens + one.completion_tokens)} tokens`)]),
        h("dt", null, "time"), h("dd", null, seconds(done.seconds))),
      this.offer.traces
        ? h("p", null, h("a", { class: "trace", href: `#/traces/${done.trace}` }, "Open its trace"))
        : h("p", { class: "soft small" }, "No traces are kept here."),
      h("h3", null, `Candidates (${done.list.length})`),
      ...done.list.map((one, at) => {
        const scores = Object.entries(one.scores).map(([name, score]) => `${name} ${score.value ?? "missing"}`);
        const parts = [`#${one.index}`, at === done.chosen && "✓ chosen", one.answer !== null && `= ${brief(one.answer, 30)}`,
          ...scores, `${number(one.usage.completion_tokens)} tokens`, one.error ?? (one.finish === "stop" ? "" : one.finish)];
        return h("details", { class: one.error ? "failed" : at === done.chosen ? "chosen" : "" },
          h("summary", null, parts.filter(Boolean).join(" · ")), h("pre", null, one.text || one.error || ""));
      }));
    announce(`${this.model.value} has ended: ${done.stopped}`);
  }
}

/** Begin anew: another key may use other models. */
export function clear() {
  kept = null;
}

export async function playground() {
  if (kept) return [kept];
  const offer = await state();
  const columns = [];
  const grid = h("div", { class: "columns" });
  const add = (id) => {
    const column = new Column(offer, id, (one) => {
      if (one.running) one.cancel();
      columns.splice(columns.indexOf(one), 1);
      one.element.remove();
    });
    columns.push(column);
    grid.append(column.element);
  };
  for (const id of firstTwo(offer)) add(id);

  const prompt = h("textarea", { rows: "4", required: true, placeholder: "What is 17 × 24? Give the number last." });
  const answer = h("select", null, offer.answers.map((name) => option(name, name, name === "text")));
  const temperature = h("input", { type: "number", min: "0", max: "2", step: "0.1", value: "0.8" });
  const most = h("input", { type: "number", min: "1", step: "1", value: "512" });
  const seed = h("input", { type: "number", step: "1", placeholder: "random" });
  const tokens = h("input", { type: "number", min: "1", step: "1", placeholder: "none" });
  const deadline = h("input", { type: "number", min: "0.1", step: "any", placeholder: "none" });
  const go = h("button", { class: "primary" }, "Run");
  const halt = h("button", { type: "button", disabled: true, onclick: () => columns.forEach((one) => one.cancel()) }, "Cancel all");
  const short = (label, control) => {
    const field = labelled(label, control);
    field.classList.add("short");
    return field;
  };
  const form = h("form", { class: "card", onsubmit: async (event) => {
    event.preventDefault();
    const ponder = { answer: answer.value };
    if (tokens.value) ponder.budget = { tokens: Number(tokens.value) };
    if (deadline.value) ponder.deadline_ms = 1000 * Number(deadline.value);
    const request = { messages: [{ role: "user", content: prompt.value }], temperature: Number(temperature.value),
      max_tokens: Number(most.value), ponder };
    if (seed.value) request.seed = Number(seed.value);
    go.disabled = true;
    halt.disabled = false;
    announce("running");
    await Promise.all(columns.map((one) => one.run(request)));
    go.disabled = false;
    halt.disabled = true;
  }, onkeydown: (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !go.disabled) form.requestSubmit();
  } },
  labelled("Prompt", prompt, "Ctrl+Enter runs it."),
  h("div", { class: "row" }, short("Answer type", answer), short("Temperature", temperature), short("Most tokens", most),
    short("Seed", seed), short("Token budget", tokens), short("Deadline (s)", deadline)),
  h("div", { class: "tools-row" }, go, halt,
    h("button", { type: "button", onclick: () => add(offer.models[0]?.id) }, "Add a method")));
  const page = h("div", null, h("h1", null, "Playground"),
    offer.models.length ? form : problem("This key may use no model here."), grid);
  kept = page;
  return [page];
}
