// Canvas' platform storage, one store for each tool's origin. Runs in the forwarding frame and in the page around it;
// both keep in the page, so a tool may ask the one or the other. Canvas keeps in the browser's own storage, which a
// browser that blocks every cookie holds back too: the demo would then show nothing.
"use strict";
const MOST_KEYS = 500;
const MOST_CHARACTERS = 4096; // of all keys and values together
const stores = (window.parent.platformStorage ??= new Map());

function storageAnswer(message, origin) {
  const answer = { subject: `${message.subject}.response` };
  if (message.message_id) answer.message_id = message.message_id;
  for (const field of ["key", "message_id"]) {
    if (!message[field]) return { ...answer, error: { code: "bad_request", message: `${field} is missing` } };
  }
  const { key, value } = message;
  if (!stores.has(origin)) stores.set(origin, new Map());
  const kept = stores.get(origin);
  if (message.subject === "lti.get_data") return { ...answer, key, value: kept.get(key) ?? null };
  if (!value) { // a put without a value forgets
    kept.delete(key);
    return { ...answer, key };
  }
  const others = [...kept].filter(([name]) => name !== key);
  const length = others.reduce((sum, [name, text]) => sum + name.length + text.length, key.length + String(value).length);
  if (others.length >= MOST_KEYS || length > MOST_CHARACTERS) {
    return { ...answer, error: { code: "storage_exhaustion", message: "this tool has used its room" } };
  }
  kept.set(key, String(value));
  return { ...answer, key, value };
}

window.addEventListener("message", (event) => {
  let message = event.data;
  if (typeof message === "string") {
    try { message = JSON.parse(message); } catch { return; }
  }
  if (!message || (message.subject !== "lti.put_data" && message.subject !== "lti.get_data")) return;
  event.source.postMessage(storageAnswer(message, event.origin), event.origin);
});
