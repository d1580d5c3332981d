// The frame of the page: which view is shown, the key, light and dark.

import { forget, key, remember, unknow } from "./api.js";
import { h, labelled, problem } from "./dom.js";
import { benches } from "./views/benches.js";
import { catalogue } from "./views/catalogue.js";
import { clear, playground } from "./views/playground.js";
import { traces } from "./views/traces.js";
import { traffic } from "./views/traffic.js";

const VIEWS = { playground, traces, traffic, benches, catalogue };
const main = document.getElementById("main");
let leaving = new AbortController();

async function show() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS[name] ? name : "playground";
  leaving.abort();
  leaving = new AbortController();
  const signal = leaving.signal;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view} · ponder`;
  document.getElementById("forget").hidden = !key();
  const slow = setTimeout(() => main.replaceChildren(h("p", { class: "soft", role: "status" },
    view === "benches" && rest.length ? "Making the report; with thousands of rows this takes a while." : "Loading…")), 300);
  signal.addEventListener("abort", () => clearTimeout(slow));
  try {
    const parts = await VIEWS[view](rest.map(decodeURIComponent).join("/"), signal);
    if (!signal.aborted) main.replaceChildren(...parts);
  } catch (err) {
    if (signal.aborted || err.name === "AbortError") return;
    if (err.status === 401) askForKey(key() ? "This key is not known here." : "");
    else main.replaceChildren(h("h1", null, "This did not work"), problem(err.message));
    if (err.status === undefined) throw err;
  } finally {
    clearTimeout(slow);
  }
}

function askForKey(message) {
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const form = h("form", { class: "card narrow", onsubmit: (event) => {
    event.preventDefault();
    remember(input.value.trim());
    unknow();
    clear();
    show();
  } },
  h("h1", null, "This gateway needs a key"),
  message && problem(message),
  labelled("Key", input, "It stays in this tab and is forgotten when the tab is closed."),
  h("button", { class: "primary" }, "Use it"));
  main.replaceChildren(form);
  input.focus();
}

const THEMES = ["system", "light", "dark"];
function useTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = `Theme: ${name}`;
}
let theme = localStorage.getItem("ponder-theme") ?? "system";
useTheme(theme);
document.getElementById("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("ponder-theme", theme);
  useTheme(theme);
});
document.getElementById("forget").addEventListener("click", () => {
  forget();
  unknow();
  clear();
  show();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
});
show();
