// Who may do what where: vmgroups x datastores, each with the right that is in force and how full its quota is.

import { Component, h, useEffect, useMemo, useRef, useState } from "../preact.js";
import { url, useApi } from "../store.js";
import { Badge, Empty, html } from "../ui.js";
import { looks, named, percent, plural, size, standings, upper } from "../words.js";
import { Card, Choose, GroupBy, grouped, labelsOf, useHeight, useSize } from "./parts.js";

const NARROW = 28;  // of a column that has room for a glyph only
const WIDE = 104;  // from here on, a cell has room for numbers
const GLYPH = 18;
const AROUND = 4;  // rows and columns that are drawn beyond those in sight
const CREATE = 2;
const ONLY_OWN = 1;  // the flags of a cell
const UNSURE = 2;
const QUIET = "in sync";
const MOST_NAMED = 12;

// ---- what there is --------------------------------------------------------------------------------------------------

const ways = { state: "worst state first", name: "name", full: "fullest quota first" };
const byName = new Intl.Collator("en", { numeric: true }).compare;
const fullness = ([, right, used, total]) => (right === CREATE && total ? used / total : -1);
const cellOf = (group, column) => (group.at ??= new Map(group.cells.map((cell) => [cell[0], cell]))).get(column);
const fullest = (group) => (group.fullest ??= Math.max(-1, ...group.cells.map(fullness)));
const labelled = (group) => Object.entries(group.labels).map(([key, value]) => `${key}=${value}`).join(" ");

// Datastores of one name, as two datacenters may have, are told apart by their volumes.
function distinct(map) {
  const names = map.datastores.map(({ name }) => name);
  for (const store of map.datastores) if (names.indexOf(store.name) !== names.lastIndexOf(store.name)) store.name += ` (${store.url.split("/").pop()})`;
  return map;
}

// The lines of the map, vmgroups and heads of groups of them, and the columns that it has.
function arranged(map, filter, sort) {
  const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (group) => `${group.object} ${group.standing} ${labelled(group)}`.toLowerCase();
  const texts = map.vmgroups.map(text);
  // A word that no vmgroup has, but a datastore, narrows the columns.
  const ofColumns = words.filter((word) => !texts.some((each) => each.includes(word)) && map.datastores.some(({ name }) => name.toLowerCase().includes(word)));
  const ofRows = words.filter((word) => !ofColumns.includes(word));
  const columns = [...map.datastores.keys()].filter((column) => ofColumns.every((word) => map.datastores[column].name.toLowerCase().includes(word)));
  const rows = map.vmgroups.filter((group, order) => filter.is(group.standing) && ofRows.every((word) => texts[order].includes(word)));
  const ranks = new Map(standings().map((word, order) => [word, order]));
  const rank = (group) => ranks.get(group.standing) ?? 0;
  const on = map.datastores.findIndex(({ name }) => `on:${name}` === sort);
  const here = (group) => { const cell = cellOf(group, on); return cell ? Math.max(fullness(cell), (cell[1] - 3) / 2) : -2; };
  const key = on >= 0 ? (a, b) => here(b) - here(a) : sort === "full" ? (a, b) => fullest(b) - fullest(a) : sort === "name" ? () => 0 : (a, b) => rank(a) - rank(b);
  rows.sort((a, b) => key(a, b) || byName(a.name, b.name));
  return { rows, columns, lines: grouped(rows, filter.group, (group) => group.labels) };
}

// ---- in words -------------------------------------------------------------------------------------------------------

function said(cell, group, store) {
  if (!group.known) return "not known";
  if (!cell) return store.unknownHosts ? `no known access, ${unseen(store)}` : "no access";
  const [, right, used, total, flags = 0] = cell;
  const part = `${flags & ONLY_OWN ? ", for VMs that lie there" : ""}${flags & UNSURE ? ", not certain" : ""}`;
  if (right !== CREATE) return `mount only${part}`;
  return `${total ? `create and mount, ${size(used)} of ${size(total)} (${percent(used, total)})` : `create and mount without a quota, ${size(used)} used`}${part}`;
}

const unseen = ({ unknownHosts }) => `${plural(unknownHosts, "host")} not seen`;
const members = (group) => (group.known ? plural(group.vms, "VM") : "rights not known");
const crowded = ({ capacityMB, promisedMB }) => capacityMB !== null && promisedMB > capacityMB;
const share = ({ capacityMB, promisedMB, unlimited }) => `${capacityMB ? `${Math.floor((100 * promisedMB) / capacityMB)}%` : "?"}${unlimited ? "+" : ""}`;

