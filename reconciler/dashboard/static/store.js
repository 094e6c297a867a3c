// What is known of the site, how old it is, and what is looked at. Components take it by hooks.

import { useEffect, useState } from "./preact.js";
import { useTheWords, worstFirst } from "./words.js";

export const VIEWS = ["overview", "access", "hosts", "history"];
const OWN = ["sort", "vmgroup", "datastore", "hours", "of", "event"];  // of one view
const PARTS = ["q", "state", "group", "object", ...OWN];  // of the URL, after the view
const MOST_EVENTS = 200;
const listeners = new Set();
const store = {
  state: null,  // what api/state said, with all of its objects in `objects`, worst first
  gone: false,  // the server does not answer
  looked: { age: 0, next: 0, at: 0 },  // age of the last pass, and seconds to the next, at a moment of the browser's clock
  route: read(),
};

function change(part) {
  Object.assign(store, part);
  for (const listener of listeners) listener();
}

// Draw again whenever `select(store)` is another.
export function useStore(select = (all) => all.state) {
  const [chosen, choose] = useState(() => select(store));
  useEffect(() => {
    const listener = () => choose(() => select(store));
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  }, []);
  return chosen;
}

// ---- time -----------------------------------------------------------------------------------------------------------

const elapsed = () => (performance.now() - store.looked.at) / 1000;
export const passAge = () => store.looked.age + elapsed();
export const nextPass = () => store.looked.next - elapsed();
const looked = (age, next) => ({ age, next, at: performance.now() });

// Milliseconds by the clock of the server, as far as it is known: the clock of the browser may be wrong.
export function now() {
  const ended = store.state?.pass?.ended;
  return ended ? Date.parse(ended) + passAge() * 1000 : Date.now();
}

const ticking = new Set();
setInterval(() => { for (const tick of ticking) tick(); }, 1000);

// What `of()` yields each second; only another value draws again.
export function useTicking(of) {
  const [, draw] = useState(null);
  useEffect(() => {
    const tick = () => draw(of());
    ticking.add(tick);
    return () => ticking.delete(tick);
  });
  return of();
}

// ---- what is looked at ----------------------------------------------------------------------------------------------

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(query);
  const route = { view: VIEWS.includes(path) ? path : VIEWS[0] };
  for (const part of PARTS) route[part] = given.get(part) ?? "";
  return route;
}

export function url(part = {}) {
  const { view, ...rest } = { ...store.route, ...part };
  if (view !== store.route.view) for (const name of OWN) rest[name] = part[name];
  const query = new URLSearchParams(PARTS.filter((name) => rest[name]).map((name) => [name, rest[name]]));
  return `#/${view}${query.size ? `?${query}` : ""}`;
}

// Look at something else: go({ view: "hosts" }), go({ object: "vmgroup/a" }), go({ state: "" }).
// `replace`: without a step in the browser's history, as for each letter of a filter.
export function go(part, { replace = false } = {}) {
  const to = url(part);
  if (to === (location.hash || url())) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  change({ route: read() });
}

addEventListener("popstate", () => change({ route: read() }));
addEventListener("hashchange", () => change({ route: read() }));

// The route, and whether an object matches its filter: a row of api/state, or a text and a state.
export function filterOf(route) {
  const words = route.q.toLowerCase().split(/\s+/).filter(Boolean);
  const says = (text) => { const lower = text.toLowerCase(); return words.every((word) => lower.includes(word)); };
  const is = (standing) => !route.state || standing === route.state;
  return { ...route, on: Boolean(words.length || route.state), says, is, matches: (row) => is(row.standing) && (!words.length || says(textOf(row))) };
}

const texts = new WeakMap();
function textOf(row) {
  if (!texts.has(row)) {
    const labels = Object.entries(row.labels ?? {}).map(([name, value]) => `${name}=${value}`);
    texts.set(row, [row.object, row.standing, row.reason, row.state, row.cluster, ...labels].filter(Boolean).join(" "));
  }
  return texts.get(row);
}

// ---- the server -----------------------------------------------------------------------------------------------------

async function ask(path, tag) {
  const answer = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {} });
  if (answer.status === 401) location.assign("/login");
  return answer;
}

let tag = null;
let fetching = false;
let again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await ask("api/state", tag);
    if (answer.ok) {
      tag = answer.headers.get("ETag");
      const state = await answer.json();
      useTheWords(state.words);
      state.todo ??= [];
      state.todoTotal ??= state.todo.length;
      state.objects = worstFirst(state.kinds.flatMap((kind) => state[kind]));
      state.byObject = new Map(state.objects.map((row) => [row.object, row]));
      change({ state, gone: false, looked: looked(state.age, state.nextPass ?? state.interval - state.age) });
    } else if (answer.status === 304) change({ gone: false });
    else change({ gone: true });
  } catch {
    change({ gone: true });
  } finally {
    fetching = false;
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

// Of hundreds that come at once the page is drawn once. Some are known already, from the state that was fetched meanwhile.
let arrived = [];
const idOf = ({ time, event, object, message }) => [time, event, object, message].join("\n");
function takeEvents() {
  const { state } = store;
  const known = new Set(state?.events.map(idOf));
  const fresh = arrived.filter((event) => !known.has(idOf(event))).reverse();
  arrived = [];
  if (state !== null && fresh.length) change({ state: { ...state, events: [...fresh, ...state.events].slice(0, MOST_EVENTS) } });
}

export function listen() {
  const source = new EventSource("api/events");
  source.addEventListener("open", refresh);
  source.addEventListener("error", () => {
    change({ gone: true });
    // A browser does not ask again after an answer that is an error, as when the session has ended.
    if (source.readyState === EventSource.CLOSED) { refresh(); setTimeout(listen, 5000); }
  });
  source.addEventListener("event", (message) => {
    const event = JSON.parse(message.data);
    if (event.event === "started" || event.event === "stopped") return;
    if (arrived.push(event) === 1) setTimeout(takeEvents, 100);
  });
  source.addEventListener("pass", (message) => {
    const { version, pass, age, nextPass: next } = JSON.parse(message.data);
    const { state } = store;
    if (state === null) { refresh(); return; }
    change({ looked: looked(age, next ?? state.interval - age), state: { ...state, pass } });
    if (version !== state.version) refresh();
  });
}

// What `path` answers, again for each `version`: { data, error, missing, loading }. The last answer stays until there is a
// new one. `missing`: there is nothing of that name.
export function useApi(path, version) {
  const [got, take] = useState({ path, data: null, error: "", loading: true });
  useEffect(() => {
    let current = true;
    take((before) => ({ path, data: before.path === path ? before.data : null, error: "", loading: true }));
    ask(path)
      .then(async (answer) => {
        if (!answer.ok) throw Object.assign(new Error((await answer.text()).trim() || `HTTP ${answer.status}`), { status: answer.status });
        return answer.json();
      })
      .then(
        (data) => current && take({ path, data, error: "", loading: false }),
        (error) => current && take((before) => ({ path, data: error.status === 404 ? null : before.data, error: error.message, missing: error.status === 404, loading: false })),
      );
    return () => { current = false; };
  }, [path, version]);
  return got.path === path ? got : { path, data: null, error: "", loading: true };
}
