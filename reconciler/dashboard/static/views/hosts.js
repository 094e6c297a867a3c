// Which host? All of them on one screen, a tile each, by cluster, and beside them a list of the same hosts.

import { Component, h, useEffect, useMemo, useRef, useState } from "../preact.js";
import { now } from "../store.js";
import { Badge, Empty, html, Since, useGridKeys, Virtual } from "../ui.js";
import { look, looks, plural, since, standings, worstFirst } from "../words.js";
import { GroupBy, grouped, labelsOf, useHeight, useSize } from "./parts.js";

const TILES = [30, 26, 22, 19, 17, 15, 14, 13, 12];  // pixels from one tile to the next; the largest with which all are in sight
const HEAD = 17;  // pixels of the name of a cluster, and of the gaps between clusters
const ASIDE = 12;
const BELOW = 6;
const NAME = 110;
const LINE = 28;
const AT_ONCE = 10;
const QUIET = "in sync";

// ---- where each tile is ---------------------------------------------------------------------------------------------

// How many tiles are in a row of each cluster if so many clusters stand beside each other, and how high all of it is.
function arranged(sizes, width, tile, across) {
  const room = Math.floor(((width + ASIDE) / across - ASIDE) / tile);
  const columns = Math.max(1, Math.min(room, Math.max(...sizes, Math.ceil(NAME / tile))));
  let height = 0;
  for (let first = 0; first < sizes.length; first += across) {
    height += HEAD + BELOW + tile * Math.ceil(Math.max(...sizes.slice(first, first + across)) / columns);
  }
  return { tile, across, columns, height };
}

// The largest tiles with which all are in sight, in the broadest clusters; else the smallest.
function fitting(sizes, width, height) {
  let least = null;
  for (const tile of TILES) {
    for (let across = 1; across <= sizes.length && (across === 1 || (width + ASIDE) / across >= 6 * tile + ASIDE); across += 1) {
      const found = arranged(sizes, width, tile, across);
      if (found.height <= height) return found;
      if (!least || found.height < least.height) least = found;
    }
  }
  return least;
}

// For each host its place in a raster of tiles, by which the arrow keys move.
function places(clusters, { across, columns }) {
  const found = [];
  let top = 0;
  for (let first = 0; first < clusters.length; first += across) {
    const beside = clusters.slice(first, first + across);
    beside.forEach(({ rows }, order) => rows.forEach((row, at) => found.push([order * (columns + 1) + (at % columns), top + Math.floor(at / columns)])));
    top += Math.max(...beside.map(({ rows }) => Math.ceil(rows.length / columns))) + 1;
  }
  return found;
}

function beyond(spots, at, up) {
  const [x, y] = spots[at];
  const far = ([left, top]) => Math.abs(top - y) * 10_000 + Math.abs(left - x);
  let best = at;
  spots.forEach((spot, index) => { if ((up ? spot[1] < y : spot[1] > y) && (best === at || far(spot) < far(spots[best]))) best = index; });
  return best;
}

// ---- the view -------------------------------------------------------------------------------------------------------

const short = (cluster) => cluster.slice(cluster.lastIndexOf("/") + 1);
const worded = (row) => `${row.name}: ${row.standing}`;

export function Hosts({ state, filter, go }) {
  const [chosen, choose] = useState(() => filter.object);
  const rows = useMemo(() => state.hosts.filter(filter.matches), [state.hosts, filter]);
  const clusters = useMemo(() => {
    const of = filter.group ? (row) => row.labels : (row) => (row.cluster ? { cluster: short(row.cluster) } : {});
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const sorted = [...rows].sort((a, b) => compare(a.name, b.name));
    return grouped(sorted, filter.group || "label:cluster", of).filter((line) => line.head);
  }, [rows, filter.group]);
  const listed = useMemo(() => worstFirst(rows), [rows]);
  const counts = standings().map((word) => [word, rows.filter((row) => row.standing === word).length]).filter(([, count]) => count);
  if (!state.hosts.length) return html`<${Empty}>No host is known. As soon as one is declared, or answers, it stands here.<//>`;
  return html`
    <section class="hosts" aria-label="Hosts">
      <div class="tools">
        <p class="count"><b>${filter.on ? `${rows.length.toLocaleString("en")} of ` : ""}${plural(state.hosts.length, "host")}</b> in ${plural(clusters.length, filter.group ? "group" : "cluster")}</p>
        <${GroupBy} labels=${labelsOf(state.hosts)} value=${filter.group} none="cluster" choose=${(group) => go({ group })} />
        <ul class="legend">${counts.map(([word, count]) => html`<li key=${word}><i class=${`tile ${looks(word)}`}>${look(word)[1]}</i> ${count.toLocaleString("en")} ${word}</li>`)}</ul>
      </div>
      ${rows.length === 0 ? html`<${Empty}>No host matches the filter.<//>` : html`
        <div class="hostview">
          <${Tiles} clusters=${clusters} chosen=${chosen} choose=${choose} open=${(object) => go({ object })} />
          <${List} rows=${listed} chosen=${chosen} choose=${choose} open=${(object) => go({ object })} shown=${filter.object} />
        </div>`}
    </section>`;
}