function promised(store) {
  const { capacityMB, freeMB, usedMB, promisedMB, unlimited, openOnTotal, unknownHosts } = store;
  const of = capacityMB === null ? "capacity unknown" : `of ${size(capacityMB)} capacity (${percent(promisedMB, capacityMB)})`;
  return [
    `${crowded(store) ? "over-committed: " : ""}${size(promisedMB)} promised ${of}`,
    unlimited ? `${plural(unlimited, "vmgroup")} without a quota` : "", `${size(usedMB)} used`, freeMB === null ? "" : `${size(freeMB)} free`,
    openOnTotal ? `OPEN through ${plural(openOnTotal, "host")}` : "", unknownHosts ? unseen(store) : "",
  ].filter(Boolean).join(", ");
}

// ---- how it looks ---------------------------------------------------------------------------------------------------

const cellId = (row, column) => `map-${row}-${column}`;

// Ten levels are as many as can be told apart in a cell, and classes are drawn faster than styles.
function look([, right, used, total]) {
  if (right !== CREATE) return "right mount";
  if (!total) return "right create unlimited";
  return `right create ${used >= 0.9 * total ? "full " : ""}l${Math.min(10, Math.ceil((10 * used) / total))}`;
}
const numbers = ([, right, used, total]) => (right !== CREATE ? "mount" : `${size(used)}${total ? ` of ${size(total)}` : ", no quota"}`);

// A vmgroup. It is drawn again only if what it shows is another: `shows` has all of that. Cells without a right are drawn
// only where the keys are, as most of the map is empty.
class Row extends Component {
  shouldComponentUpdate(next) { return next.shows.some((value, order) => value !== this.props.shows[order]); }
  render({ shows: [group, line, top, columns, stores, width, active] }) {
    const cells = [];
    const wide = width >= WIDE;
    for (const [index, order] of columns) {
      const cell = cellOf(group, index);
      const on = order === active;
      if (!cell && !on) continue;
      const right = cell ? look(cell) : "right";
      cells.push(h("div", {
        key: index, role: "gridcell", "aria-colindex": order + 2, id: on ? cellId(line, order) : undefined, class: `cell ${wide ? "" : right} ${on ? "on" : ""}`,
        style: `left:${order * width + (wide ? 0 : (width - GLYPH) / 2)}px`, "aria-label": `${group.name} on ${stores[index].name}: ${said(cell, group, stores[index])}`,
      }, wide && h("i", { class: right }), wide && cell && h("span", null, numbers(cell))));
    }
    return html`
      <div role="row" aria-rowindex=${line + 2} class="line" style=${`top:${top}px`}>
        <div role="rowheader" aria-colindex="1" id=${cellId(line, -1)} class=${active === -1 ? "who on" : "who"} aria-label=${`${group.name}: ${group.standing}, ${members(group)}`}>
          <${Badge} word=${group.standing} text="" /><span class="name">${group.name}</span>${group.standing !== QUIET && html`<span class=${`word ${looks(group.standing)}`}>${group.standing}</span>`}<span class="faint">${members(group)}</span>
        </div>
        <div role="none" class="cells">${cells}</div>
      </div>`;
  }
}

const Heading = ({ line, index, top, on }) => html`
  <div role="row" aria-rowindex=${index + 2} class="line heading" style=${`top:${top}px`}>
    <div role="rowheader" aria-colindex="1" id=${cellId(index, -1)} class=${on ? "who on" : "who"}>
      <span class="name">${line.head}</span><span class="faint">${plural(line.rows.length, "vmgroup")}</span>
    </div>
  </div>`;

const StoreHead = ({ store, order, on, sorted, width }) => html`
  <div role="columnheader" aria-colindex=${order + 2} id=${cellId(-1, order)} class=${`store ${crowded(store) ? "crowded" : ""} ${on ? "on" : ""}`} style=${`left:${order * width}px`}
    aria-sort=${sorted ? "descending" : "none"} aria-label=${`${store.name}: ${promised(store)}`}>
    <span class="label"><span class="name">${store.openOnTotal > 0 && html`<b class="bad">!</b> `}${store.name}</span> <b>${share(store)}${width >= WIDE ? " promised" : ""}</b></span>
    <span class="promise" style=${{ "--level": `${store.capacityMB ? Math.min(100, (100 * store.promisedMB) / store.capacityMB) : 0}%` }}></span>
  </div>`;

