/* A form with words in it is sent from where it stands: what was typed and chosen stays there where it is not taken.
   Where the page has ended, the words are kept in this tab until the same person opens the same form again. Of a file,
   it is said before anything is sent that it is too large, and how far it has come. Without this file the form is sent
   as any other. Every word that is said comes from the page. */
(() => {
  "use strict";

  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const theForm = () => one("form[data-keep]");

  function tell(form, words, kind = "bad") {
    for (const old of all("[data-told]", form)) old.remove();
    if (!words) return;
    const note = document.createElement("p");
    note.className = `note ${kind}`;
    note.dataset.told = "yes";
    note.setAttribute("role", kind === "bad" ? "alert" : "status");
    note.textContent = words;
    (one(".evsend", form) || all(".row-x", form).pop()).before(note);
    note.scrollIntoView({ block: "nearest" });
  }

  function rest(form, sending) {
    for (const button of all("button", form)) button.disabled = sending;
    const bar = one(".evsend", form);
    if (!bar || (sending && !chosenFile(form))) return;
    bar.hidden = !sending;
    one("[role=status]", bar).textContent = sending ? form.dataset.sending : "";
    if (sending) one("progress", bar).value = 0;
  }

  /* -- files ---------------------------------------------------------------------------------------------------- */

  function chosenFile(form) {
    const [file, kind] = ["file", "kind"].map((name) => form.elements.namedItem(name));
    return file && kind.value === "file" ? file.files[0] || null : null;
  }
  const tooLarge = (form) => { const file = chosenFile(form); return file !== null && file.size > Number(form.dataset.most); };

  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form && form === theForm() && event.target.type === "file") tell(form, tooLarge(form) ? form.dataset.tooLarge : "");
  });

  /* -- what was typed when the page had ended ---------------------------------------------------------------------- */

  const typedIn = (form) => [...form.elements].filter((field) => field.name && !["hidden", "file", "submit"].includes(field.type));
  const ticked = (field) => ["radio", "checkbox"].includes(field.type);

  /* A browser that blocks other sites' storage gives none inside the LMS's frame. */
  function keep(form) {
    const kept = typedIn(form).map((field) => [field.name, field.value, ticked(field) ? field.checked : true]);
    try { window.sessionStorage.setItem(form.dataset.keep, JSON.stringify(kept)); return true; } catch { return false; }
  }

  function putBack(form) {
    let kept = null;
    try {
      kept = JSON.parse(window.sessionStorage.getItem(form.dataset.keep) || "null");
      window.sessionStorage.removeItem(form.dataset.keep);
    } catch { /* nothing is kept here */ }
    if (!kept) return;
    for (const field of typedIn(form)) {
      const mine = kept.find(([name, value]) => name === field.name && (!ticked(field) || value === field.value));
      if (!mine) continue;
      if (ticked(field)) [, , field.checked] = mine; else [, field.value] = mine;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    tell(form, form.dataset.back, "ok");
  }

  /* -- sending ------------------------------------------------------------------------------------------------------ */

  const said = (element) => (element ? element.textContent.trim().replace(/\s+/g, " ") : "");

  function refused(form, status, answer) {
    const again = answer && one("form[data-keep]", answer);
    if (again && !chosenFile(form)) { // the form comes back with what was typed in it, and with what is new since
      one("#main").replaceWith(document.adoptNode(one("#main", answer)));
      document.dispatchEvent(new Event("arrived"));
      const problem = one("#main [role=alert]");
      if (problem) { problem.tabIndex = -1; problem.focus(); }
      return;
    }
    const why = again ? said(one("main [role=alert]", answer)) : answer && `${said(one("main h1", answer))} ${said(one("main .lead", answer))}`;
    const kept = status === 401 ? ` ${keep(form) ? form.dataset.kept : form.dataset.unkept}` : "";
    tell(form, why ? why.trim() + kept : form.dataset.lost);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form !== theForm()) return;
    event.preventDefault();
    if (tooLarge(form)) { tell(form, form.dataset.tooLarge); return; }
    tell(form, "");
    for (const old of all("#main .note[role=alert]")) old.remove(); // of the attempt before
    const sent = new FormData(form);
    if (event.submitter && event.submitter.name) sent.set(event.submitter.name, event.submitter.value);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "document";
    request.upload.addEventListener("progress", (step) => {
      const progress = one(".evsend progress", form);
      if (progress && step.lengthComputable) progress.value = Math.round((100 * step.loaded) / step.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 200 || request.responseURL !== form.action) { window.location.assign(request.responseURL); return; }
      rest(form, false);
      refused(form, request.status, request.responseXML);
    });
    request.addEventListener("error", () => { rest(form, false); tell(form, form.dataset.lost); });
    rest(form, true);
    request.send(sent);
  });

  window.addEventListener("pageshow", (event) => { if (event.persisted && theForm()) rest(theForm(), false); });
  if (theForm()) putBack(theForm());
})();