class Cluster extends Component {
  shouldComponentUpdate(next) { return ["cluster", "first", "columns", "tile", "at"].some((name) => next[name] !== this.props[name]); }
  render({ cluster, first, columns, tile, at }) {
    const bad = cluster.rows.filter((row) => row.standing !== QUIET).length;
    return html`
      <div role="group" class="cluster" aria-label=${`${cluster.head}, ${plural(cluster.rows.length, "host")}`} style=${`width:${columns * tile}px`}>
        <div class="title" aria-hidden="true"><span class="name">${cluster.head.replace(/^cluster=/, "")}</span> <span class="faint">${bad ? html`<b>${bad}</b>/` : ""}${cluster.rows.length}</span></div>
        <div class="tiles" role="none">
          ${cluster.rows.map((row, order) => h("div", {
            key: row.object, role: "option", id: `host-${first + order}`, "data-at": first + order, "aria-label": worded(row), "aria-selected": first + order === at ? "true" : "false",
            class: `tile ${looks(row.standing)} ${first + order === at ? "on" : ""}`,
          }, look(row.standing)[1]))}
        </div>
      </div>`;
  }
}

function Tiles({ clusters, chosen, choose, open }) {
  const box = useRef(null);
  const words = useRef(null);
  useHeight(box, 220, 44, innerWidth < 800 ? 0.42 : 1);  // first, as it makes the size
  const [width, height] = useSize(box);
  const fit = useMemo(() => (width ? fitting(clusters.map(({ rows }) => rows.length), width - 2, height - 2) : null), [clusters, width, height]);
  const spots = useMemo(() => (fit ? places(clusters, fit) : []), [clusters, fit]);
  const rows = useMemo(() => clusters.flatMap((cluster) => cluster.rows), [clusters]);
  const at = Math.max(0, rows.findIndex((row) => row.object === chosen));
  const say = (row) => { words.current.textContent = row ? [worded(row), row.cluster, row.standing === QUIET ? row.driver && `driver ${row.driver}` : row.reason].filter(Boolean).join(", ") : ""; };
  useEffect(() => {
    say(rows[at]);
    if (chosen) document.getElementById(`host-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen, rows, fit]);
  // A few clusters a frame, so that thousands of tiles hold up nothing.
  const [drawn, draw] = useState(AT_ONCE);
  useEffect(() => {
    if (!fit || drawn >= clusters.length) return undefined;
    const frame = requestAnimationFrame(() => draw(drawn + AT_ONCE));
    return () => cancelAnimationFrame(frame);
  }, [fit, drawn, clusters]);
  const step = (to) => choose(rows[Math.max(0, Math.min(to, rows.length - 1))].object);
  const onKeyDown = (event) => {
    if (event.altKey || event.metaKey || !fit) return;
    const lines = (times, up) => { let to = at; for (let time = 0; time < times; time += 1) to = beyond(spots, to, up); return to; };
    const moves = {
      ArrowLeft: () => at - 1, ArrowRight: () => at + 1, ArrowUp: () => lines(1, true), ArrowDown: () => lines(1, false),
      PageUp: () => lines(10, true), PageDown: () => lines(10, false), Home: () => 0, End: () => rows.length - 1,
    };
    if (moves[event.key]) step(moves[event.key]());
    else if (event.key === "Enter" || event.key === " ") open(rows[at].object);
    else return;
    event.preventDefault();
  };
  const under = (event) => { const where = event.target.closest("[data-at]"); return where ? rows[Number(where.dataset.at)] : undefined; };
  let first = 0;
  return html`
    <div>
      <div ref=${box} class="hostgrid" role="listbox" tabindex="0" aria-label="Hosts by cluster" aria-activedescendant=${`host-${at}`} style=${fit ? { "--tile": `${fit.tile}px` } : {}}
        onKeyDown=${onKeyDown} onClick=${(event) => { const row = under(event); if (row) choose(row.object); }} onDblClick=${(event) => { const row = under(event); if (row) open(row.object); }}
        onPointerOver=${(event) => { const row = under(event); if (row) say(row); }} onPointerLeave=${() => say(rows[at])}>
        ${fit && clusters.slice(0, drawn).map((cluster) => {
          const start = first;
          first += cluster.rows.length;
          return html`<${Cluster} key=${cluster.head} cluster=${cluster} first=${start} columns=${fit.columns} tile=${fit.tile} at=${at >= start && at < first ? at : -1} />`;
        })}
      </div>
      <p ref=${words} class="said" aria-hidden="true"></p>
    </div>`;
}

function List({ rows, chosen, choose, open, shown }) {
  const handle = useRef(null);
  const box = useRef(null);
  useHeight(box, 220, 44);
  const grid = useGridKeys({ rows: rows.length, onEnter: (row) => open(rows[row].object), reveal: (row) => handle.current.reveal(row) });
  useEffect(() => { const at = rows.findIndex((row) => row.object === chosen); if (at >= 0) handle.current.reveal(at); }, [chosen, rows]);
  return html`
    <div ref=${box} class="hostlist" role="grid" aria-label="List of hosts" aria-rowcount=${rows.length} ...${grid.keys}>
      <${Virtual} count=${rows.length} rowHeight=${LINE} handle=${handle} pinned=${grid.active[0]} render=${(index) => {
        const row = rows[index];
        return html`
          <div role="row" aria-rowindex=${index + 1}><div role="gridcell" class=${`hostline ${row.object === chosen ? "on" : ""}`} ...${grid.cell(index)} aria-selected=${row.object === shown}
            onClick=${() => { choose(row.object); open(row.object); }}>
            <${Badge} word=${row.standing} /><span class="name">${row.name}</span>
            <span class="why">${row.standing === QUIET ? row.cluster && short(row.cluster) : row.reason}</span>
            ${row.since && row.standing !== QUIET ? html`<${Since} at=${row.since} kind=${row.sinceKind} />` : html`<span></span>`}
          </div></div>`;
      }} />
    </div>`;
}
