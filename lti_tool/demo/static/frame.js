// What the course page answers the tool's frame: in Canvas mood its messages (storage is in storage.js), in Moodle
// mood only the closing one.
"use strict";
const frame = document.querySelector("iframe[name=tool]");
const isCanvas = frame && frame.dataset.storage === "yes";
const target = frame ? frame.dataset.target : ""; // the frame that keeps data, "" where none does
const SUBJECTS = ["lti.capabilities", "lti.frameResize", "lti.scrollToTop"];
const STORAGE = ["lti.put_data", "lti.get_data"];

function reply(event, body) {
  event.source.postMessage(body, event.origin);
}

window.addEventListener("message", (event) => {
  let message = event.data;
  if (typeof message === "string") {
    try { message = JSON.parse(message); } catch { return; }
  }
  if (!frame || !message || typeof message !== "object" || event.source !== frame.contentWindow) return;
  if (message.subject === "org.imsglobal.lti.close") { frame.remove(); return; }
  if (!isCanvas || typeof message.subject !== "string" || message.subject.endsWith(".response")) return;
  if (target && STORAGE.includes(message.subject)) return; // storage.js answers
  const answer = { subject: `${message.subject}.response` };
  if (message.message_id) answer.message_id = message.message_id;
  switch (message.subject) {
    case "lti.capabilities":
      reply(event, { ...answer, supported_messages: [
        ...SUBJECTS.map((subject) => ({ subject })),
        ...(target ? STORAGE.map((subject) => ({ subject, frame: target })) : [])] });
      break;
    case "lti.frameResize": {
      const height = Number(message.height);
      if (height > 0) frame.height = String(Math.min(Math.max(height, 300), 20000));
      reply(event, answer);
      break;
    }
    case "lti.scrollToTop":
      frame.scrollIntoView();
      reply(event, answer);
      break;
    default:
      reply(event, { ...answer, error: { code: "unsupported_subject" } });
  }
});