const Legend = () => html`
  <ul class="legend">
    <li><i class="right create l6"></i> create, by quota used</li>
    <li><i class="right create full l10"></i> quota 90 % used</li>
    <li><i class="right create unlimited"></i> no quota</li>
    <li><i class="right mount"></i> mount only</li>
    <li class="crowded"><i class="promise" style=${{ "--level": "100%" }}></i> over-committed</li>
  </ul>`;

// ---- the map --------------------------------------------------------------------------------------------------------

export function Access({ state, filter, go }) {
  const { data, error } = useApi("api/access", state?.version);
  const map = useMemo(() => data && distinct(data), [data]);
  if (error && !map) return html`<${Empty}>The access map cannot be read: ${error}<//>`;
  if (!map) return html`<p class="empty loading">Reading the access map.</p>`;
  if (!map.vmgroups.length) return html`<${Empty}>No vmgroup is known yet. As soon as a config DB with vmgroups is read, or one is declared, it stands here.<//>`;
  return html`<${Map_} map=${map} filter=${filter} go=${go} />`;
}

function Map_({ map, filter, go }) {
  const sort = filter.sort || "state";
  const { lines, rows, columns } = useMemo(() => arranged(map, filter, sort), [map, filter.q, filter.state, filter.group, sort]);
  const choices = sort.startsWith("on:") ? { ...ways, [sort]: `right and quota on ${sort.slice(3)}` } : ways;
  return html`
    <section class="access" aria-label="Access map">
      <div class="tools">
        <p class="count"><b>${rows.length === map.vmgroups.length ? plural(rows.length, "vmgroup") : `${rows.length} of ${plural(map.vmgroups.length, "vmgroup")}`}</b> on ${plural(columns.length, "datastore")}</p>
        <${Choose} label="sorted by" value=${sort} choices=${choices} choose=${(value) => go({ sort: value === "state" ? "" : value })} />
        <${GroupBy} labels=${labelsOf(map.vmgroups)} value=${filter.group} choose=${(group) => go({ group })} />
        <${Legend} />
      </div>
      ${rows.length ? html`<${Grid} map=${map} lines=${lines} columns=${columns} sort=${sort} go=${go} filter=${filter} />` : html`<${Empty}>No vmgroup matches the filter.<//>`}
      ${filter.vmgroup && html`<${Rule} key=${`${filter.vmgroup} ${filter.datastore}`} map=${map} filter=${filter} go=${go} />`}
    </section>`;
}

function Grid({ map, lines, columns, sort, go, filter }) {
  const box = useRef(null);
  const beam = useRef(null);
  const words = useRef(null);
  const pointed = useRef("");
  const [width] = useSize(box);
  useHeight(box, 320, 44);
  const phone = width < 600;
  const head = phone ? 132 : 236;
  const column = Math.max(NARROW, Math.min(260, Math.floor((width - head - 1) / columns.length)));
  const wide = column >= WIDE;
  const height = wide ? 32 : 26;
  const top = wide ? 64 : 136;  // of the datastores' heads

  const [scrolled, scroll] = useState([0, 0]);  // the first line and the first column in sight
  const look = () => {
    const at = [Math.floor(box.current.scrollTop / height), Math.floor(box.current.scrollLeft / column)];
    scroll((before) => (before[0] === at[0] && before[1] === at[1] ? before : at));
  };
  useEffect(look, [height, column, lines, columns]);
  useEffect(() => { if (filter.vmgroup && width) step(...active); }, [Boolean(width)]);
  const inSight = box.current ? [Math.ceil(box.current.clientHeight / height), Math.ceil(width / column)] : [30, 40];
  const from = Math.max(0, scrolled[1] - AROUND);
  const to = Math.min(columns.length, scrolled[1] + inSight[1] + AROUND);
  const drawn = useMemo(() => columns.slice(from, to).map((index, order) => [index, from + order]), [columns, from, to]);

  const [at, move] = useState(() => [ // where the URL says, at first
    Math.max(0, lines.findIndex((line) => line.object && named(line.object) === filter.vmgroup)), columns.findIndex((index) => map.datastores[index].name === filter.datastore),
  ]);
  const active = [Math.min(at[0], lines.length - 1), Math.min(at[1], columns.length - 1)];
  const shown = [];
  for (let index = Math.max(0, scrolled[0] - AROUND); index < Math.min(lines.length, scrolled[0] + inSight[0] + AROUND); index += 1) shown.push(index);
  if (active[0] >= 0 && !shown.includes(active[0])) shown.push(active[0]);

  const saying = ([line, order]) => {
    const found = lines[line];
    if (line < 0) return order < 0 ? "" : `${map.datastores[columns[order]].name}: ${promised(map.datastores[columns[order]])}`;
    if (!found || found.head) return "";
    if (order < 0) return `${found.name}: ${found.standing}, ${members(found)}${found.labels ? `, ${labelled(found)}` : ""}`;
    return `${found.name} on ${map.datastores[columns[order]].name}: ${said(cellOf(found, columns[order]), found, map.datastores[columns[order]])}`;
  };
  const point = (where) => {
    words.current.textContent = saying(where);
    beam.current.hidden = where[1] < 0;
    beam.current.style.left = `${head + where[1] * column}px`;
  };
  useEffect(() => point(active), [at, lines, columns, column]);
  const under = ({ clientX, clientY }) => {  // which cell is there
    const { left, top: above } = box.current.getBoundingClientRect();
    const [x, y] = [clientX - left - 1, clientY - above - 1];
    const line = y < top ? -1 : Math.floor((y - top + box.current.scrollTop) / height);
    const order = x < head ? -1 : Math.floor((x - head + box.current.scrollLeft) / column);
    return line < lines.length && order < columns.length ? [line, order] : null;
  };

  const open = ([line, order]) => {
    const found = lines[line];
    if (line < 0) go({ sort: order < 0 ? "name" : `on:${map.datastores[columns[order]].name}` });
    else if (found.head) return;
    else if (order < 0) go({ object: found.object });
    else go({ vmgroup: named(found.object), datastore: map.datastores[columns[order]].name });
  };
  const step = (line, order) => {
    const next = [Math.max(-1, Math.min(line, lines.length - 1)), Math.max(-1, Math.min(order, columns.length - 1))];
    const { current } = box;
    if (next[0] >= 0) {
      const room = current.clientHeight - top;
      current.scrollTop = Math.max((next[0] + 1) * height - room, Math.min(current.scrollTop, next[0] * height));
    }
    if (next[1] >= 0) {
      const room = current.clientWidth - head;
      current.scrollLeft = Math.max((next[1] + 1) * column - room, Math.min(current.scrollLeft, next[1] * column));
    }
    move(next);
    look();
  };
  const onKeyDown = (event) => {
    if (event.altKey || event.metaKey) return;
    const [line, order] = active;
    const all = event.ctrlKey;
    const page = Math.max(1, inSight[0] - 6);
    const moves = {
      ArrowUp: [line - 1, order], ArrowDown: [line + 1, order], ArrowLeft: [line, order - 1], ArrowRight: [line, order + 1],
      Home: [all ? 0 : line, -1], End: [all ? lines.length - 1 : line, columns.length - 1], PageUp: [Math.max(0, line - page), order], PageDown: [line + page, order],
    };
    if (moves[event.key]) step(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(active);
    else return;
    event.preventDefault();
  };
  const onClick = (event) => { const where = under(event); if (where) { move(where); open(where); } };
  const onPointerMove = (event) => {
    const where = under(event);
    if (where && String(where) !== pointed.current) { pointed.current = String(where); point(where); }
  };
  const onPointerLeave = () => { pointed.current = ""; point(active); };
  const across = { width: `${head + columns.length * column}px` };
  const activeColumn = (index) => (index === active[0] ? active[1] : null);
  const activeId = cellId(active[0], lines[active[0]]?.head ? -1 : active[1]);

  return html`
    <div ref=${box} class=${`map ${wide ? "wide" : ""}`} role="grid" tabindex="0" aria-label="Rights of each vmgroup on each datastore" aria-rowcount=${lines.length + 1} aria-colcount=${columns.length + 1}
      aria-activedescendant=${activeId} style=${{ "--head": `${head}px`, "--column": `${column}px`, "--row": `${height}px`, "--top": `${top}px` }}
      onScroll=${look} onKeyDown=${onKeyDown} onClick=${onClick} onPointerMove=${onPointerMove} onPointerLeave=${onPointerLeave}>
      <div role="row" aria-rowindex="1" class="heads" style=${across}>
        <div role="columnheader" aria-colindex="1" id=${cellId(-1, -1)} class=${activeId === cellId(-1, -1) ? "corner on" : "corner"} aria-sort=${sort === "name" ? "ascending" : "none"}>
          <span>VM group</span><span class="faint">promised of capacity</span>
        </div>
        <div role="none" class="cells">${drawn.map(([index, order]) => html`<${StoreHead} key=${index} store=${map.datastores[index]} order=${order} on=${active[0] === -1 && active[1] === order} sorted=${sort === `on:${map.datastores[index].name}`} width=${column} />`)}</div>
      </div>
      <div role="rowgroup" class="all" style=${{ ...across, height: `${lines.length * height}px` }}>
        ${shown.map((index) => (lines[index].head
          ? html`<${Heading} key=${`head ${index}`} line=${lines[index]} index=${index} top=${index * height} on=${index === active[0]} />`
          : html`<${Row} key=${index} shows=${[lines[index], index, index * height, drawn, map.datastores, column, activeColumn(index)]} />`))}
      </div>
      <div ref=${beam} class="beam" aria-hidden="true"></div>
    </div>
    <p ref=${words} class="said" aria-hidden="true"></p>`;
}

// Why a vmgroup may do what it may on a datastore: the row that decides, its limits, and who that is.
function Rule({ map, filter, go }) {
  const { vmgroup, datastore } = filter;
  const column = map.datastores.findIndex(({ name }) => name === datastore);
  const { data: rule, error } = useApi(`api/cell?${new URLSearchParams({ vmgroup, datastore: map.datastores[column]?.url ?? datastore })}`, map.version);
  const group = map.vmgroups.find(({ object }) => named(object) === vmgroup);
  const cell = group && cellOf(group, column);
  const full = cell && fullness(cell) >= 0;
  return html`
    <${Card} title=${`${vmgroup} on ${datastore}`} near=${document.querySelector(".map .cell.on")?.id} close=${() => go({ vmgroup: "", datastore: "" })}>
      ${!group || column < 0 ? html`<p>There is no such vmgroup, or no such datastore, any more.</p>` : html`
        <p class="decided">${cell && html`<i class=${look(cell)}></i>`}<b>${upper(said(cell, group, map.datastores[column]))}</b></p>
        ${full && html`<p class="quota"><span class="promise" style=${{ "--level": `${Math.min(100, 100 * fullness(cell))}%` }}></span></p>`}`}
      ${error ? html`<p>Why that is so cannot be read: ${error}</p>` : rule ? html`<${Why} rule=${rule} />` : html`<p class="faint">Reading why.</p>`}
      ${group && html`<p class="ways"><a href=${url({ vmgroup: "", datastore: "", object: group.object })}>All of ${group.object}</a></p>`}
    <//>`;
}

