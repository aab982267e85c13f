/* The registration frame is closed when the tool says so, and the list of tools is shown, as Moodle does. */
(() => {
  "use strict";
  const frame = document.querySelector("[data-register]");
  window.addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || !event.data || event.data.subject !== "org.imsglobal.lti.close") return;
    frame.remove();
    window.location.assign(document.getElementById("back").href);
  });
})();
