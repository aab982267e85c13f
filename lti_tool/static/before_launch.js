/* What the pages before a launch do where a browser sends no cookie: put the browser's secret into the platform's
   storage, get it back, and otherwise show what the page offers without this file.
   https://www.imsglobal.org/spec/lti-pm-s/v0p1 and https://www.imsglobal.org/spec/lti-cs-oidc/v0p1 */
(() => {
  "use strict";

  const told = document.currentScript.dataset; // act, frame, origin, key, value, next: nothing without a storage
  const EVERY = 400; // the frame may still be loading, and then hears nothing
  const ENOUGH = 4000; // then the other way is offered: Canvas' mobile apps never answer
  const LONGEST = 20000; // a slow page may still answer, while the offer stands
  let stop = () => {};

  const trying = (is) => document.documentElement.classList.toggle("trying", is);

  function storageFrame() {
    try {
      if (window.parent === window) return null;
      return told.frame === "_parent" ? window.parent : window.parent.frames[told.frame] || null;
    } catch { return null; }
  }

  /* Ask until there is an answer. It counts only from the platform's origin, about the asked subject and key, and with
     the id of one of the questions: any window may send us messages. Never to "*": the value is a secret. */
  function ask(subject, more) {
    const asked = new Set();
    return new Promise((resolve, reject) => {
      let timer = 0;
      const end = (act, value) => {
        clearInterval(timer);
        clearTimeout(offer);
        clearTimeout(late);
        window.removeEventListener("message", hear);
        act(value);
      };
      const hear = (event) => {
        const answer = event.data;
        if (event.origin !== told.origin || !answer || typeof answer !== "object") return;
        if (answer.subject !== `${subject}.response` || !asked.has(answer.message_id)) return;
        if (answer.error || answer.key !== told.key) end(reject, new Error("refused"));
        else end(resolve, answer.value);
      };
      const send = () => {
        const frame = storageFrame();
        if (!frame) return;
        const message_id = crypto.randomUUID();
        asked.add(message_id);
        try {
          frame.postMessage({ subject, message_id, key: told.key, ...more }, told.origin);
        } catch { /* the name it was given is no frame's */ }
      };
      const offer = setTimeout(() => trying(false), ENOUGH);
      const late = setTimeout(() => end(reject, new Error("no answer")), LONGEST);
      stop = () => end(reject, new Error("another way was chosen"));
      window.addEventListener("message", hear);
      timer = setInterval(send, EVERY);
      send();
    });
  }

  async function put() {
    const kept = await ask("lti.put_data", { value: told.value });
    if (kept !== told.value) throw new Error("not kept");
    window.location.replace(told.next);
  }

  async function get() {
    const value = await ask("lti.get_data", {});
    if (!value || typeof value !== "string") throw new Error("nothing kept");
    storageFrame().postMessage({ subject: "lti.put_data", message_id: crypto.randomUUID(), key: told.key }, told.origin);
    const form = document.getElementById("launch");
    form.elements.browser_secret.value = value;
    form.submit();
  }

  if (told.act) {
    trying(true);
    const act = told.act === "put" ? put : get;
    document.addEventListener("DOMContentLoaded", () => act().catch(() => trying(false)));
  }

  /* The platform answers this launch once: after that the link would only lead to its error page. */
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-opens]")) return;
    stop();
    const after = document.querySelector("[data-after-opening]");
    document.querySelector("[data-before-opening]").hidden = true;
    after.hidden = false;
    after.focus();
  });
})();