function Why({ rule }) {
  const { limits = {}, ways = [], vms = [], vmsTotal = vms.length, openOn = [], manifest } = rule;
  const pairs = [
    ["Decided by", rule.rule ? `the access row of ${rule.rule}` : rule.known && "no access row"],
    ["Largest volume", rule.right === CREATE && (limits.volumeMaxMB ? size(limits.volumeMaxMB) : "no limit")],
    ["All volumes", rule.right === CREATE && (rule.totalMB ? `${size(rule.totalMB)} on this datastore` : "no limit")],
    [rule.right ? "Who may" : "Its VMs", (rule.known || vmsTotal) && `${vmsTotal ? `${plural(vmsTotal, "VM")}: ${vms.slice(0, MOST_NAMED).map((vm) => vm.replace(/ \([-0-9a-f]{36}\)$/, "")).join(", ")}` : "no VM is in it"}${vmsTotal > MOST_NAMED ? `, and ${vmsTotal - MOST_NAMED} more` : ""}`],
    ["Manifest", manifest && html`<code>${manifest.file}${manifest.line ? `:${manifest.line}` : ""}</code>`],
  ].filter(([, value]) => value);
  const cases = [...new Map(ways.map((way) => [[way.vmsOnIt, way.shortName, way.rule, way.right, way.reason].join(), way])).values()];
  return html`
    ${openOn.length > 0 && html`<p class="open"><${Badge} word="OPEN" /> ${openOn[0]}${openOn.length > 1 ? ` and ${openOn.length - 1} more` : ""} mounts it: there every VM may create volumes without limit.</p>`}
    ${rule.onlyOwn && html`<p>So much only to VMs that lie on this datastore themselves.</p>`}
    ${rule.unsure && html`<p>Releases of vDVS differ in this, or the row holds values that it may read either way.</p>`}
    <dl class="pairs">${pairs.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${cases.length > 1 && html`
      <details><summary>${plural(cases.length, "case")} that vDVS tells apart</summary>
        <table class="cases"><thead><tr><th scope="col">VM</th><th scope="col">volume named</th><th scope="col">may</th><th scope="col">by the row of</th></tr></thead>
          <tbody>${cases.map((way) => html`<tr title=${way.reason}><td>${way.vmsOnIt ? "on this datastore" : "elsewhere"}</td><td>${way.shortName ? "without datastore" : "with datastore"}</td><td>${way.right === CREATE ? "create" : "mount"}</td><td>${way.rule}</td></tr>`)}</tbody>
        </table>
      </details>`}`;
}
