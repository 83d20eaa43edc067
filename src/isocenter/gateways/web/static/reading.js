// The reading page: scroll the rendered images of the exam's studies; keep the draft saved while it is written.
// Measuring, comparing and volume work belong to the reading workspace (/viewer), not to this file.
"use strict";

(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const view = document.getElementById("view");
  const image = document.getElementById("image");
  const message = document.getElementById("view-message");
  const slider = document.getElementById("slider");
  const strip = [...document.querySelectorAll(".strip .thumb")];
  const stacks = new Map(); // series instance UID -> [frame addresses]
  const loaded = new Map(); // address -> Image, oldest first
  const KEPT = 160;
  let series = null;
  let frames = [];
  let at = 0;
  let window_ = "";
  let span = 0; // presets differ by modality: the buttons carry their own window

  const address = (frame) => (window_ ? `${frame}?window=${encodeURIComponent(window_)}` : frame);

  function load(url) {
    let held = loaded.get(url);
    if (held) { loaded.delete(url); loaded.set(url, held); return held; }
    held = new Image();
    held.decoding = "async";
    held.src = url;
    loaded.set(url, held);
    if (loaded.size > KEPT) { const [oldest, gone] = loaded.entries().next().value; gone.src = ""; loaded.delete(oldest); }
    return held;
  }

  function say(text) { message.textContent = text; message.hidden = !text; }

  function show() {
    if (!frames.length) return;
    const url = address(frames[at]);
    const wanted = load(url);
    const settle = () => {
      if (url !== address(frames[at])) return; // the reader has scrolled on
      if (wanted.naturalWidth) { image.src = wanted.src; image.hidden = false; say(""); }
      else { image.hidden = true; say("This image cannot be shown here. It is stored as received; open it in a workstation."); loaded.delete(url); }
      for (const step of [1, 2, 3, -1, 4, 5, 6, -2]) { const near = frames[at + step]; if (near) load(address(near)); }
    };
    if (wanted.complete) settle(); else { wanted.addEventListener("load", settle, { once: true }); wanted.addEventListener("error", settle, { once: true }); }
    slider.value = String(at + 1);
    slider.setAttribute("aria-valuetext", `Image ${at + 1} of ${frames.length}`);
    document.getElementById("place").textContent = `${at + 1} / ${frames.length}`;
  }

  function go(to) {
    const next = Math.max(0, Math.min(frames.length - 1, to));
    if (next !== at) { at = next; show(); }
  }

  async function open(button) {
    const asked = button.dataset.series;
    series = asked;
    for (const other of strip) other.setAttribute("aria-pressed", String(other === button));
    document.getElementById("series-label").textContent = button.dataset.label;
    for (const preset of document.querySelectorAll("[data-window]")) {
      preset.hidden = preset.dataset.modality !== "" && preset.dataset.modality !== button.dataset.modality;
    }
    choose("");
    frames = [];
    at = 0;
    image.hidden = true;
    say("Loading…");
    if (!stacks.has(asked)) {
      const answer = await fetch(button.dataset.images, { headers: { Accept: "application/json" } }).catch(() => null);
      if (!answer?.ok) { if (series === asked) say("The list of images could not be loaded. Choose the series again to retry."); return; }
      stacks.set(asked, (await answer.json()).frames);
    }
    if (series !== asked) return; // another series was chosen meanwhile
    frames = stacks.get(asked);
    slider.max = String(Math.max(1, frames.length));
    slider.disabled = frames.length < 2;
    if (!frames.length) { say("This series holds no images that can be shown (for example a report or a presentation state)."); document.getElementById("place").textContent = "–"; return; }
    show();
  }

  function choose(value) {
    window_ = value;
    for (const preset of document.querySelectorAll("[data-window]")) preset.setAttribute("aria-pressed", String(preset.dataset.window === value));
  }

  strip.forEach((button) => button.addEventListener("click", () => open(button)));
  for (const preset of document.querySelectorAll("[data-window]")) preset.addEventListener("click", () => { choose(preset.dataset.window); show(); });
  slider.addEventListener("input", () => go(Number(slider.value) - 1));
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    span += event.deltaMode === 0 ? event.deltaY : event.deltaY * 40;
    const steps = Math.trunc(span / 40);
    if (steps) { span -= steps * 40; go(at + steps); }
  }, { passive: false });
  let held = null;
  view.addEventListener("pointerdown", (event) => { held = { y: event.clientY, at }; view.setPointerCapture(event.pointerId); });
  view.addEventListener("pointermove", (event) => { if (held) go(held.at + Math.round((event.clientY - held.y) / Math.max(3, view.clientHeight / Math.max(1, frames.length)))); });
  for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, () => { held = null; });

  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
  document.addEventListener("keydown", (event) => {
    const written = event.target.matches("textarea, input:not([type=range]), select")
      && !event.target.closest("dialog:not([open])"); // one just closed keeps the focus until the page is drawn again
    if (event.key === "Escape" && written && !document.querySelector("dialog[open]")) { view.focus(); event.preventDefault(); return; }
    if (written || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target === slider && event.key in steps) return; // the slider moves by itself
    if (event.key in steps) go(at + steps[event.key]);
    else if (event.key === "[" || event.key === "]") {
      const now = strip.findIndex((button) => button.dataset.series === series);
      const next = strip[now + (event.key === "]" ? 1 : -1)];
      if (next) { open(next); next.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    } else if (/^[0-9]$/.test(event.key)) {
      const shown = [...document.querySelectorAll("[data-window]")].filter((preset) => !preset.hidden);
      shown[Number(event.key)]?.click();
    } else if (event.key === "r" && document.getElementById("text")) document.getElementById("text").focus();
    else return;
    event.preventDefault();
  });
  const asked = strip.find((button) => button.dataset.series === location.hash.slice(1));
  if (strip.length) open(asked || strip[0]);
})();

