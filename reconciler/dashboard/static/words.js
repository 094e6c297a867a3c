// Words, numbers and moments, as everything on the page writes them. Pure but for the words, which the server sends.

let words = { standings: {}, events: {}, effects: {}, risks: {} };
export const useTheWords = (given) => { words = given; };

// The look of a state or an event: `good`, `drift`, `bad` or `unknown`, and a mark for those who see no colours.
export const look = (word) => words.standings[word] ?? words.events[word] ?? ["unknown", "?"];
// The classes of whatever shows a state. OPEN alone is filled.
export const looks = (word) => look(word)[0] + (word === "OPEN" ? " filled" : "");
export const effect = (word) => words.effects[word] ?? word;
export const risk = (word) => words.risks[word] ?? word;

// The states, the most urgent first; a state that the server did not name is as urgent as the first.
export const standings = () => Object.keys(words.standings);
const rank = (word) => Math.max(0, standings().indexOf(word));
export const worst = (states) => [...states].sort((a, b) => rank(a) - rank(b))[0];
export function worstFirst(rows) {
  const ranks = new Map(standings().map((word, at) => [word, at]));
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  return [...rows].sort((a, b) => (ranks.get(a.standing) ?? 0) - (ranks.get(b.standing) ?? 0) || compare(a.name, b.name));
}

export const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
export const percent = (part, whole) => (whole > 0 ? `${Math.floor((100 * part) / whole)} %` : "");
export const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// 1536 -> "1.5 GB"
export function size(mb) {
  if (mb === null || mb === undefined) return "?";
  for (const [unit, factor] of [["PB", 1024 ** 3], ["TB", 1024 ** 2], ["GB", 1024]]) {
    if (mb >= factor) return `${(mb / factor).toFixed(mb >= 100 * factor ? 0 : 1).replace(/\.0$/, "")} ${unit}`;
  }
  return `${Math.round(mb)} MB`;
}

// Seconds -> "4 s", "3 min", "5 h", "3 days"
export function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 2 * 86400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} days`;
}

const two = (number) => String(number).padStart(2, "0");
export const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
export const clock = (at, seconds = false) => `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;

// "09:40" today, "2026-11-20 09:40" else. `now`: milliseconds.
export function moment(iso, now, seconds = false) {
  const at = new Date(iso);
  return (day(at) === day(new Date(now)) ? "" : `${day(at)} `) + clock(at, seconds);
}

// "since 09:40" of what was seen to begin, "first seen 09:40" of what was there when it was seen.
export const since = (iso, kind, now) => `${kind === "began" ? "since" : "first seen"} ${moment(iso, now)}`;

// Any value of a manifest or a config DB as text.
export function spelled(value) {
  if (value === null || value === undefined) return "nothing";
  return typeof value === "string" ? value : JSON.stringify(value);
}

// A config DB says what others wrote into it.
export const applier = ({ by, claimed }) => (by ?? "an unknown user") + (claimed ? " (claimed by the config DB)" : "");

export const named = (object) => object.slice(object.indexOf("/") + 1);

// A link to a commit, if the Site says where: https only, whoever wrote it.
export function commitURL(repository, commit) {
  if (!/^[0-9a-f]{7,64}$/.test(commit ?? "") || !URL.canParse(repository ?? "")) return null;
  const url = new URL(repository);
  return url.protocol === "https:" ? `${url.origin}${url.pathname.replace(/(\.git)?\/*$/, "")}/commit/${commit}` : null;
}
