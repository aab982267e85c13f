/* A file on its way: too large is said before anything is sent, how far it has come is shown, and what was typed and
   chosen stays where it is when the tool refuses it. Without this file the form is sent as any other. */
(() => {
  "use strict";

  const form = document.querySelector(".evform");
  const file = form && form.elements.namedItem("file");
  if (!file) return;
  const bar = form.querySelector(".evsend");
  const progress = bar.querySelector("progress");
  const said = bar.querySelector("[role=status]");
  const buttons = [...form.querySelectorAll("button")];
  const most = Number(form.dataset.most);

  const wanted = () => form.elements.namedItem("kind").value === "file" && file.files.length > 0;

  function tell(words, from) {
    const old = form.querySelector("[data-told]");
    if (old) old.remove();
    if (!words && !from) return;
    const note = document.createElement("p");
    note.className = "note bad";
    note.dataset.told = "yes";
    note.setAttribute("role", "alert");
    note.textContent = from ? from.textContent.trim().replace(/\s+/g, " ") : words;
    bar.before(note);
    note.scrollIntoView({ block: "nearest" });
  }

  function rest(sending) {
    bar.hidden = !sending;
    for (const button of buttons) button.disabled = sending;
    said.textContent = sending ? form.dataset.sending : "";
  }

  file.addEventListener("change", () => {
    tell(wanted() && file.files[0].size > most ? form.dataset.tooLarge : "");
  });

  form.addEventListener("submit", (event) => {
    if (!wanted()) return;
    event.preventDefault();
    if (file.files[0].size > most) { tell(form.dataset.tooLarge); return; }
    tell("");
    const sent = new FormData(form);
    if (event.submitter) sent.set("act", event.submitter.value);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "document";
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) progress.value = Math.round((100 * step.loaded) / step.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 200) { window.location.assign(request.responseURL); return; }
      rest(false);
      const answer = request.responseXML;
      const problem = answer && (answer.querySelector("main [role=alert]") || answer.querySelector("main"));
      tell(form.dataset.lost, problem);
    });
    request.addEventListener("error", () => { rest(false); tell(form.dataset.lost); });
    progress.value = 0;
    rest(true);
    request.send(sent);
  });
})();
