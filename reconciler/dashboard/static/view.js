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

// The words for states, events, effects and risks come with the state: the server has the only table of them.
let words = { standings: {}, events: {}, effects: {}, risks: {} };
export const useWords = (given) => { words = given; };

export const look = (word) => words.standings[word] ?? words.events[word] ?? ["unknown", "?"];
export const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const standingOf = (item) => item.standing;

export function moment(iso) {
  const day = new Date(iso).toDateString() === new Date().toDateString() ? "" : `${new Date(iso).toLocaleDateString("sv")} `;
  return day + clock(iso);
}

export function since(item) {
  if (!item.since) return "";
  return item.sinceKind === "began" ? ` since ${moment(item.since)}` : `, first seen ${moment(item.since)}`;
}

export function worstFirst(items, stateOf) {
  const urgency = Object.keys(words.standings);
  const rank = (item) => { const at = urgency.indexOf(stateOf(item)); return at < 0 ? 0 : at; };
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
  return Object.keys(words.standings).filter((word) => counts.has(word)).map((word) => `${counts.get(word)} ${word}`).join(", ");
}

export function badge(word) {
  const [kind, mark] = look(word);
  return element("span", { class: kind }, element("span", { class: "mark", "aria-hidden": "true" }, mark), element("span", { class: "word" }, word));
}

const spelled = (value) => (value === null || value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));

export function changeBody(change) {
  const parts = [];
  const repair = change.op === "blocked" ? change.op : words.risks[change.risk];
  if (["site", "both"].includes(change.cause)) parts.push(element("p", { class: "effect" }, `${words.effects[change.effect]}; repair ${repair}`));
  if (change.fields.length) {
    const list = element("dl", { class: "fields" });
    for (const field of change.fields) {
      list.append(element("dt", {}, field.path), element("dd", {}, `live ${spelled(field.before)}, declared ${spelled(field.after)}`));
    }
    parts.push(list);
  }
  for (const note of [...change.notes, ...change.held]) parts.push(element("p", { class: "reason" }, note));
  return parts;
}

export function hostTile(host, open) {
  const state = host.standing;
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
  const summary = element("summary", {}, badge(item.standing), ` ${item.name}`);
  if (item.vms) summary.append(element("span", { class: "count" }, ` ${item.vms.length} VM${item.vms.length === 1 ? "" : "s"}`));
  const details = element("details", {}, summary, element("p", { class: "reason" }, `${item.standing}${since(item)}: ${item.reason}`), ...(change ? changeBody(change) : []));
  return element("li", {}, details, ...quotas(item));
}

export function eventItem(event, fresh) {
  const title = element("summary", {}, element("time", { dateTime: event.time }, clock(event.time)), " ", badge(event.word), ` ${event.object ?? ""}`);
  const git = event.git ? `git ${event.git.commit.slice(0, 7)}${event.git.dirty ? " + uncommitted changes" : ""}, ` : "";
  const body = [element("p", { class: "reason" }, event.message), ...(event.change ? changeBody(event.change) : [])];
  if (event.pass) body.push(element("p", { class: "reason count" }, `${git}pass ${event.pass}`));
  return element("li", { class: fresh ? "new" : "" }, element("details", {}, title, ...body));
}
