// All that is known of one object, beside the view.

import { useEffect, useRef } from "./preact.js";
import { go, now, url, useApi } from "./store.js";
import { Badge, Command, Empty, html, Since } from "./ui.js";
import { applier, commitURL, moment, risk, since, spelled, upper } from "./words.js";

const Part = ({ title, children }) => html`<section><h3>${title}</h3>${children}</section>`;

// A value, in lines if it is a list, of which those stand out that the other side lacks.
function Value({ value, other }) {
  if (!Array.isArray(value)) return spelled(value);
  const known = new Set((Array.isArray(other) ? other : [other]).map(spelled));
  return value.length ? value.map((one) => html`<div class=${known.has(spelled(one)) ? "" : "only"}>${spelled(one)}</div>`) : "none";
}

function Fields({ fields }) {
  return html`
    <table class="sides">
      <thead><tr><th scope="col">Field</th><th scope="col">Declared</th><th scope="col">Live</th></tr></thead>
      <tbody>${fields.map((field) => html`
        <tr key=${field.path}>
          <th scope="row">${field.path}</th>
          <td><${Value} value=${field.declared} other=${field.live} /></td>
          <td class="live"><${Value} value=${field.live} other=${field.declared} /></td>
        </tr>`)}</tbody>
    </table>`;
}

function Rights({ rights }) {
  return html`
    <table class="sides">
      <thead><tr><th scope="col">Datastore</th><th scope="col">Declared</th><th scope="col">Live</th></tr></thead>
      <tbody>${rights.map((right) => html`
        <tr>
          <th scope="row">${right.datastore}${right.vm && html`<small>${right.vm}</small>`}</th>
          <td>${spelled(right.before)}</td>
          <td><b class=${right.gains ? "bad" : "drift"}>${right.gains ? "+" : "\u2212"}</b> ${spelled(right.after)}${right.releases && html`<small>${spelled(right.releases)}</small>`}</td>
        </tr>`)}</tbody>
    </table>`;
}

const Conditions = ({ conditions }) => html`
  <dl class="pairs">${conditions.map(({ type, status, message }) => html`
    <div class=${status === "True" ? "good" : status === "False" ? "bad" : "unknown"} key=${type}><dt>${type}</dt><dd><b>${status}</b> ${message}</dd></div>`)}</dl>`;

const Events = ({ events }) => html`
  <ol class="events">${events.map((event) => html`
    <li><time datetime=${event.time}>${moment(event.time, now())}</time><span><${Badge} word=${event.word} /> <span class="text">${event.message}</span></span></li>`)}</ol>`;

function Applied({ applied, repository }) {
  const to = commitURL(repository, applied.commit);
  const commit = applied.commit && html`, commit ${to ? html`<a href=${to} rel="noopener noreferrer" target="_blank">${applied.commit.slice(0, 7)}</a>` : html`<code>${applied.commit.slice(0, 7)}</code>`}`;
  return html`<p>${applier(applied)}${applied.at && html`, <${Since} at=${applied.at} /> ago`}${commit}${applied.set && `, set ${applied.set}`}${applied.reason && `: ${applied.reason}`}</p>`;
}

// What its repair would do; whether the site was changed, and what that did to access, was said before.
function repair({ op, risk: would }) {
  if (!op || ["keep", "unknown", "unmanaged"].includes(op)) return "";
  return op === "blocked" ? "Its repair is blocked." : `Its repair ${risk(would)}.`;
}

function Body({ found, repository }) {
  const labels = Object.entries(found.labels ?? {});
  const notes = [...found.notes, ...found.held].filter((note) => note !== found.told);
  return html`
    ${repair(found) && html`<p class="effect">${repair(found)}</p>`}
    ${notes.map((note) => html`<p class="note">${note}</p>`)}
    ${found.command && html`<${Part} title="Do now"><${Command} command=${found.command} /><//>`}
    ${found.fields.length > 0 && html`<${Part} title="Declared and live"><${Fields} fields=${found.fields} /><//>`}
    ${found.rights.length > 0 && html`<${Part} title="Rights declared and live"><${Rights} rights=${found.rights} /><//>`}
    <${Part} title="Manifest"><dl class="pairs">
      <div><dt>File</dt><dd>${found.manifest ? html`<code>${found.manifest.file}${found.manifest.line && `:${found.manifest.line}`}</code>` : "none declares it"}</dd></div>
      ${labels.length > 0 && html`<div><dt>Labels</dt><dd>${labels.map(([name, value]) => html`<code>${name}=${value}</code> `)}</dd></div>`}
      <div><dt>Applied by</dt><dd>${found.applied ? html`<${Applied} applied=${found.applied} repository=${repository} />` : "nobody that is recorded"}</dd></div>
    </dl><//>
    ${found.conditions.length > 0 && html`<${Part} title="Conditions"><${Conditions} conditions=${found.conditions} /><//>`}
    <${Part} title="What happened">${found.events.length ? html`<${Events} events=${found.events} />` : html`<${Empty}>Nothing that is recorded.<//>`}<//>
    ${found.facts.length > 0 && html`<${Part} title="Facts"><dl class="pairs">${found.facts.map(([name, value]) => html`<div class=${name ? "" : "more"}><dt>${name}</dt><dd>${spelled(value)}</dd></div>`)}</dl><//>`}`;
}

export function Drawer({ object, state }) {
  const [kind, name] = [object.slice(0, object.indexOf("/")), object.slice(object.indexOf("/") + 1)];
  const { data, error, missing } = useApi(`api/object?${new URLSearchParams({ kind, name })}`, state.version);
  const row = state.byObject.get(object);
  const found = data ?? row;
  const title = useRef(null);
  const opener = useRef(null);
  useEffect(() => {
    if (!title.current.closest("aside").contains(document.activeElement)) opener.current = document.activeElement;
    title.current.focus();
  }, [object]);
  // Whoever opened it gets the focus back, or the view, if that is gone.
  useEffect(() => () => {
    const { current } = opener;
    (current?.isConnected && current !== document.body ? current : document.getElementById("main"))?.focus();
  }, []);
  return html`
    <aside class="drawer" id="drawer" aria-labelledby="drawer-title">
      <header>
        <h2 id="drawer-title" ref=${title} tabindex="-1">${object}</h2>
        <button type="button" onClick=${() => go({ object: "" })}>Close</button>
      </header>
      ${found && html`
        <p class="lead"><${Badge} word=${found.standing} /> ${found.since && html`${since(found.since, found.sinceKind, now())} (<${Since} at=${found.since} kind=${found.sinceKind} />)`}</p>
        <p class="reason">${upper(found.told ?? found.reason ?? "as declared")}</p>`}
      ${data && html`<${Body} found=${data} repository=${state.repositoryURL} />
        <p class="onward"><a href=${url({ view: "history", object: "", of: object })}>Its history over time</a></p>`}
      ${error && html`<p class="problem">${missing ? "There is no such object." : `No details: ${error}`}</p>`}
    </aside>`;
}
