// What happened? Drifts, heals and applies over time, how long they took, and the events themselves.

import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { now, url, useApi } from "../store.js";
import { Badge, Empty, useGridKeys, usePlot, Virtual } from "../ui.js";
import { clock, day, effect, lasting, moment, plural, spelled } from "../words.js";
import { Card, useHeight, useSize } from "./parts.js";

const SPANS = { 24: "24 hours", 720: "30 days" };
const LINE = 28;
// What is counted, its colour, on which side of the line it stands, and its word if it has another: what went wrong is above, what was put right below.
const COUNTS = [["drifts", "--drift", 1], ["failed", "--bad", 1], ["healed", "--good", -1], ["applied", "--quota", -1, "applied or undone"]];

const seconds = (number) => (number === null || number === undefined ? "\u2013" : number < 10 ? `${number.toFixed(1)} s` : lasting(number));
const sum = (buckets, name) => buckets.reduce((total, bucket) => total + bucket[name], 0);
const span = (at, width) => { const from = new Date(at); return width >= 86400 ? day(from) : `${day(from)} ${clock(from)}`; };

// ---- charts ---------------------------------------------------------------------------------------------------------

// Counts that changes when the colours do.
function useTheme() {
  const [theme, change] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const listener = () => change((count) => count + 1);
    dark.addEventListener("change", listener);
    return () => dark.removeEventListener("change", listener);
  }, []);
  return theme;
}

// A chart by uPlot, drawn anew for other data, another width and other colours. `options(plot, colour)`: its series and scales.
function Chart({ data, options, height, said }) {
  const Plot = usePlot();
  const theme = useTheme();
  const box = useRef(null);
  const [width] = useSize(box);
  useEffect(() => {
    if (!Plot || !width) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const plot = new Plot({ width, height, legend: { show: false }, ...options(Plot, colour) }, data, box.current);
    return () => plot.destroy();
  }, [Plot, width, height, data, options, theme]);
  return html`<div ref=${box} class="chart" role="img" aria-label=${said} style=${`height:${height}px`}></div>`;
}

