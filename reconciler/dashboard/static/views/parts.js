// The parts that the access map, the hosts and the history share.

import { html, useLayoutEffect, useRef, useState } from "../preact.js";

// Rows, those of each group below a head: { head: "team=web", rows: [...] }. `by`: "label:team"; nothing: no groups.
export function grouped(rows, by, labels) {
  if (!by.startsWith("label:")) return rows;
  const key = by.slice("label:".length);
  const groups = new Map();
  for (const row of rows) {
    const value = labels(row)?.[key];
    const head = value === undefined ? `without ${key}` : `${key}=${value}`;
    if (!groups.has(head)) groups.set(head, []);
    groups.get(head).push(row);
  }
  const heads = [...groups.keys()].sort((a, b) => a.startsWith("without ") - b.startsWith("without ") || a.localeCompare(b, "en", { numeric: true }));
  return heads.flatMap((head) => [{ head, rows: groups.get(head) }, ...groups.get(head)]);
}

export const labelsOf = (rows) => [...new Set(rows.flatMap((row) => Object.keys(row.labels ?? {})))].sort();

// One of a few values. `choices`: what each is called, by value.
export const Choose = ({ label, value, choices, choose }) => html`
  <label class="choose">${label} <select value=${value} onChange=${(event) => choose(event.target.value)}>
    ${Object.entries(choices).map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
  </select></label>`;

export const GroupBy = ({ labels, value, choose, none = "nothing" }) => (labels.length > 0 || value) && html`
  <${Choose} label="grouped by" value=${value} choices=${{ "": none, ...Object.fromEntries(labels.map((key) => [`label:${key}`, key])) }} choose=${choose} />`;

// The height that is left for an element down to the bottom of the window.
export function useHeight(box, least = 320, below = 16, share = 1) {
  useLayoutEffect(() => {
    const fit = () => {
      const top = box.current.getBoundingClientRect().top + scrollY;
      box.current.style.height = `${Math.max(least, share * (innerHeight - top - below))}px`;
    };
    const watcher = new ResizeObserver(fit);  // what stands above may grow
    watcher.observe(document.body);
    addEventListener("resize", fit);
    fit();
    return () => { watcher.disconnect(); removeEventListener("resize", fit); };
  }, []);
}

// The width and the height of an element, as they are now.
export function useSize(box) {
  const [size, set] = useState([0, 0]);
  useLayoutEffect(() => {
    const measure = () => {
      const { clientWidth, clientHeight } = box.current;
      set((before) => (before[0] === clientWidth && before[1] === clientHeight ? before : [clientWidth, clientHeight]));
    };
    const watcher = new ResizeObserver(measure);
    watcher.observe(box.current);
    measure();
    return () => watcher.disconnect();
  }, []);
  return size;
}

// A dialog beside what it is about: the element with the id `near`. Escape or a click elsewhere closes it.
export function Card({ title, near, close, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const box = dialog.current;
    box.showModal();
    const at = near && document.getElementById(near)?.getBoundingClientRect();
    if (at && innerWidth > 600) {
      const { width, height } = box.getBoundingClientRect();
      const right = at.right + 8 + width < innerWidth;
      box.classList.add("placed");
      box.style.left = `${Math.max(8, right ? at.right + 8 : at.left - 8 - width)}px`;
      box.style.top = `${Math.max(8, Math.min(at.top, innerHeight - height - 24))}px`;
    }
  }, []);
  return html`
    <dialog ref=${dialog} class="card" aria-label=${title} onClose=${close} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
      <div class="inside">
        <header><h2>${title}</h2><button type="button" class="close" aria-label="close" onClick=${() => dialog.current.close()}>✕</button></header>
        ${children}
      </div>
    </dialog>`;
}
