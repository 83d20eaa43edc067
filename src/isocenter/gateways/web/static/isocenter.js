// Three small things every page gets: regions that stay current (server-sent events + partial swap),
// relative times that move, and the keyboard. Every page works without this file, only less comfortably.
"use strict";

const pageEvents = document.documentElement.dataset.events; // address of the event stream, absent when signed out
const seconds = { second: 1, minute: 60, hour: 3600, day: 86400 };
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto", style: "short" });

function tellTime(root) {
  for (const span of root.querySelectorAll("time[datetime] .rel")) {
    const age = (Date.parse(span.parentElement.dateTime) - Date.now()) / 1000;
    const size = Math.abs(age);
    if (size > 30 * seconds.day) continue;
    const unit = size < 60 ? "second" : size < 3600 ? "minute" : size < 86400 ? "hour" : "day";
    span.textContent = size < 5 ? "just now" : relative.format(Math.round(age / seconds[unit]), unit);
  }
}

// --- Partial swap: fetch a page of ours, exchange the regions that share an id -----------------

function busyRegion(region) { // never pull a form or an open dialog from under a person's hands
  const active = document.activeElement;
  return region.querySelector("dialog[open]") !== null
    || (region.contains(active) && active.matches("input, select, textarea"));
}

function swap(text, ids) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const id of ids) {
    const old = document.getElementById(id);
    const now = fresh.getElementById(id);
    if (!old || !now || busyRegion(old)) continue;
    if (old.outerHTML === now.outerHTML) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const marked = old.querySelector("tr.at")?.id;
    old.replaceWith(now);
    if (focused) document.getElementById(focused)?.focus();
    if (marked) document.getElementById(marked)?.classList.add("at");
    tellTime(now);
    now.dispatchEvent(new CustomEvent("isocenter:swapped", { bubbles: true }));
  }
}

async function refresh(address, ids) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.assign(answer.url); return false; }
  if (!answer.ok) return false;
  swap(await answer.text(), ids);
  return true;
}

// --- Live regions: data-live="*" or a list of identifiers an event must name ---------------------

let pending = 0;
let again = false;
async function refreshLive() {
  if (pending) { again = true; return; }
  pending = 1;
  try {
    const ids = [...document.querySelectorAll("[data-live]")].map((region) => region.id);
    if (ids.length && document.visibilityState === "visible") await refresh(location.href, ids);
  } catch { /* the stream reconnects by itself and the next event refreshes */ }
  await new Promise((done) => setTimeout(done, 1000)); // at most one refresh a second, however many events
  pending = 0;
  if (again) { again = false; refreshLive(); }
}

function concerns(event) {
  const named = new Set([event.subject, ...Object.values(event.ids || {}).map(String)]);
  return [...document.querySelectorAll("[data-live]")].some((region) =>
    region.dataset.live === "*" || region.dataset.live.split(" ").some((id) => named.has(id)));
}

if (pageEvents && document.querySelector("[data-live]")) {
  const stream = new EventSource(pageEvents);
  const light = document.getElementById("stream-state");
  const tell = (text) => { if (light) { light.hidden = false; light.textContent = text; } };
  stream.onopen = () => tell("Live");
  stream.onerror = () => tell("Reconnecting…");
  stream.onmessage = (message) => { if (concerns(JSON.parse(message.data))) refreshLive(); };
  stream.addEventListener("reset", refreshLive); // the stream skipped events: everything may have changed
  document.addEventListener("visibilitychange", refreshLive);
  setInterval(refreshLive, 60000); // what is late becomes late without any event
}

// --- Forms that swap regions instead of loading a page: data-swap="id id" -------------------------

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "get" || !form.dataset.swap) return;
  event.preventDefault();
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  const address = `${new URL(form.action).pathname}?${new URLSearchParams(given)}`;
  if (await refresh(address, form.dataset.swap.split(" "))) history.replaceState(null, "", address);
});
let typing = 0;
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.swap || !event.target.matches("input, select")) return;
  clearTimeout(typing);
  typing = setTimeout(() => form.requestSubmit(), 300);
});

// --- Frames of other systems: a report that was signed here is told to the page around ------------------

const frames = (document.documentElement.dataset.frames || "").split(" ").filter(Boolean);
const signed = /^\/exams\/([^/]+)$/.exec(location.pathname);
if (window.parent !== window && signed && new URLSearchParams(location.search).get("done") === "signed") {
  const around = location.ancestorOrigins?.[0];
  for (const origin of around ? frames.filter((each) => each === around) : frames)
    window.parent.postMessage({ isocenter: 1, type: "report", state: "signed", accession_number: decodeURIComponent(signed[1]) }, origin);
}

document.addEventListener("click", (event) => { if (event.target.closest("[data-prints]")) print(); });

// --- Dialogs and keys ------------------------------------------------------------------------------

/** Open a dialog at its beginning: the first thing in it that takes the focus may be its last line. */
function openDialog(dialog) {
  dialog?.showModal();
  dialog?.scrollTo(0, 0);
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) openDialog(document.getElementById(opener.dataset.opens));
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label, form") && !getSelection().toString()) location.assign(row.dataset.href);
});

document.addEventListener("error", (event) => { // a picture that cannot be made: its name instead of a broken icon
  const frame = event.target.tagName === "IMG" && event.target.closest(".frame");
  if (frame) frame.textContent = event.target.alt || "No preview";
}, true);

function move(step) {
  const rows = [...document.querySelectorAll("tr[data-href]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const to = Math.max(0, Math.min(rows.length - 1, at + step));
  rows[at]?.classList.remove("at");
  rows[to].classList.add("at");
  (rows[to].querySelector("a") || rows[to]).focus({ preventScroll: true });
  rows[to].scrollIntoView({ block: "nearest" });
}

let chord = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  // A dialog that was just closed keeps the focus until the page is drawn again: nobody types there.
  const typed = event.target.matches("input, select, textarea") && !event.target.closest("dialog:not([open])");
  if (typed || document.querySelector("dialog[open]")) return;
  const key = chord + event.key;
  const begun = `${event.key} `; // "g" of "g e", "m" of "m 1"
  chord = !chord && document.querySelector(`[data-key^="${CSS.escape(begun)}"]`) ? begun : "";
  if (key === "/") document.querySelector("input[type=search]")?.focus();
  else if (key === "?") openDialog(document.getElementById("keys"));
  else if (key === "j") move(1);
  else if (key === "k") move(-1);
  else {
    const link = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!link) return;
    // What is still missing is asked for at once, so that what is typed next goes there.
    const missing = link.type === "submit" && link.form?.querySelector("input:invalid, select:invalid, textarea:invalid");
    if (missing) missing.focus();
    else link.click();
  }
  event.preventDefault();
});

// --- The menu closes when something else is chosen ------------------------------------------------
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

setInterval(() => tellTime(document), 15000);

// The reading workspace has exchanged its case for another: this page has that one's address now.
document.addEventListener("isocenter:case", (event) => {
  tellTime(document);
  for (const field of document.querySelectorAll("header input[name=next]")) field.value = event.detail.path;
});
