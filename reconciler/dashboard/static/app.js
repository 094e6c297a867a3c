// Fetches the state, listens for what changes, and shows as much of it as is looked at.

import { changeBody, clock, element, eventItem, hostTile, matches, objectRow, since, standingOf, tally, useWords, worstFirst } from "/view.js";

const MOST_EVENTS = 200;
const at = (id) => document.getElementById(id);
let state = null;
let tag = null;
let fetching = false;
let again = false;
let gone = false;
let looked = { age: 0, at: 0 };  // the age of the last pass, and when it was that, by the clock of the browser

function block(name, step, items, textOf, make) {
  const all = { shown: step, items: [] };
  at(`${name}-more`).addEventListener("click", () => { all.shown += step; all.draw(); });
  all.draw = () => {
    const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = state === null ? [] : items().filter((item) => matches(textOf(item), words));
    const open = new Set([...at(name).querySelectorAll("details[open]")].map((each) => each.parentNode.dataset.key));
    const made = found.slice(0, all.shown).map((item) => {
      const row = make(item);
      row.dataset.key = item.object ? `${item.object}${item.time ?? ""}` : item.time;
      if (open.has(row.dataset.key)) row.querySelector("details").open = true;
      return row;
    });
    at(name).replaceChildren(...made);
    const total = state === null ? 0 : items().length;
    at(`${name}-count`).textContent = words.length ? `${found.length} of ${total}` : `${total}`;
    const left = found.length - made.length;
    at(`${name}-more`).hidden = left <= 0;
    at(`${name}-more`).textContent = `Show ${Math.min(left, step)} more of ${left}`;
  };
  return all;
}

const searched = (item) => [item.name, item.standing, item.sync, item.reason, item.state ?? ""].join(" ");
const blocks = {
  hosts: block("hosts", 600, () => state.hosts, searched, (host) => hostTile(host, openHost)),
  vmgroups: block("vmgroups", 50, () => state.vmgroups, searched, (item) => objectRow(item, state.changes[item.object])),
  others: block("others", 50, () => state.others, searched, (item) => objectRow(item, state.changes[item.object])),
  events: block("events", 50, () => state.events, (event) => [event.object, event.word, event.event, event.message].join(" "), (event) => eventItem(event, false)),
};

function openHost(host) {
  const change = state.changes[host.object];
  const facts = [
    ["State", `${host.state}${host.problem ? `: ${host.problem}` : ""}`], ["Access", host.access], ["Config DB", host.dbMode ?? "unknown"],
    ["Driver", host.driver ?? "none"], ["Service", host.service], ["Survives a reboot", host.persistence ?? "unknown"], ["Address", host.address ?? "unknown"],
  ];
  const list = element("dl", { class: "fields" });
  for (const [name, value] of facts) list.append(element("dt", {}, name), element("dd", {}, value));
  at("details-title").textContent = host.object;
  at("details-body").replaceChildren(element("p", {}, `${host.standing}${since(host)}: ${host.reason}`), ...(change ? changeBody(change) : []), list);
  at("details").showModal();
}

function drawHead() {
  const { status, pass } = state;
  at("site").textContent = `site ${state.site}`;
  if (status) {
    const message = status.message.charAt(0).toUpperCase() + status.message.slice(1);
    const said = `${message}${since(state)}`;
    if (at("sentence").textContent !== said) at("sentence").textContent = said;
  }
  if (pass) {
    const git = pass.git ? `git ${pass.git.commit.slice(0, 7)}${pass.git.dirty ? " + uncommitted changes" : ""}` : "no git";
    at("facts").textContent = `${git} \u00b7 last pass ${clock(pass.ended)} (${pass.seconds} s) \u00b7 ${state.mode}`;
  }
  tick();
}

// Show how old the last pass is, by the clock of the browser: a watch that hangs can say nothing.
function tick() {
  const age = Math.floor(looked.age + (performance.now() - looked.at) / 1000);
  const late = state !== null && age > state.staleAfter;
  if (state !== null) at("age").textContent = `${age} s ago`;
  document.title = state === null ? "vdvs" : `${state.status?.inSync && !late && !gone ? "" : "(!) "}${state.site} \u2014 vdvs`;
  const silent = gone ? "The watch does not answer; what is shown may be old. " : "";
  const hangs = late ? `No pass has ended for more than ${state.staleAfter} s, and one is due every ${state.interval} s: the watch hangs, and what is shown may be old.` : "";
  const text = silent + hangs || state?.pass?.failure || "";
  document.body.classList.toggle("late", late || gone);
  at("problem").hidden = !text;
  if (at("problem").textContent !== text) at("problem").textContent = text;
}

function draw() {
  drawHead();
  at("hosts-legend").textContent = tally(state.hosts, standingOf);
  at("others-block").hidden = state.others.length === 0;
  for (const each of Object.values(blocks)) each.draw();
}

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch("api/state", { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 401) { location.assign("/login"); return; }
    gone = false;
    if (answer.ok) {
      tag = answer.headers.get("ETag");
      const seen = await answer.json();
      useWords(seen.words);
      looked = { age: seen.age, at: performance.now() };
      seen.hosts = worstFirst(seen.hosts, standingOf);
      seen.vmgroups = worstFirst(seen.vmgroups, standingOf);
      seen.others = worstFirst(seen.kinds.filter((kind) => !(kind in blocks)).flatMap((kind) => seen[kind]), standingOf);
      state = seen;
      draw();
    }
  } catch {
    gone = true;
    tick();
  } finally {
    fetching = false;
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

function listen() {
  const source = new EventSource("api/events");
  source.addEventListener("open", refresh);
  source.addEventListener("error", () => { gone = true; tick(); });
  source.addEventListener("event", (message) => {
    const event = JSON.parse(message.data);
    if (state === null || event.event === "started" || event.event === "stopped") return;
    state.events = [event, ...state.events].slice(0, MOST_EVENTS);
    blocks.events.draw();
    at("events").firstElementChild?.classList.add("new");
  });
  source.addEventListener("pass", (message) => {
    const { version, pass, age } = JSON.parse(message.data);
    looked = { age, at: performance.now() };
    if (state === null || version !== state.version) { refresh(); return; }
    state.pass = pass;
    drawHead();
  });
}

let typing = 0;
at("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => state && draw(), 80);
});
setInterval(tick, 1000);
listen();
