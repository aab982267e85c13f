/* The editor on top of working without this file: each field is saved as it is typed, what could not be sent is kept
   and sent again, acts change the page in place, rows are dragged, picture and criteria are seen at once. */
(() => {
  "use strict";

  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const form = () => one("#edit");
  if (!form()) return;
  const WAIT = 600; // milliseconds of quiet after a key before a save goes out
  const LONGEST_WAIT = 15000;
  const csrf = () => one("input[name=csrf]", form()).value;
  const store = `badge-draft ${form().dataset.badge} ${form().dataset.me}`;

  let revision = Number(form().dataset.revision);
  let kept = {}; // path → what the tool has, as far as this page knows
  let pending = {}; // path → [before, after], typed and not yet kept
  let clashes = [];
  let sending = null;
  let timer = 0;
  let pause = 1000;
  let ended = false;
  let leaving = false;
  let mayStore = true;
  const touched = new Set();

  /* -- fields and paths --------------------------------------------------------------------------------------- */

  const skipped = new Set(["csrf", "revision", "do", "go", "file"]);
  const fields = () => all("[name]", form()).filter((field) => !skipped.has(field.name) && field.tagName !== "BUTTON");
  const named = (path) => all(`[name="${CSS.escape(path)}"]`, form()).filter((field) => field.tagName !== "BUTTON");

  function valueOf(path) {
    const group = named(path);
    if (!group.length) return undefined;
    if (group[0].type === "hidden" && group.length > 1 || group.some((field) => field.type === "checkbox")) {
      return group.filter((field) => field.type === "checkbox" && field.checked).map((field) => field.value).join(" ");
    }
    if (group[0].type === "radio") return (group.find((field) => field.checked) || { value: "" }).value;
    return group[0].value;
  }

  function put(path, text) {
    for (const field of named(path)) {
      if (field.type === "radio") field.checked = field.value === text;
      else if (field.type === "checkbox") field.checked = text.split(" ").includes(field.value);
      else if ("moment" in field.dataset) { field.value = text; field.dispatchEvent(new Event("put")); }
      else if (field.type !== "hidden") field.value = text;
    }
    mirror(path, text);
  }

  function note() {
    kept = {};
    for (const field of fields()) if (!(field.name in kept)) kept[field.name] = valueOf(field.name);
  }

  /* -- what stands in several places -------------------------------------------------------------------------- */

  function mirror(path, text) {
    for (const place of all(`[data-mirror="${CSS.escape(path)}"]`)) place.textContent = text || place.dataset.empty || "";
    if (path === "name") for (const place of all("[data-title]")) place.textContent = text || place.dataset.was || place.textContent;
    if (path.endsWith(".kind")) { const box = named(path)[0].closest("[data-kind]"); if (box) box.dataset.kind = text; }
    if (path === "release") showWhen();
  }

  function status(words, kind = "") {
    const line = one("#saved");
    line.textContent = words;
    line.classList.toggle("off", kind === "off");
  }
  const told = (name) => one("#saved").dataset[name];
  const clock = (when) => new Date(when).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });

  function show(id, visible) { const box = one(`#${id}`); if (box) box.hidden = !visible; }

  /* -- kept in the browser until it is saved -------------------------------------------------------------------- */

  function remember() {
    try {
      if (Object.keys(pending).length) window.localStorage.setItem(store, JSON.stringify(pending));
      else window.localStorage.removeItem(store);
      mayStore = true;
    } catch { mayStore = false; }
  }

  function recall() {
    try { return JSON.parse(window.localStorage.getItem(store) || "{}"); } catch { return {}; }
  }

  /* -- saving ------------------------------------------------------------------------------------------------- */

  function typed(path) {
    const text = valueOf(path);
    if (text === undefined) return;
    touched.add(path);
    mirror(path, text);
    if (text === kept[path]) delete pending[path];
    else pending[path] = [kept[path] === undefined ? "" : kept[path], text];
    remember();
    if (ended) return;
    if (Object.keys(pending).length) {
      status(told("waiting"));
      clearTimeout(timer);
      timer = setTimeout(send, WAIT);
    }
  }

  /* One save at a time, in their order; returns whether everything typed so far is kept. */
  async function send(does = "") {
    clearTimeout(timer);
    if (sending) { await sending; return send(does); }
    if (ended) return null;
    if (!does && !Object.keys(pending).length) return {};
    const changes = { ...pending };
    let answer = null;
    sending = (async () => {
      status(told("saving"));
      try {
        const response = await fetch(form().dataset.save, {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-Csrf": csrf() },
          body: JSON.stringify({ revision, changes, do: does }),
        });
        const body = await response.json().catch(() => ({}));
        if (response.ok) { take(changes, body); answer = body; }
        else if (response.status === 401 || body.reason === "csrf" || body.reason === "not_permitted") end();
        else if (response.status >= 500 || response.status === 429) again(does);
        else refuse(body.error || "", does ? {} : changes);
      } catch { again(does); }
    })();
    await sending;
    sending = null;
    return answer;
  }

  function take(changes, body) {
    pause = 1000;
    revision = body.revision;
    const input = one("input[name=revision]", form());
    if (input) input.value = revision;
    const clashing = new Set(body.clashes.map((clash) => clash.path));
    for (const [path, [, text]] of Object.entries(changes)) {
      if (clashing.has(path)) continue;
      kept[path] = text;
      if (pending[path] && pending[path][1] === text) delete pending[path];
      else if (pending[path]) pending[path][0] = text;
    }
    show("refused", false);
    if (body.by && !body.clashes.length) { one("#others [data-who]").textContent = body.by; show("others", true); }
    if (body.clashes.length) clash(body);
    problems(body);
    for (const place of all("[data-sentence]")) place.textContent = body.sentence || place.dataset.empty;
    for (const place of all("[data-title]")) place.textContent = body.title;
    const slug = named("slug")[0];
    if (slug && slug !== document.activeElement && !pending.slug) { slug.value = body.slug; kept.slug = body.slug; }
    remember();
    if (Object.keys(pending).length) { status(told("waiting")); if (!body.clashes.length) timer = setTimeout(send, WAIT); }
    else status(told("saved").replace("{time}", clock(body.at)));
  }

  function again(does) {
    status(does ? told("awayAct") : told("away"), "off");
    clearTimeout(timer);
    if (!Object.keys(pending).length) return;
    timer = setTimeout(send, pause);
    pause = Math.min(pause * 2, LONGEST_WAIT);
  }
  window.addEventListener("online", () => { if (Object.keys(pending).length) { pause = 1000; send(); } });

  function end() {
    ended = true;
    remember();
    one("#ended [data-kept]").hidden = !mayStore;
    one("#ended [data-copy-it]").hidden = mayStore;
    show("ended", true);
    status(told("refused"), "off");
  }

  function refuse(sentence) {
    one("#refused [data-why]").textContent = sentence;
    show("refused", true);
    status(told("refused"), "off");
  }

  /* -- two people, one field ---------------------------------------------------------------------------------- */

  function clash(body) {
    clashes = body.clashes;
    const box = one("#clashes");
    const words = one("[data-says]", box).dataset;
    if (body.by) one("[data-who]", box).textContent = body.by;
    one("[data-list]", box).replaceChildren(...clashes.map(({ theirs, mine }) => Object.assign(document.createElement("li"), {
      textContent: (theirs === null ? words.gone : words.says).replace("{theirs}", () => theirs).replace("{mine}", () => mine),
    })));
    box.hidden = false;
  }

  function settle(mine) {
    for (const { path, theirs } of clashes) {
      if (theirs === null || !mine) {
        delete pending[path];
        if (theirs !== null) { put(path, theirs); kept[path] = theirs; }
      } else {
        kept[path] = theirs;
        pending[path] = [theirs, valueOf(path) === undefined ? pending[path][1] : valueOf(path)];
      }
    }
    clashes = [];
    show("clashes", false);
    remember();
    send();
  }

  /* -- what is missing ---------------------------------------------------------------------------------------- */

  function problems(body) {
    const checked = form().hasAttribute("data-check");
    for (const place of all("[data-problem]")) {
      const path = place.dataset.problem;
      const words = checked || touched.has(path) || path === "picture" ? body.problems[path] || "" : "";
      const span = one("span", place);
      if (span.textContent !== words) span.textContent = words;
      place.hidden = !words;
      for (const field of named(path)) {
        if (words) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
      }
    }
    for (const step of all("[data-step]")) {
      const count = body.left[step.dataset.step];
      const left = one("[data-left]", step);
      step.classList.toggle("done", !count);
      left.textContent = !count ? "" : count === 1 ? left.dataset.one : left.dataset.many.replace("{n}", count);
    }
  }

  /* -- acts: rows, levels and the like ------------------------------------------------------------------------ */

  let acting = false;

  async function act(does) {
    if (acting) return;
    acting = true;
    const from = document.activeElement;
    try {
      const answer = await send(does);
      if (answer && !(answer.clashes || []).length) await bring(answer.focus, from);
    } finally { acting = false; }
  }

  async function bring(focus, from) {
    const open = all("details[open]").map((each) => each.closest("[data-row]")).filter(Boolean).map((row) => row.dataset.row);
    let html = "";
    try {
      const response = await fetch(form().action, { headers: { Accept: "text/html" } });
      if (!response.ok) { end(); return; }
      html = await response.text();
    } catch { again("bring"); return; }
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const next = one("#edit", fresh);
    if (!next) { window.location.reload(); return; }
    if (form().hasAttribute("data-check")) next.setAttribute("data-check", "");
    const unfolded = all("#edit details.more[open]").map((each) => each.dataset.keep || "");
    /* Who has gone on typing meanwhile stays where she is. */
    const here = document.activeElement;
    const moved = here !== from && here.id && form().contains(here) ? { id: here.id, caret: here.selectionStart } : null;
    form().replaceWith(document.adoptNode(next));
    for (const row of open) { const words = one(`[data-row="${CSS.escape(row)}"] [data-row-words]`); if (words) words.open = true; }
    for (const more of all("#edit details.more")) if (unfolded.includes(more.dataset.keep || "")) more.open = true;
    arrive();
    const target = document.getElementById(moved ? moved.id : focus || "");
    if (!target) return;
    for (let folded = target.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
    target.focus();
    if (moved && typeof moved.caret === "number") target.setSelectionRange(moved.caret, moved.caret);
    else if (!moved && target.select) target.select();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#edit button[name=do]");
    if (button) {
      event.preventDefault();
      if (button.getAttribute("aria-disabled") === "true") return;
      if (button.dataset.dark) { // a pair of colours: two fields, no act of the shape
        for (const side of ["dark", "light"]) { put(`picture.${side}`, button.dataset[side].toLowerCase()); typed(`picture.${side}`); }
        redraw();
        return;
      }
      act(button.value);
      return;
    }
    const link = event.target.closest("a[href]");
    if (link && !link.target && Object.keys(pending).length && !ended && !event.metaKey && !event.ctrlKey) {
      event.preventDefault();
      go(link.href);
      return;
    }
    if (event.target.closest("[data-keep-mine]")) settle(true);
    if (event.target.closest("[data-take-theirs]")) settle(false);
  });

  async function go(address) {
    await send();
    if (Object.keys(pending).length) return; // the line above says why
    leaving = true;
    window.location.assign(address);
  }

  document.addEventListener("submit", async (event) => {
    if (event.target !== form()) {
      if (event.target.id === "upload" && Object.keys(pending).length) { event.preventDefault(); await send(); if (!Object.keys(pending).length) { leaving = true; event.target.submit(); } }
      return;
    }
    event.preventDefault();
    const button = event.submitter;
    const base = form().action.slice(0, form().action.lastIndexOf("/"));
    const here = form().action.slice(form().action.lastIndexOf("/") + 1);
    const where = button && button.name === "go" ? button.value : here;
    if (where === here) send(); // Enter in a field: it is saved, and one stays where one is
    else go(`${base}/${where}`);
  });

  window.addEventListener("beforeunload", (event) => {
    if (Object.keys(pending).length && !leaving && !mayStore) event.preventDefault();
  });
  window.addEventListener("pagehide", remember);

  /* -- typing ------------------------------------------------------------------------------------------------- */

  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      const field = event.target;
      if (!field.name || skipped.has(field.name) || field.closest("form") !== form()) return;
      typed(field.name);
      if (field.name.startsWith("picture.") || field.name === "level") redraw();
      if (field.name === "criteria") preview();
    });
  }

  /* -- picture and criteria, seen at once --------------------------------------------------------------------- */

  let drawing = 0;
  function redraw() {
    const image = one("#picture");
    if (!image || !named("picture.shape").length) return;
    clearTimeout(drawing);
    drawing = setTimeout(() => {
      const asked = new URLSearchParams();
      for (const name of ["shape", "icon", "dark", "light"]) asked.set(name, valueOf(`picture.${name}`));
      asked.set("level", valueOf("level"));
      image.src = `${image.dataset.draw}?${asked}`;
      image.alt = valueOf("picture.alt");
    }, 150);
  }

  let looking = 0;
  function preview() {
    const place = one("#criteria-view");
    clearTimeout(looking);
    looking = setTimeout(async () => {
      const text = valueOf("criteria");
      if (!text.trim()) { place.textContent = place.dataset.empty; return; }
      try {
        const response = await fetch(place.dataset.preview, { method: "POST", headers: { "X-Csrf": csrf() }, body: new URLSearchParams({ text }) });
        if (!response.ok || valueOf("criteria") !== text) return;
        const read = new DOMParser().parseFromString(await response.text(), "text/html");
        place.replaceChildren(...[...read.body.childNodes].map((node) => document.adoptNode(node)));
      } catch { /* it is seen again once the connection is back */ }
    }, 250);
  }

  /* -- rows, dragged by mouse or finger; the buttons beside do the same --------------------------------------- */

  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest("[data-grip]");
    if (!grip || event.button) return;
    const row = grip.closest("[data-row]");
    const list = row.parentElement;
    const before = all("[data-row]", list).indexOf(row);
    let place = before;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    row.classList.add("dragged");
    const move = (moved) => {
      const rows = all("[data-row]", list);
      place = rows.filter((each) => each !== row && moved.clientY > each.getBoundingClientRect().top + each.offsetHeight / 2).length;
      rows.forEach((each) => each.classList.remove("drop-above", "drop-below"));
      const others = rows.filter((each) => each !== row);
      if (place < others.length) others[place].classList.add("drop-above");
      else if (others.length) others[others.length - 1].classList.add("drop-below");
    };
    const stop = (stopped) => {
      grip.removeEventListener("pointermove", move);
      for (const kind of ["pointerup", "pointercancel"]) grip.removeEventListener(kind, stop);
      all("[data-row]", list).forEach((each) => each.classList.remove("dragged", "drop-above", "drop-below"));
      if (stopped.type === "pointerup" && place !== before) act(`row.move:${row.dataset.row}:${place}`);
    };
    grip.addEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"]) grip.addEventListener(kind, stop);
  });

  function showWhen() {
    const place = one("[data-when]");
    if (place) place.hidden = valueOf("release") !== "at";
  }

  /* -- on arrival ---------------------------------------------------------------------------------------------- */

  function arrive() {
    note();
    for (const [path, [, text]] of Object.entries(pending)) if (valueOf(path) !== undefined) put(path, text);
    document.dispatchEvent(new Event("arrived"));
    showWhen();
    const time = one("#saved time");
    if (time) time.textContent = time.dataset.clock.replace("{time}", clock(time.dateTime));
  }

  arrive();
  if (form().querySelector("[aria-invalid]") && form().hasAttribute("data-check")) form().querySelector("[aria-invalid]").focus();
  const left = recall();
  if (Object.keys(left).length) {
    pending = left;
    for (const [path, [, text]] of Object.entries(left)) if (valueOf(path) !== undefined) put(path, text);
    show("put-back", true);
    send();
  }
})();
