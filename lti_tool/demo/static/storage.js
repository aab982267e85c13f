// Canvas' platform storage, one store per tool origin. Runs in the forwarding frame and in the page around it;
// both keep in the page, so a tool may ask the one or the other.
"use strict";
const kept = (window.parent.platformStore ??= new Map());

function storageAnswer(message, origin) {
  const answer = { subject: `${message.subject}.response`, message_id: message.message_id };
  if (!message.key || !message.message_id) {
    answer.error = { code: "bad_request", message: "key and message_id are required" };
    return answer;
  }
  const name = JSON.stringify([origin, message.key]);
  answer.key = message.key;
  if (message.subject === "lti.put_data") {
    if (message.value === undefined || message.value === null) kept.delete(name);
    else kept.set(name, message.value);
    answer.value = message.value ?? null;
  } else {
    answer.value = kept.get(name) ?? null;
  }
  return answer;
}

window.addEventListener("message", (event) => {
  const message = typeof event.data === "object" && event.data ? event.data : {};
  if (message.subject !== "lti.put_data" && message.subject !== "lti.get_data") return;
  event.source.postMessage(storageAnswer(message, event.origin), event.origin);
});
