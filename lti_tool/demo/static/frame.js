// What the course page answers the tool's frame: in Canvas mood its messages (storage is in storage.js), in Moodle
// mood only the closing one.
"use strict";
const frame = document.querySelector("iframe[name=tool]");
const isCanvas = frame && frame.dataset.storage === "yes";
const forwarding = document.querySelector("iframe[name=post_message_forwarding]") ? "post_message_forwarding" : "_parent";

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
  if (!isCanvas) return;
  const answer = { subject: `${message.subject}.response`, message_id: message.message_id };
  switch (message.subject) {
    case "lti.capabilities":
      reply(event, { ...answer, supported_messages: [
        { subject: "lti.capabilities" }, { subject: "lti.frameResize" }, { subject: "lti.scrollToTop" },
        { subject: "lti.put_data", frame: forwarding }, { subject: "lti.get_data", frame: forwarding }] });
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
  }
});
