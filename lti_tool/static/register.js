/* The last step of a registration: the LMS's window is told to close (LTI Dynamic Registration 1.0, 3.6).
   The message goes to the platform's own origins and to nobody else; a browser drops those that are not the opener's. */
(() => {
  "use strict";

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-close-window]");
    if (!button) return;
    const page = window.opener || window.parent;
    for (const origin of button.dataset.closeWindow.split(" ")) {
      page.postMessage({ subject: "org.imsglobal.lti.close" }, origin);
    }
  });
})();
