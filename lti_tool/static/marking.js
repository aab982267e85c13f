/* Marking by keyboard, saved as it is made. Without this file the page is a form with "Save and next".

   What was typed and not stored yet is kept in this tab: a dropped connection sends it later, an ended session puts it
   in again when the learner's page is opened anew. Every word that is said comes from the page. */
(() => {
  "use strict";

  const form = document.getElementById("marking");
  if (!form) return;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const rows = all("[data-row]", form);
  const note = document.getElementById("marking-note");
  const mayMark = note !== null;

  const phone = window.matchMedia("(max-width: 767px)").matches;
  const evidence = one(".evid details");
  if (phone && evidence && !one(".attach[open]", evidence)) evidence.open = false;

  /* -- the state of each row ----------------------------------------------------------------------------------- */

  const dirty = new Map(); // index → counter of its changes
  const sending = new Set();
  let changes = 0;
  let retry = 0;
  let pause = 1000;
  let ended = false;

  const indexOf = (element) => { const row = element && element.closest("[data-row]"); return row ? row.dataset.row : ""; };
  const rowOf = (index) => rows.find((row) => row.dataset.row === index);
  const field = (name, index) => form.elements.namedItem(`${name}-${index}`);
  const radios = (row) => all("input[type=radio]", row);
  const chosen = (row) => radios(row).find((radio) => radio.checked);

  function tell(key) {
    if (!note) return;
    note.hidden = !key;
    one("div", note).textContent = key ? note.dataset[key] : "";
  }

  /* -- what was typed stays in this tab until it is stored -------------------------------------------------------- */

  /* A browser that blocks other sites' storage gives none inside the LMS's frame. */
  const store = (() => {
    try { window.sessionStorage.setItem("marking", "1"); window.sessionStorage.removeItem("marking"); return window.sessionStorage; } catch { return null; }
  })();
  const over = () => (store ? "ended" : "endedUnkept");

  function keep() {
    if (!store) return;
    const kept = {};
    for (const index of dirty.keys()) {
      const level = chosen(rowOf(index));
      kept[field("tag", index).value] = {
        level: level ? level.value : "", comment: field("comment", index).value,
        revision: field("revision", index).value, was: field("was", index).value,
      };
    }
    try {
      if (dirty.size) store.setItem(form.dataset.keep, JSON.stringify(kept)); else store.removeItem(form.dataset.keep);
    } catch { /* full or forbidden: the page itself still has it */ }
  }

  function putBack() {
    let kept = null;
    try { kept = JSON.parse((store && store.getItem(form.dataset.keep)) || "null"); } catch { /* not ours */ }
    if (!kept) return;
    for (const row of rows) {
      const index = row.dataset.row;
      const mine = kept[field("tag", index).value];
      if (!mine) continue;
      for (const radio of radios(row)) radio.checked = radio.value === mine.level;
      field("comment", index).value = mine.comment;
      field("revision", index).value = mine.revision;
      field("was", index).value = mine.was;
      touch(index, 0);
    }
    if (dirty.size) tell("back");
  }

  /* -- saving ------------------------------------------------------------------------------------------------------ */

  const timers = new Map();

  function touch(index, wait) {
    changes += 1;
    dirty.set(index, changes);
    keep();
    clearTimeout(timers.get(index));
    timers.set(index, setTimeout(() => save(index), wait));
  }

  function body(index, act = "stay") {
    const sent = new URLSearchParams();
    for (const name of ["csrf", "version", "show"]) sent.set(name, form.elements.namedItem(name).value);
    for (const name of ["tag", "level", "comment", "revision", "was"]) {
      const from = field(name, index);
      if (from && from.value !== "") sent.set(`${name}-${index}`, from.value);
    }
    sent.set("act", act);
    return sent;
  }

  async function ask(sent) {
    const answer = await fetch(form.action, { method: "POST", body: sent, headers: { "X-Fragment": "marking" } });
    if (answer.status === 401) { ended = true; throw new Error("ended"); }
    if (![200, 400, 409].includes(answer.status)) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fragment = one("[data-fragment]", fresh);
    if (!fragment) throw new Error("no fragment");
    return { ok: answer.ok, fragment };
  }

  /* One after the other: an answer then never tells less than the one before it. */
  let line = Promise.resolve();
  const queued = new Set();
  function save(index) {
    clearTimeout(timers.get(index));
    if (queued.has(index)) return;
    queued.add(index);
    line = line.then(() => { queued.delete(index); return send(index); });
  }

  /* A row that somebody else has changed, or that cannot be stored, is told and stays as it was typed. */
  let refused = false;
  async function send(index) {
    if (!dirty.has(index)) return;
    const at = dirty.get(index);
    sending.add(index);
    try {
      const { ok, fragment } = await ask(body(index));
      pause = 1000;
      const overtaken = one(`#state-${CSS.escape(index)}[data-overtaken]`, fragment);
      const problem = one("[data-problem]", fragment);
      refused = Boolean(problem);
      if (problem) { say(problem.textContent); return; }
      if (dirty.get(index) === at) dirty.delete(index);
      takeIn(fragment, index, Boolean(overtaken));
      if (ok && !dirty.size) tell("");
      keep();
      if (dirty.has(index)) save(index);
    } catch {
      tell(ended ? over() : "lost");
      if (!ended) { clearTimeout(retry); retry = setTimeout(sendAgain, pause); pause = Math.min(pause * 2, 15000); }
    } finally {
      sending.delete(index);
    }
  }

  function say(words) { note.hidden = false; one("div", note).textContent = words; }
  function sendAgain() { for (const index of dirty.keys()) save(index); }
  window.addEventListener("online", () => { pause = 1000; sendAgain(); });

  /* Send what is left, a few times where the tool is busy, and tell whether all of it is stored. */
  async function flush() {
    const overtaken = () => one("[data-overtaken]", form);
    for (let tries = 0; tries < 4; tries += 1) {
      if (tries) await new Promise((go) => setTimeout(go, 500 * tries));
      sendAgain();
      for (let last = null; last !== line;) { last = line; await last; }
      if (!dirty.size || ended || refused || overtaken()) break;
    }
    return !dirty.size && !overtaken();
  }

  window.addEventListener("beforeunload", (event) => { if (dirty.size && !ended) event.preventDefault(); });
  window.addEventListener("pagehide", () => {
    for (const index of dirty.keys()) if (!ended) navigator.sendBeacon(form.action, body(index));
  });

  /* -- taking in how everything stands ------------------------------------------------------------------------------ */

  function swap(id, fragment) {
    const [old, fresh] = [document.getElementById(id), one(`#${CSS.escape(id)}`, fragment)];
    if (!old || !fresh || old.outerHTML === fresh.outerHTML) return;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(document.adoptNode(fresh));
    if (!focused) return;
    const again = document.getElementById(focused);
    if (again) again.focus();
    else if (rowOf(indexOf(fresh))) focusRow(rowOf(indexOf(fresh)));
  }

  /* A row that was changed elsewhere, and not here, takes over what it says now: nothing is replaced unseen. */
  function takeIn(fragment, own = "", overtaken = false) {
    for (const row of rows) {
      const index = row.dataset.row;
      const [old, fresh] = [document.getElementById(`state-${index}`), one(`#state-${CSS.escape(index)}`, fragment)];
      if (!fresh) continue;
      if (index === own) {
        if (dirty.has(index) && !overtaken) { // typed on meanwhile: the next save names the revision that is there now
          for (const name of ["revision", "was"]) field(name, index).value = one(`[name=${name}-${index}]`, fresh).value;
          continue;
        }
      } else {
        if (dirty.has(index) || sending.has(index) || old.hasAttribute("data-overtaken")) continue;
        if (old.dataset.revision !== fresh.dataset.revision) adopt(index, fresh.dataset);
      }
      swap(`state-${index}`, fragment);
      swap(`reach-${index}`, fragment);
    }
    for (const id of ["state-total", "marking-chip", "marking-sum"]) swap(id, fragment);
    if (fragment.hasAttribute("data-open")) follow();
  }

  function adopt(index, values) {
    for (const radio of radios(rowOf(index))) radio.checked = radio.value === values.level;
    field("comment", index).value = values.comment;
  }

  let following = 0;
  let wait = 700;
  function follow() {
    clearTimeout(following);
    following = setTimeout(async () => {
      wait = Math.min(wait * 1.3, 5000);
      try {
        const answer = await fetch(form.dataset.state, { headers: { "X-Fragment": "marking" } });
        if (!answer.ok) return;
        const fragment = one("[data-fragment]", new DOMParser().parseFromString(await answer.text(), "text/html"));
        if (fragment) takeIn(fragment);
      } catch { follow(); }
    }, wait);
  }

  /* -- what is pressed ----------------------------------------------------------------------------------------------- */

  form.addEventListener("change", (event) => {
    const index = indexOf(event.target);
    if (!index) return;
    wait = 700;
    touch(index, 0);
  });
  form.addEventListener("input", (event) => {
    if (event.target.matches("textarea") && indexOf(event.target)) touch(indexOf(event.target), 1500);
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    const act = button ? button.value : "stay";
    if (act === "next") { goOn(one("[data-next]", form).dataset.next); return; }
    const index = button ? indexOf(button) : "";
    const name = act.split(":")[0];
    if (name === "theirs") {
      const state = document.getElementById(`state-${index}`);
      dirty.delete(index);
      adopt(index, state.dataset);
      state.removeAttribute("data-overtaken");
      document.getElementById(`over-${index}`).remove();
      keep();
      focusRow(rowOf(index));
      return;
    }
    if (button && button.dataset.mine !== undefined) {
      document.getElementById(`state-${index}`).removeAttribute("data-overtaken");
      touch(index, 0);
      focusRow(rowOf(index));
      return;
    }
    if (!(await flush())) { stay(); return; }
    try {
      const sent = new URLSearchParams(new FormData(form, button));
      const { fragment } = await ask(sent);
      const problem = one("[data-problem]", fragment);
      if (problem) say(problem.textContent);
      if (name === "clear") for (const radio of radios(rowOf(index))) radio.checked = false;
      wait = 700;
      takeIn(fragment, index);
    } catch { tell(ended ? over() : "lost"); }
  });

  for (const link of all("[data-previous]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); goOn(link.href); });
  }

  async function goOn(address) {
    if (await flush()) window.location.assign(address); else stay();
  }

  function stay() {
    if (note.hidden) tell("first");
    const told = one("[data-overtaken]", form);
    if (told) one("button", told).focus();
  }

  let current = null;
  form.addEventListener("focusin", (event) => { current = event.target.closest("[data-row]") || current; });

  function focusRow(row) {
    if (!row) return;
    const radio = chosen(row) || radios(row)[0];
    current = row;
    radio.focus();
    radio.closest("[data-row]").scrollIntoView({ block: "nearest" });
  }

  const unmarked = () => rows.find((row) => !chosen(row)) || rows[0];

  document.addEventListener("keydown", (event) => {
    if (!mayMark || event.altKey || event.metaKey || event.isComposing) return;
    const at = event.target;
    const writes = at.matches("textarea, select, input:not([type=radio])");
    if (event.key === "Enter" && event.ctrlKey && at.matches("textarea") && form.contains(at)) {
      event.preventDefault();
      goOn(one("[data-next]", form).dataset.next);
      return;
    }
    if (event.ctrlKey || writes) return;
    if (/^[1-9]$/.test(event.key)) {
      const row = current || unmarked();
      const radio = radios(row)[Number(event.key) - 1];
      if (!radio) return;
      event.preventDefault();
      focusRow(row);
      radio.focus();
      if (!radio.checked) { radio.checked = true; radio.dispatchEvent(new Event("change", { bubbles: true })); }
      return;
    }
    if (event.key === "Enter" && (at === document.body || (form.contains(at) && at.matches("input[type=radio]")))) {
      event.preventDefault();
      goOn(one("[data-next]", form).dataset.next);
      return;
    }
    if ((event.key === "ArrowUp" || event.key === "ArrowDown") && at.matches("input[type=radio]") && form.contains(at)) {
      event.preventDefault(); // left and right change the level, as everywhere; up and down the row, marking nothing
      const next = rows[rows.indexOf(at.closest("[data-row]")) + (event.key === "ArrowDown" ? 1 : -1)];
      focusRow(next);
    }
  });

  /* -- on arrival ------------------------------------------------------------------------------------------------------ */

  if (mayMark) {
    putBack();
    /* Going to a fragment takes the focus to the document once it is loaded, so ours comes after that. */
    const begin = () => setTimeout(() => { if (document.activeElement === document.body) focusRow(current || unmarked()); }, 0);
    if (window.location.hash === "#rubric") { if (document.readyState === "complete") begin(); else window.addEventListener("load", begin); }
    if (form.hasAttribute("data-open")) follow();
  }
})();
