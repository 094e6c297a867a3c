// What is shown of the data: pure functions, and elements made of text alone. Nothing is ever taken for HTML.

export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") made.className = value;
    else if (key in made && key !== "title") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const LOOKS = {
  "in sync": ["good", "\u00b7"], unmanaged: ["unknown", "+"], drifted: ["drift", "~"], missing: ["drift", "~"],
  "removed from the manifests": ["drift", "?"],
  OPEN: ["bad", "!"], unreachable: ["bad", "?"], blocked: ["bad", "x"], unknown: ["unknown", "?"],
  "access stays widened": ["bad", "x"], "watches less": ["bad", "!"],
  healed: ["good", "="], gone: ["unknown", "-"], failed: ["bad", "x"], braked: ["bad", "x"], remark: ["unknown", "?"], invalid: ["bad", "!"],
  valid: ["good", "="], "pass failed": ["bad", "!"], "pass works": ["good", "="],
};
const URGENCY = ["OPEN", "unreachable", "blocked", "failed", "unknown", "drifted", "missing", "removed from the manifests", "unmanaged", "in sync"];

export const look = (word) => LOOKS[word] ?? ["unknown", "?"];
export const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function hostState(host) {
  if (host.access === "open") return "OPEN";
  return host.state === "unreachable" ? "unreachable" : host.sync;
}

export function worstFirst(items, stateOf) {
  const rank = (item) => { const at = URGENCY.indexOf(stateOf(item)); return at < 0 ? 0 : at; };
  return [...items].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

export function matches(text, words) {
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}

export function size(mb) {
  for (const [unit, factor] of [["PB", 1024 ** 3], ["TB", 1024 ** 2], ["GB", 1024]]) {
    if (mb >= factor) return `${(mb / factor).toFixed(1).replace(/\.0$/, "")}${unit}`;
  }
  return `${mb}MB`;
}

export function tally(items, stateOf) {
  const counts = new Map();
  for (const item of items) counts.set(stateOf(item), (counts.get(stateOf(item)) ?? 0) + 1);
  return URGENCY.filter((word) => counts.has(word)).map((word) => `${counts.get(word)} ${word}`).join(", ");
}

export function badge(word) {
  const [kind, mark] = look(word);
  return element("span", { class: kind }, element("span", { class: "mark", "aria-hidden": "true" }, mark), element("span", { class: "word" }, word));
}

const spelled = (value) => (value === null || value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));

export function changeBody(change) {
  const parts = [];
  if (change.fields.length) {
    const list = element("dl", { class: "fields" });
    for (const field of change.fields) {
      list.append(element("dt", {}, field.path), element("dd", {}, `${spelled(field.before)} \u2192 ${spelled(field.after)}`));
    }
    parts.push(list);
  }
  for (const note of [...change.notes, ...change.held]) parts.push(element("p", { class: "reason" }, note));
  return parts;
}

export function hostTile(host, open) {
  const state = hostState(host);
  const [kind, mark] = look(state);
  const button = element("button", { type: "button", class: kind, "aria-label": `${host.name}: ${state}`, onclick: () => open(host) },
    element("span", { class: "mark", "aria-hidden": "true" }, mark), host.name);
  return element("li", {}, button);
}

function quotas(group) {
  const rows = [];
  for (const right of group.access ?? []) {
    const used = right.used.length ? right.used : [{ datastore: right.datastore, usedMB: 0 }];
    for (const one of used) {
      const limit = right.volumeTotalMB;
      const text = limit ? `${size(one.usedMB)} of ${size(limit)}` : `${size(one.usedMB)}, unlimited`;
      const bar = limit
        ? element("meter", { min: 0, max: limit, high: 0.8 * limit, optimum: 0, value: Math.min(one.usedMB, limit), "aria-label": `${one.datastore}: ${text}` })
        : element("span");
      rows.push(element("div", { class: "quota" }, element("span", {}, one.datastore), bar, element("span", {}, text)));
    }
  }
  return rows;
}

export function objectRow(item, change) {
  const summary = element("summary", {}, badge(item.sync), ` ${item.name}`);
  if (item.vms) summary.append(element("span", { class: "count" }, ` ${item.vms.length} VM${item.vms.length === 1 ? "" : "s"}`));
  const details = element("details", {}, summary, element("p", { class: "reason" }, item.reason), ...(change ? changeBody(change) : []));
  return element("li", {}, details, ...quotas(item));
}

export function eventItem(event, fresh) {
  const title = element("summary", {}, element("time", { dateTime: event.time }, clock(event.time)), " ", badge(event.event), ` ${event.object ?? ""}`);
  const git = event.git ? `git ${event.git.commit.slice(0, 7)}${event.git.dirty ? " + uncommitted changes" : ""}, ` : "";
  const body = [element("p", { class: "reason" }, event.message), ...(event.change ? changeBody(event.change) : [])];
  if (event.pass) body.push(element("p", { class: "reason count" }, `${git}pass ${event.pass}`));
  return element("li", { class: fresh ? "new" : "" }, element("details", {}, title, ...body));
}