// --- The draft saves itself ------------------------------------------------------------------------
function keepDraft() {
  const form = document.getElementById("draft");
  if (!form) return;
  const shown = new AbortController(); // until the workspace exchanges its case for another
  const { signal } = shown;
  document.addEventListener("isocenter:case", () => { clearTimeout(timer); shown.abort(); }, { signal });
  const text = document.getElementById("text");
  const keeps = "accession" in form.dataset; // an addendum is kept only once it is signed
  const state = document.getElementById("draft-state");
  let saved = text.value;
  let timer = 0;
  let running = null;

  async function put() {
    const sent = text.value;
    if (sent === saved || !sent.trim()) return true;
    state.textContent = "Saving…";
    const known = form.elements.report_id.value;
    const answer = await fetch(known ? `/api/reports/${encodeURIComponent(known)}` : "/api/reports", {
      method: known ? "PUT" : "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ accession_number: form.dataset.accession, text: sent, draft_revision: Number(form.elements.draft_revision.value) || null }),
    }).catch(() => null);
    if (!answer?.ok) {
      const problem = await answer?.json().catch(() => null);
      const hopeless = answer && answer.status < 500 && answer.status !== 429;
      state.textContent = `Not saved: ${problem?.detail || "the server cannot be reached"}. Your text is still here${hopeless ? "." : "; trying again."}`;
      clearTimeout(timer);
      if (!hopeless) timer = setTimeout(save, 5000);
      return false;
    }
    const report = await answer.json();
    form.elements.report_id.value = report.report_id;
    form.elements.draft_revision.value = report.draft_revision;
    saved = sent;
    state.textContent = `Draft saved ${new Date().toLocaleTimeString()}`;
    document.dispatchEvent(new CustomEvent("isocenter:report", { detail: { state: "drafted", report_id: report.report_id } }));
    return true;
  }
  async function save() { // one at a time: a second POST would begin a second report
    while (running) await running;
    running = put();
    try { return await running; } finally { running = null; }
  }
  text.addEventListener("input", () => {
    if (!keeps) return;
    state.textContent = "Not saved yet";
    clearTimeout(timer);
    timer = setTimeout(save, 800);
  });
  text.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); clearTimeout(timer); if (keeps) save(); }
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); document.querySelector("[data-opens=sign]")?.click(); }
  });
  form.addEventListener("submit", async (event) => {
    clearTimeout(timer);
    if (running) { // the draft is on its way: its revision must be known before the form goes
      event.preventDefault();
      const button = event.submitter;
      await running;
      form.requestSubmit(button);
      return;
    }
    saved = text.value;
  });
  addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); }, { signal });
  const unsaved = () => text.value !== saved && (text.value.trim() || saved.trim()) !== "";
  async function keep() { // once more when something was written meanwhile; not for ever while somebody writes on
    clearTimeout(timer);
    for (let tries = 0; keeps && unsaved() && tries < 3; tries++) if (!(await save())) return;
  }
  const keeper = { keep, lost: () => (unsaved() ? `text ${text.value}` : ""), problem: () => "What you have written is not saved." };
  document.addEventListener("isocenter:leaving", (event) => event.detail.keepers.push(keeper), { signal });
}
keepDraft();
document.addEventListener("isocenter:case", keepDraft); // after what listens for the case before it
