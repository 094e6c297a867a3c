// The parts that every view is made of.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { now, useTicking } from "./store.js";
import { lasting, look, looks, moment } from "./words.js";

export { html };

// A state or an event in its colour, with its mark. `text`: instead of the word.
export const Badge = ({ word, text = word }) => html`
  <span class=${`badge ${looks(word)}`}><span class="mark" aria-hidden="true">${look(word)[1]}</span>${text}</span>`;

// How long ago something was, ticking. `kind`: `began`, or else it is older than it was seen.
export function Since({ at, kind = "began" }) {
  const age = useTicking(() => lasting((now() - Date.parse(at)) / 1000));
  const title = `${kind === "began" ? "since" : "first seen"} ${moment(at, now(), true)}`;
  return html`<time datetime=${at} title=${title}>${kind === "began" ? age : `> ${age}`}</time>`;
}

// A button that copies `text`. `label`: what is copied, for those who do not see it.
export function Copy({ text, label = text }) {
  const [done, say] = useState("");
  useEffect(() => { if (done) { const timer = setTimeout(() => say(""), 2000); return () => clearTimeout(timer); } return undefined; }, [done]);
  const copy = (event) => {
    event.stopPropagation();
    navigator.clipboard.writeText(text).then(() => say("copied"), () => say("select it by hand"));
  };
  return html`<button type="button" class="copy" onClick=${copy} aria-label=${`copy ${label}`}>${done || "copy"}</button><span class="unseen" role="status">${done}</span>`;
}

// A command to copy.
export const Command = ({ command }) => html`<span class="command"><code>${command}</code><${Copy} text=${command} /></span>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

// The keys of a grid that is one tab stop: arrows, Home, End, Ctrl+Home, Ctrl+End, Page Up, Page Down move, Enter and Space open.
//
//   const grid = useGridKeys({ rows, columns, onEnter: (row, column) => ..., reveal: (row, column) => ... });
//   <div role="grid" ...${grid.keys}> ... <div role="gridcell" ...${grid.cell(row, column)}>
//
// `reveal` scrolls to where a cell is, so that it is drawn; it may be drawn later. Cells that are no longer there are
// never active. `start`: the cell that is active at first.
export function useGridKeys({ rows, columns = 1, onEnter, reveal, page = 10, start = [0, 0] }) {
  const [at, move] = useState(start);
  const wanted = useRef(false);
  const active = [Math.max(0, Math.min(at[0], rows - 1)), Math.max(0, Math.min(at[1], columns - 1))];
  const to = (row, column) => {
    const next = [Math.max(0, Math.min(row, rows - 1)), Math.max(0, Math.min(column, columns - 1))];
    wanted.current = true;
    move(next);
    reveal?.(...next);
  };
  const onKeyDown = (event) => {
    if (event.altKey || event.metaKey || !event.target.dataset?.cell) return;
    const [row, column] = active;
    const all = event.ctrlKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [all ? 0 : row, 0], End: [all ? rows - 1 : row, columns - 1], PageUp: [row - page, column], PageDown: [row + page, column],
    };
    if (moves[event.key]) to(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") onEnter?.(...active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const cell = (row, column = 0) => {
    const isActive = row === active[0] && column === active[1];
    return {
      "data-cell": `${row},${column}`,
      tabIndex: isActive ? 0 : -1,
      onFocus: () => { if (!isActive) move([row, column]); },
      // Whoever moved there gets the focus as soon as the cell is drawn.
      ref: isActive ? (element) => { if (element && wanted.current) { wanted.current = false; element.focus({ preventScroll: true }); } } : undefined,
    };
  };
  return { active, keys: { onKeyDown }, cell, to };
}

// A list of rows of one height, of which only those in sight are drawn. `render(index)` yields a row; `handle.current.reveal(index)`
// scrolls to one. `pinned`: an index that stays drawn, as it has the focus.
export function Virtual({ count, rowHeight, render, handle, pinned = -1, overscan = 8, header = null, ...rest }) {
  const scroller = useRef(null);
  const [[first, last], show] = useState([0, 40]);
  const measure = () => {
    const { scrollTop, clientHeight } = scroller.current;
    const from = Math.max(0, Math.floor(scrollTop / rowHeight) - overscan);
    const to = Math.ceil((scrollTop + Math.min(clientHeight, innerHeight)) / rowHeight) + overscan;
    show((before) => (before[0] === from && before[1] === to ? before : [from, to]));
  };
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(measure);
    watcher.observe(scroller.current);
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(measure, [count, rowHeight]);
  if (handle) {
    handle.current = {
      reveal: (index) => {
        const box = scroller.current;
        const head = box.lastElementChild.offsetTop;  // the header stays on top of the rows
        const top = head + index * rowHeight;
        if (top < box.scrollTop + head) box.scrollTop = top - head;
        else if (top + rowHeight > box.scrollTop + box.clientHeight) box.scrollTop = top + rowHeight - box.clientHeight;
        measure();
      },
    };
  }
  const rows = [];
  for (let index = first; index < Math.min(last, count); index += 1) rows.push(index);
  if (pinned >= 0 && pinned < count && (pinned < first || pinned >= last)) rows.push(pinned);
  return html`
    <div class="virtual" ref=${scroller} onScroll=${measure} ...${rest}>
      ${header}
      <div class="all" style=${{ height: `${count * rowHeight}px` }}>
        ${count > rows.length && html`<p class="paper">The first of ${count.toLocaleString("en")}; a filter shows fewer.</p>`}
        ${rows.map((index) => html`<div key=${index} class="at" style=${{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }}>${render(index)}</div>`)}
      </div>
    </div>`;
}

// uPlot, fetched when something is plotted: undefined until it is there.
let plotting = null;
export function usePlot() {
  const [ready, tell] = useState(() => window.uPlot);
  useEffect(() => {
    plotting ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = new URL("vendor/uPlot.js", import.meta.url).href;
      script.addEventListener("load", () => resolve(window.uPlot));
      document.head.append(script);
    });
    plotting.then((made) => tell(() => made));
  }, []);
  return ready;
}
