// What the page asks of the gateway. The key is kept for this tab only (sessionStorage), and sent nowhere else.

const PLACE = "ponder-key";

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const key = () => sessionStorage.getItem(PLACE) ?? "";
export const remember = (value) => sessionStorage.setItem(PLACE, value);
export const forget = () => sessionStorage.removeItem(PLACE);

function headers(body) {
  const out = {};
  if (key()) out.authorization = `Bearer ${key()}`;
  if (body !== undefined) out["content-type"] = "application/json";
  return out;
}

async function refuse(reply) {
  let message = `the gateway answered ${reply.status}`;
  try {
    message = (await reply.json()).error.message;
  } catch {
    // not our own error: the number has to do
  }
  throw new Refused(message, reply.status);
}

async function ask(path, options) {
  try {
    return await fetch(path, { ...options, credentials: "omit", cache: "no-store", redirect: "error" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Refused("the gateway does not answer: is it running?", 0);
  }
}

export async function get(path, signal) {
  const reply = await ask(path, { headers: headers(), signal });
  if (!reply.ok) await refuse(reply);
  return reply.json();
}

/** Send JSON, or a text as it is. */
export async function post(path, body, signal) {
  const data = typeof body === "string" ? body : JSON.stringify(body ?? {});
  const reply = await ask(path, { method: "POST", headers: headers(body ?? {}), body: data, signal });
  if (!reply.ok) await refuse(reply);
  return reply.json();
}

/** Send JSON and call `told` with each object of the stream that comes back. */
export async function follow(path, body, told, signal) {
  const reply = await ask(path, { method: "POST", headers: headers(body), body: JSON.stringify(body), signal });
  if (!reply.ok) await refuse(reply);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (kept + value).split("\n\n");
    kept = blocks.pop();
    for (const block of blocks) if (block.startsWith("data: ")) told(JSON.parse(block.slice(6)));
  }
}

let known = null;
/** What this gateway offers; asked once for each key. */
export async function state() {
  known ??= get("/ponder/state");
  try {
    return await known;
  } catch (err) {
    known = null;
    throw err;
  }
}
export function unknow() {
  known = null;
}