const axes = (colour) => {
  const common = { stroke: colour("--faint"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return [
    { ...common, grid: { show: false }, size: 24, values: (plot, splits, _axis, _space, step) => splits.map((at) => (step >= 86400 ? day(new Date(at * 1000)).slice(5) : clock(new Date(at * 1000)))) },
    { ...common, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], values: (plot, splits) => splits.map(Math.abs) },
  ];
};

// Bars on both sides of a line; those on one side stand on each other.
const upright = (Plot, colour) => ({
  padding: [6, 8, 0, 0],
  cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
  scales: { x: { time: true }, y: { range: (plot, low, high) => [Math.min(-2, low - 0.5), Math.max(2, high + 0.5)] } },
  axes: axes(colour),
  series: [{}, ...[...COUNTS].reverse().map(([, name]) => ({ fill: colour(name), stroke: colour("--paper"), width: 1, points: { show: false }, paths: Plot.paths.bars({ size: [0.86, 24], align: 1 }) }))],
});

// Larger bars are drawn first, so that those in front of them leave what is their own in sight.
function stacked(buckets) {
  const tops = { 1: buckets.map(() => 0), [-1]: buckets.map(() => 0) };
  const rows = COUNTS.map(([name, , side]) => {
    tops[side] = buckets.map((bucket, at) => tops[side][at] + side * bucket[name]);
    return tops[side].map((top, at) => (buckets[at][name] ? top : null));
  });
  return [buckets.map((bucket) => Date.parse(bucket.at) / 1000), ...rows.reverse()];
}

const spark = (name) => (Plot, colour) => ({
  padding: [4, 0, 2, 0],
  cursor: { show: false },
  scales: { x: { time: true }, y: { range: (plot, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
  axes: [{ show: false }, { show: false }],
  series: [{}, { stroke: colour(name), width: 1.5, spanGaps: true, fill: `${colour(name)}22`, points: { show: false }, paths: Plot.paths.stepped({ align: 1 }) }],
});
const SPARKS = { seconds: spark("--quota"), drifts: spark("--drift"), share: spark("--good") };

// ---- the totals -----------------------------------------------------------------------------------------------------

function Trends({ found, hours }) {
  const { buckets, toHeal } = found;
  const at = useMemo(() => buckets.map((bucket) => Date.parse(bucket.at) / 1000), [buckets]);
  const passes = useMemo(() => [at, buckets.map((bucket) => bucket.seconds)], [buckets]);
  const drifts = useMemo(() => [at, buckets.map((bucket) => bucket.drifts)], [buckets]);
  const timed = buckets.filter((bucket) => bucket.seconds !== null);
  const mean = timed.length ? timed.reduce((total, { seconds: each, passes: many }) => total + each * many, 0) / sum(timed, "passes") : null;
  const longest = timed.length ? Math.max(...timed.map((bucket) => bucket.seconds)) : null;
  const total = sum(buckets, "drifts");
  const width = found.bucketSeconds < 3600 ? "quarter of an hour" : plural(found.bucketSeconds / 3600, "hour");
  const daily = total / (hours / 24);
  return html`
    <dl class="trends">
      <div><dt>Pass time</dt><dd><b>${seconds(mean)}</b> <span class="faint">slowest ${width} ${seconds(longest)}</span><${Chart} data=${passes} options=${SPARKS.seconds} height=${36} said=${`Pass time over ${SPANS[hours]}: ${seconds(mean)} on average, ${seconds(longest)} in the slowest ${width}`} /></dd></div>
      <div><dt>Drifts a day</dt><dd><b>${daily < 10 ? daily.toFixed(1).replace(/\.0$/, "") : Math.round(daily)}</b> <span class="faint">${total} in ${SPANS[hours]}</span><${Chart} data=${drifts} options=${SPARKS.drifts} height=${36} said=${`Drifts over ${SPANS[hours]}: ${total}`} /></dd></div>
      <div><dt>Time to heal</dt><dd><b>${seconds(toHeal.median)}</b> <span class="faint">${toHeal.n ? `half of ${toHeal.n}; 95 % within ${seconds(toHeal.p95)}` : "nothing has ended yet"}</span></dd></div>
    </dl>`;
}

function Numbers({ found }) {
  const shown = found.buckets.filter((bucket) => COUNTS.some(([name]) => bucket[name]));
  return html`
    <details class="numbers"><summary>The same as a table</summary>
      <table>
        <thead><tr><th scope="col">From</th>${COUNTS.map(([name, , , word = name]) => html`<th scope="col" key=${name}>${word}</th>`)}<th scope="col">pass time</th></tr></thead>
        <tbody>${[...shown].reverse().map((bucket) => html`<tr key=${bucket.at}><th scope="row">${span(bucket.at, found.bucketSeconds)}</th>${COUNTS.map(([name]) => html`<td key=${name}>${bucket[name]}</td>`)}<td>${seconds(bucket.seconds)}</td></tr>`)}</tbody>
      </table>
    </details>`;
}

// ---- the events -----------------------------------------------------------------------------------------------------

const keyOf = (event) => `${event.time} ${event.object ?? event.event}`;

function Events({ events, go, chosen }) {
  const handle = useRef(null);
  const box = useRef(null);
  useHeight(box, 260);
  const open = (row) => go({ event: keyOf(events[row]) });
  const grid = useGridKeys({ rows: events.length, onEnter: open, reveal: (row) => handle.current.reveal(row) });
  return html`
    <div ref=${box} class="eventlist" role="grid" aria-label="Events, the newest first" aria-rowcount=${events.length} ...${grid.keys}>
      <${Virtual} count=${events.length} rowHeight=${LINE} handle=${handle} pinned=${grid.active[0]} render=${(index) => {
        const event = events[index];
        return html`
          <div role="row" aria-rowindex=${index + 1}><div role="gridcell" id=${`event-${index}`} class="eventline" ...${grid.cell(index)} aria-selected=${keyOf(event) === chosen} onClick=${() => open(index)}>
            <time datetime=${event.time}>${moment(event.time, now(), true)}</time><${Badge} word=${event.word} /><span class="name">${event.object ?? ""}</span><span class="why">${event.message}</span>
          </div></div>`;
      }} />
    </div>`;
}

function Told({ event, near, go }) {
  const { change, git } = event;
  return html`
    <${Card} title=${event.object ?? event.word} near=${near} close=${() => go({ event: "" })}>
      <p><${Badge} word=${event.word} /> <time datetime=${event.time}>${moment(event.time, now(), true)}</time></p>
      <p class="why">${event.message}</p>
      ${change && html`
        ${["site", "both"].includes(change.cause) && html`<p>${effect(change.effect)}</p>`}
        <dl class="pairs">${change.fields.map((field) => html`<div key=${field.path}><dt>${field.path}</dt><dd>live ${spelled(field.before)}, declared ${spelled(field.after)}</dd></div>`)}</dl>`}
      <p class="faint">${[event.pass && `pass ${event.pass}`, git && `commit ${git.commit.slice(0, 7)}${git.dirty ? " + uncommitted changes" : ""}`].filter(Boolean).join(", ")}</p>
      ${event.object && html`<p class="ways"><a href=${url({ event: "", object: event.object })}>All of ${event.object}</a> <a href=${url({ event: "", of: event.object })}>Only its history</a></p>`}
    <//>`;
}

// ---- the view -------------------------------------------------------------------------------------------------------

export function History({ state, filter, go }) {
  const hours = SPANS[filter.hours] ? Number(filter.hours) : 24;
  const query = new URLSearchParams({ hours, ...(filter.of ? { object: filter.of } : {}) });
  const { data: found, error } = useApi(`api/history?${query}`, `${state.version} ${state.events[0]?.time ?? ""}`);
  const last = useRef(null);  // what is shown until there is the next
  if (found) last.current = { found, hours, of: filter.of };
  const said = (event) => filter.is(event.word) && filter.says([event.object, event.word, event.message].filter(Boolean).join(" "));
  const shown = last.current;
  const events = useMemo(() => (shown?.found.events ?? []).filter(said), [shown?.found, filter]);
  const bars = useMemo(() => shown && stacked(shown.found.buckets), [shown?.found]);
  const totals = shown && COUNTS.map(([name, , , word = name]) => `${sum(shown.found.buckets, name)} ${word}`).join(", ");
  const at = filter.event ? events.findIndex((event) => keyOf(event) === filter.event) : -1;
  return html`
    <section class="history" aria-label="History">
      <div class="tools">
        <div role="group" aria-label="Span" class="spans">${Object.entries(SPANS).map(([value, text]) => html`<a key=${value} href=${url({ hours: value === "24" ? "" : value })} aria-current=${Number(value) === hours ? "true" : undefined}>${text}</a>`)}</div>
        ${filter.of && html`<p>only <b>${filter.of}</b> <a href=${url({ of: "" })}>show all</a></p>`}
        ${shown && html`<ul class="legend">${COUNTS.map(([name, , , word = name]) => html`<li key=${name}><i class=${`swatch ${name}`}></i> ${sum(shown.found.buckets, name).toLocaleString("en")} ${word}</li>`)}</ul>`}
      </div>
      ${error && html`<${Empty}>The history cannot be read: ${error}<//>`}
      ${!shown && !error && html`<p class="empty loading">Reading the history.</p>`}
      ${shown && html`
        ${shown.found.kept === false && html`<p class="faint">No history file is kept, so this is what the watch has seen since it started.</p>`}
        <div class="timeline">
          <${Chart} data=${bars} options=${upright} height=${232} said=${`Time line of ${SPANS[shown.hours]}: ${totals}`} />
          <${Trends} found=${shown.found} hours=${shown.hours} />
        </div>
        <${Numbers} found=${shown.found} />
        <h2>Events <small>${events.length === shown.found.events.length ? "" : `${events.length} of `}${plural(shown.found.events.length, "event")}${shown.found.truncated ? ", the newest" : ""}</small></h2>
        ${events.length ? html`<${Events} events=${events} go=${go} chosen=${filter.event} />` : html`<${Empty}>${shown.found.events.length ? "No event matches the filter." : "Nothing happened in this time."}<//>`}
        ${at >= 0 && html`<${Told} key=${filter.event} event=${events[at]} near=${`event-${at}`} go=${go} />`}`}
    </section>`;
}
