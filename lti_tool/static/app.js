/* What the pages do on top of working without this file: the record opens beside the matrix, filters act at once,
   running work is followed, addresses are copied, files are dropped, the frame is told its height. */
(() => {
  "use strict";

  const root = document.documentElement;
  const main = () => document.getElementById("main");
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const voice = one("#say");
  const say = (words) => { if (voice && words) voice.textContent = words; };
  const told = (key) => (voice ? voice.dataset[key] || "" : "");
  root.classList.add("js");

  /* -- what is typed stands in the preview too --------------------------------------------------------------- */

  document.addEventListener("input", (event) => {
    const place = event.target.matches("[data-mirrored]") ? document.getElementById("pv-words") : null;
    if (place) place.textContent = event.target.value.trim();
  });

  /* -- the frame: the page grows, the LMS scrolls ------------------------------------------------------------ */

  if (window.parent !== window && document.body.classList.contains("in-course")) {
    /* Of the origins that may frame the page, the one that does; Firefox names none, so each is told. A page outside
       any session knows no origin, and its height is no secret. */
    const known = (document.body.dataset.parents || "").split(" ").filter(Boolean);
    const above = window.location.ancestorOrigins ? window.location.ancestorOrigins[0] : "";
    const targets = known.includes(above) ? [above] : known.length ? known : ["*"];
    let last = 0;
    const tell = () => {
      const height = Math.ceil(document.body.getBoundingClientRect().height) + 2;
      if (Math.abs(height - last) < 3) return;
      last = height;
      for (const target of targets) window.parent.postMessage({ subject: "lti.frameResize", height }, target);
    };
    new ResizeObserver(tell).observe(document.body);
    window.addEventListener("load", tell);
    tell();
  }

  /* -- the decision record ----------------------------------------------------------------------------------- */

  let opener = null;

  function mark(cell, open) {
    cell.setAttribute("aria-expanded", String(open));
    cell.closest("tr").classList.toggle("on", open);
  }

  function closeRecord(back = true) {
    const record = one("#board #record");
    if (!record) { opener = null; return; }
    const inside = record.contains(document.activeElement);
    record.remove();
    one("#board").classList.remove("open");
    if (opener) {
      mark(opener, false);
      if (back && (inside || document.activeElement === document.body)) opener.focus();
    }
    opener = null;
  }

  /* In a frame as tall as its page nothing is sticky: the record is put level with its row. */
  function besideItsRow(cell, record, board) {
    const room = board.firstElementChild.offsetHeight - record.offsetHeight;
    const wanted = cell.getBoundingClientRect().top - board.getBoundingClientRect().top - 120;
    record.style.marginTop = `${Math.max(0, Math.min(wanted, room))}px`;
  }

  async function openRecord(cell, move = true) {
    const address = cell.formAction;
    cell.setAttribute("aria-busy", "true");
    let record = null;
    try {
      const answer = await fetch(address, { headers: { "X-Fragment": "record" } });
      if (answer.ok) record = one(".record", new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the page itself says what is wrong */ }
    cell.removeAttribute("aria-busy");
    if (!record) { window.location.assign(address); return; }
    if (!cell.isConnected) { // the page was brought up to date meanwhile: the same cell is there again
      const same = one(`[data-cell="${CSS.escape(cell.dataset.cell)}"]`);
      if (same) openRecord(same, move);
      return;
    }
    closeRecord(false);
    const board = one("#board");
    board.append(document.adoptNode(record));
    board.classList.add("open");
    opener = cell;
    mark(cell, true);
    const beside = window.matchMedia("(min-width: 980px)").matches;
    if (beside && root.scrollHeight <= window.innerHeight + 4) besideItsRow(cell, one("#record"), board);
    if (move) one("#record").focus({ preventScroll: beside });
  }

  function prepareCells() {
    for (const cell of all(".cell[form=open-record]")) {
      cell.setAttribute("aria-expanded", "false");
      cell.setAttribute("aria-controls", "record");
    }
  }

  document.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell[form=open-record]");
    if (cell) {
      event.preventDefault();
      if (cell === opener) closeRecord(); else openRecord(cell);
      return;
    }
    if (event.target.closest("#board [data-close]")) { event.preventDefault(); closeRecord(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && one("#board #record")) { event.preventDefault(); closeRecord(); }
  });

  /* -- filter, search, sort: the server looks through the whole class, and sends the page of it that fits ---------- */

  let asked = 0;
  let typing = 0;

  /* A learner is found without her accents: "zoe" finds Zoë. */
  const plainly = (words) => words.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");

  async function arrange(page = "", aloud = true) {
    const form = one("#filters");
    if (!form) return;
    const ticket = (asked += 1);
    const { q, ...chosen } = Object.fromEntries(new FormData(form));
    const here = new URL(window.location.href);
    for (const name of ["q", "page"]) here.searchParams.delete(name); // a learner's name does not belong in an address
    for (const [name, value] of Object.entries({ ...chosen, page })) {
      if (value) here.searchParams.set(name, value); else here.searchParams.delete(name);
    }
    let fresh = null;
    try {
      const answer = await fetch(here, { headers: { "X-Find": encodeURIComponent(q) } });
      if (answer.ok) fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch { say(told("lost")); return; }
    if (ticket !== asked) return;
    const next = fresh && one("#learners", fresh);
    if (!next) { window.location.assign(here); return; }
    const open = opener ? opener.dataset.cell : "";
    const inside = one("#learners").contains(document.activeElement) && !(opener && opener === document.activeElement);
    one("#learners").replaceWith(document.adoptNode(next));
    for (const count of all("[data-count]", fresh)) one(`[data-count="${count.dataset.count}"]`).textContent = count.textContent;
    prepareCells();
    if (open) {
      opener = one(`[data-cell="${CSS.escape(open)}"]`);
      if (opener) mark(opener, true); else closeRecord(false);
    }
    window.history.replaceState(null, "", here);
    if (inside) { one("#learners").tabIndex = -1; one("#learners").focus({ preventScroll: !page }); }
    if (aloud) say(one("#shown").textContent.trim());
  }

  document.addEventListener("input", (event) => {
    if (!event.target.closest("#filters")) return;
    clearTimeout(typing);
    if (event.target.type === "search") typing = setTimeout(() => arrange(), 250); else arrange();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "filters") return;
    event.preventDefault();
    clearTimeout(typing);
    arrange(event.submitter && event.submitter.name === "page" ? event.submitter.value : "");
  });

  /* -- following what runs, and taking in what changed --------------------------------------------------------- */

  const ENDED = ["done", "failed", "cancelled", "error"];
  const LONGEST_FOLLOWED = 10 * 60 * 1000; // ms: a page left open does not ask for ever
  let following = 0;

  function takeIn(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const next = one("#main", fresh);
    if (!next) { window.location.reload(); return; }
    const focus = document.activeElement;
    const wasInside = main().contains(focus) || focus === document.body;
    const key = focus && (focus.id ? `#${CSS.escape(focus.id)}` : focus.dataset.cell ? `[data-cell="${CSS.escape(focus.dataset.cell)}"]` : "");
    const form = one("#filters");
    const chosen = form ? Object.fromEntries(new FormData(form)) : null;
    const open = opener ? opener.dataset.cell : "";
    opener = null;
    main().replaceWith(document.adoptNode(next));
    for (const part of [".bar .tabs", ".bar > .push"]) {
      const [old, now] = [one(part), one(part, fresh)];
      if (old && now && old.outerHTML !== now.outerHTML) old.replaceWith(document.adoptNode(now));
    }
    if (fresh.title) document.title = fresh.title;
    const again = one("#filters");
    let stale = false; // the rows came for what was chosen when they were asked for
    if (again && chosen) {
      const { q, ...there } = Object.fromEntries(new FormData(again));
      stale = Boolean(chosen.q) || Object.entries(there).some(([name, value]) => (chosen[name] || "") !== value);
      for (const field of again.elements) {
        if (field.type === "radio") field.checked = field.value === chosen.show;
        else if (field.name in chosen) field.value = chosen[field.name];
      }
      if (stale) arrange(new URL(window.location.href).searchParams.get("page") || "", false);
    }
    arrive();
    if (open) {
      const cell = one(`[data-cell="${CSS.escape(open)}"]`);
      if (cell) openRecord(cell, false);
    }
    const target = key && one(key);
    if (target) target.focus({ preventScroll: true });
    else if (wasInside && focus !== document.body) {
      const heading = one("h1", main());
      if (heading) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
    }
  }

  /* A part that is swapped between pressing and letting go would swallow the click. */
  let pressing = false;
  document.addEventListener("pointerdown", () => { pressing = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(() => { pressing = false; }, 300), true);
  const letGo = async () => { while (pressing) await new Promise((go) => setTimeout(go, 50)); };

  async function refresh() {
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) { window.location.reload(); return; }
    const html = await answer.text();
    await letGo();
    takeIn(html);
  }

  function follow(place) {
    const ticket = (following += 1);
    let lost = 0;
    let wait = 800;
    const began = Date.now();
    const line = one("[data-line]", place);
    const list = one("[data-lines]", place);
    const look = async () => {
      if (ticket !== following) return;
      try {
        if (!place.dataset.job) {
          await refresh();
          if (!one("[data-again]")) say(told("end"));
          return;
        }
        const answer = await fetch(place.dataset.job, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(answer.status);
        const job = await answer.json();
        lost = 0;
        if (ticket !== following) return;
        const steps = job.progress || [];
        if (line && steps.length) line.textContent = steps[steps.length - 1];
        if (list && steps.length) list.replaceChildren(...steps.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
        if (job.reload || ENDED.includes(job.state)) {
          await refresh();
          say(job.problem || told("end"));
          return;
        }
      } catch {
        lost += 1;
        if (lost > 4) { say(told("lost")); if (line) line.textContent = told("lost"); return; }
      }
      if (Date.now() - began > LONGEST_FOLLOWED) { say(told("lost")); if (line) line.textContent = told("lost"); return; }
      wait = Math.min(wait * 1.15, 4000);
      setTimeout(look, wait);
    };
    setTimeout(look, place.dataset.job ? wait : 4000);
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-swap]")) return;
    event.preventDefault();
    const button = event.submitter || one("button", form);
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    button.classList.add("busy");
    if (one("#sync-now") === button) say(told("start"));
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const there = new URL(answer.url);
      if (answer.ok && answer.redirected && there.pathname !== window.location.pathname) window.location.assign(answer.url);
      else takeIn(await answer.text());
    } catch {
      button.removeAttribute("aria-disabled");
      button.classList.remove("busy");
      say(told("lost"));
    }
  });

  /* -- small things -------------------------------------------------------------------------------------------- */

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* a frame may not have the permission */ }
    const field = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }

  document.addEventListener("click", async (event) => {
    if (event.target.closest("[data-print]")) { window.print(); return; }
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    if (!(await copy(button.dataset.copy))) return;
    button.focus();
    const word = one("[data-word]", button);
    const before = word.textContent;
    if (before !== told("copiedWord")) {
      word.textContent = told("copiedWord");
      setTimeout(() => { word.textContent = before; }, 4000);
    }
    say(told("copied"));
  });

  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const place = event.target.closest && event.target.closest("[data-drop]");
      all("[data-drop].over").forEach((each) => { if (each !== place || kind !== "dragover") each.classList.remove("over"); });
      if (!place) return;
      event.preventDefault();
      if (kind === "dragover") place.classList.add("over");
      if (kind === "drop" && event.dataTransfer.files.length) {
        const field = one("input[type=file]", place);
        field.files = event.dataTransfer.files;
        field.focus();
      }
    });
  }

  /* -- the picker: how many are chosen, and which badges a word finds ------------------------------------------ */

  function countChosen() {
    const form = one("#picker");
    const line = form && one("[data-count]", form);
    if (!line) return;
    const chosen = all("input[name=item]:checked", form).length;
    line.textContent = chosen === 0 ? line.dataset.none : chosen === 1 ? line.dataset.one : line.dataset.many.replace("{n}", chosen);
  }

  function findBadges() {
    const field = one("#find-badge");
    if (!field) return;
    const wanted = plainly(field.value.trim());
    let found = 0;
    for (const card of all("[data-find]")) {
      const chosen = one("input[name=item]:checked", card);
      card.hidden = !chosen && !plainly(card.dataset.find).includes(wanted);
      if (!card.hidden) found += 1;
    }
    one("#none-found").hidden = found > 0;
  }

  document.addEventListener("change", (event) => { if (event.target.closest("#picker")) countChosen(); });
  document.addEventListener("input", (event) => { if (event.target.id === "find-badge") findBadges(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "find-badge" && event.key === "Enter") event.preventDefault();
  });

  /* -- a day and a time, in the browser's own zone; what is sent is RFC 3339 -------------------------------------- */

  const RFC3339 = (when) => when.toISOString().replace(/\.\d+Z$/, "Z");

  function moment(field) {
    const local = field.cloneNode();
    for (const name of ["name", "placeholder", "data-moment"]) local.removeAttribute(name);
    local.classList.remove("mono");
    local.type = "datetime-local";
    field.id = `${field.id}-kept`;
    field.type = "hidden";
    field.before(local);
    const show = () => {
      const kept = new Date(field.value);
      const known = field.value && !Number.isNaN(kept.valueOf());
      local.value = known ? new Date(kept.valueOf() - kept.getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "";
    };
    show();
    field.addEventListener("put", show);
    local.addEventListener("input", () => {
      const chosen = new Date(local.value);
      field.value = local.value && !Number.isNaN(chosen.valueOf()) ? RFC3339(chosen) : "";
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    const zone = one("[data-zone]", field.parentElement);
    zone.textContent = zone.dataset.zone.replace("{zone}", Intl.DateTimeFormat().resolvedOptions().timeZone);
  }
  const moments = () => all("[data-moment]:not([type=hidden])").forEach(moment);
  document.addEventListener("arrived", moments); // another script has put something new in place

  /* -- a form that brings something back to the LMS; without this there is its button --------------------------- */

  const sending = one("form[data-send]");
  if (sending) sending.submit();

  /* -- a page that waits for an answer given in another window; without this there is its button ------------------ */

  function wait(place) {
    setTimeout(async () => {
      try {
        const answer = await fetch(place.dataset.wait);
        if (answer.status === 404 || (answer.ok && (await answer.json()).answered)) { window.location.reload(); return; }
      } catch { /* the next look may reach it */ }
      wait(place);
    }, 3000);
  }
  const waiting = one("[data-wait]");
  if (waiting) wait(waiting);

  /* -- on arrival, and after every swap -------------------------------------------------------------------------- */

  /* Where tabs scroll sideways, the open one is not left outside. */
  function showTab() {
    const tab = one(".tabs [aria-current]");
    const tabs = tab && tab.closest(".tabs");
    if (!tabs || tabs.scrollWidth <= tabs.clientWidth) return;
    tabs.scrollLeft += tab.getBoundingClientRect().left - tabs.getBoundingClientRect().left - (tabs.clientWidth - tab.offsetWidth) / 2;
  }

  function arrive() {
    showTab();
    prepareCells();
    countChosen();
    findBadges();
    moments();
    const running = one("[data-job]") || one("[data-again]");
    following += 1;
    if (running) follow(running);
  }

  arrive();
})();
