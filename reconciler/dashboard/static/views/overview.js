// Is all well? What to do now, then all objects, the worst first, and what happened last.

import { useMemo, useRef, useState } from "../preact.js";
import { go, now, url } from "../store.js";
import { Badge, Command, Empty, html, Since, useGridKeys, Virtual } from "../ui.js";
import { moment, percent, plural, size } from "../words.js";

const LATEST = 12;
const FIRST = 8;  // of what is to be done

function Todo({ state, filter }) {
  const shown = state.todo.filter((item) => filter.is(item.standing) && filter.says([item.object, item.standing, item.text].join(" ")));
  const [all, showAll] = useState(false);
  const left = filter.on ? 0 : state.todoTotal - state.todo.length;
  const some = all || shown.length <= FIRST + 1 ? shown : shown.slice(0, FIRST);
  return html`
    <section class="todo" aria-labelledby="todo-title">
      <h2 id="todo-title">Do now</h2>
      ${shown.length === 0
        ? html`<${Empty}>${state.todo.length ? `Nothing that matches${state.todoTotal > state.todo.length ? `, among the ${state.todo.length} most urgent` : ""}.` : state.status === null ? "Nothing is known yet." : "Nothing."}<//>`
        : html`<ul>${some.map((item) => html`
            <li key=${item.object}>
              <${Badge} word=${item.standing} />
              <a href=${url({ object: item.object })}>${item.object}</a>
              ${item.since ? html`<${Since} at=${item.since} kind=${item.sinceKind} />` : html`<span></span>`}
              <span class="text">${item.text}</span>
              ${item.command && html`<${Command} command=${item.command} />`}
            </li>`)}</ul>`}
      ${some.length < shown.length
        ? html`<button type="button" class="more" onClick=${() => showAll(true)}>${(shown.length - some.length + left).toLocaleString("en")} more</button>`
        : left > 0 && html`<p class="more">and ${left.toLocaleString("en")} more, less urgent</p>`}
    </section>`;
}

// "storagePolicies", 1 -> "1 storage policy"
function counted(kind, number) {
  const many = kind.replace(/([a-z])([A-Z])(?=[a-z])/g, (_, before, upper) => `${before} ${upper.toLowerCase()}`).replace(/([a-z])([A-Z])/g, "$1 $2");
  return `${number.toLocaleString("en")} ${number === 1 ? many.replace(/ies$/, "y").replace(/s$/, "") : many}`;
}

// Of an object that is in sync, what is worth a line.
function facts(row) {
  const [used, total] = row.tightest ?? [];
  const of = row.kind ?? row.object.slice(0, row.object.indexOf("/"));
  const parts = of === "host" ? [row.cluster, row.maintenance && "in maintenance mode"] : [
    typeof row.vms === "number" && plural(row.vms, "VM"),
    total > 0 ? `${size(used)} of ${size(total)} (${percent(used, total)})` : row.usedMB > 0 && `${size(row.usedMB)}, unlimited`,
  ];
  return parts.filter(Boolean).join(" \u00b7 ");
}

function Objects({ state, filter }) {
  const rows = useMemo(() => state.objects.filter(filter.matches), [state.objects, filter]);
  const handle = useRef(null);
  const open = (row) => go({ object: rows[row].object });
  const grid = useGridKeys({ rows: rows.length, onEnter: open, reveal: (row) => handle.current.reveal(row) });
  const counts = state.kinds.filter((kind) => state[kind].length).map((kind) => counted(kind, state[kind].length)).join(", ");
  return html`
    <section class="objects" aria-labelledby="objects-title">
      <h2 id="objects-title">Objects <small>${filter.on ? `${rows.length.toLocaleString("en")} of ` : ""}${counts}</small></h2>
      ${rows.length === 0
        ? html`<${Empty}>${state.objects.length ? html`Nothing matches. <a href=${url({ q: "", state: "" })}>Show all</a>` : "There are no objects."}<//>`
        : html`
          <div role="grid" aria-labelledby="objects-title" aria-rowcount=${rows.length} ...${grid.keys}>
            <${Virtual} count=${rows.length} rowHeight=${28} handle=${handle} pinned=${grid.active[0]} render=${(at) => {
              const row = rows[at];
              return html`
                <div role="row" aria-rowindex=${at + 1}><div role="gridcell" class="object" ...${grid.cell(at)} onClick=${() => open(at)} aria-selected=${row.object === filter.object}>
                  <${Badge} word=${row.standing} /><span class="name">${row.object}</span>
                  <span class="why">${row.reason && row.standing !== "in sync" ? row.reason : facts(row)}</span>
                  ${row.since && row.standing !== "in sync" ? html`<${Since} at=${row.since} kind=${row.sinceKind} />` : html`<span></span>`}
                </div></div>`;
            }} />
          </div>`}
    </section>`;
}

function Latest({ state, filter }) {
  const found = state.events.filter((event) => !filter.on || (filter.is(event.word) && filter.says([event.object, event.word, event.message].join(" "))));
  return html`
    <section class="latest" aria-labelledby="latest-title">
      <h2 id="latest-title">Last events <small><a href=${url({ view: "history" })}>history</a></small></h2>
      ${found.length === 0 ? html`<${Empty}>${state.events.length ? "None of what is filtered." : "Nothing has happened since the watch started."}<//>` : html`
        <ol class="events" id="events">${found.slice(0, LATEST).map((event) => html`
          <li key=${`${event.time}${event.object}${event.event}`}>
            <time datetime=${event.time}>${moment(event.time, now())}</time>
            <span><${Badge} word=${event.word} /> ${event.object && html`<a href=${url({ object: event.object })}>${event.object}</a> `}<span class="text">${event.message}</span></span>
          </li>`)}</ol>`}
    </section>`;
}

export const Overview = ({ state, filter }) => html`
  <div class=${`overview ${filter.on ? "" : "whole-site"}`}>
    <${Todo} state=${state} filter=${filter} />
    <${Objects} state=${state} filter=${filter} />
    <${Latest} state=${state} filter=${filter} />
  </div>`;
