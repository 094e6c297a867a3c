// All that is known of one object, beside the view.

import { useEffect, useRef } from "./vendor/standalone.module.js";
import { go, now, useApi } from "./store.js";
import { Badge, Command, Empty, html, Since } from "./ui.js";
import { commitURL, effect, moment, risk, since, spelled } from "./words.js";

const Part = ({ title, children }) => html`<section><h3>${title}</h3>${children}</section>`;

function Fields({ fields }) {
  return html`
    <table class="sides">
      <thead><tr><th scope="col">Field</th><th scope="col">Declared</th><th scope="col">Live</th></tr></thead>
      <tbody>${fields.map((field) => html`
        <tr key=${field.path}>
          <th scope="row">${field.path}${field.place && html`<small>${field.place}</small>`}</th>
          <td class="declared">${spelled(field.declared)}</td><td class="live">${spelled(field.live)}</td>
        </tr>`)}</tbody>
    </table>`;
}

function Rights({ rights }) {
  return html`
    <table class="sides">
      <thead><tr><th scope="col">Datastore</th><th scope="col">Before</th><th scope="col">Now</th></tr></thead>
      <tbody>${rights.map((right) => html`
        <tr>
          <th scope="row">${right.datastore}${right.vm && html`<small>${right.vm}</small>`}</th>
          <td>${spelled(right.before)}</td><td>${spelled(right.after)}${right.rule && html`<small>${right.rule}</small>`}</td>
        </tr>`)}</tbody>
    </table>`;
}

const Conditions = ({ conditions }) => html`
  <dl class="pairs">${conditions.map(({ type, status, message }) => html`
    <div class=${status === "True" ? "good" : status === "False" ? "bad" : "unknown"} key=${type}><dt>${type}</dt><dd><b>${status}</b> ${message}</dd></div>`)}</dl>`;

const Events = ({ events }) => html`
  <ol class="events">${events.map((event) => html`
    <li><time datetime=${event.time}>${moment(event.time, now(), true)}</time> <${Badge} word=${event.word} /> ${event.message}</li>`)}</ol>`;

function Applied({ applied, repository }) {
  const to = commitURL(repository, applied.commit);
  const commit = applied.commit && html`, commit ${to ? html`<a href=${to} rel="noopener noreferrer" target="_blank">${applied.commit.slice(0, 7)}</a>` : html`<code>${applied.commit.slice(0, 7)}</code>`}`;
  return html`<p>${applied.by ?? "somebody unknown"}${applied.at && html`, <${Since} at=${applied.at} /> ago`}${commit}</p>`;
}

function Body({ found, repository }) {
  const repair = [found.effect && effect(found.effect), found.risk && found.standing !== "in sync" && (found.standing === "blocked" ? "repair blocked" : `repair ${risk(found.risk)}`)].filter(Boolean).join("; ");
  return html`
    ${repair && html`<p class="effect">${repair}</p>`}
    ${(found.notes ?? []).map((note) => html`<p class="note">${note}</p>`)}
    ${found.command && html`<${Part} title="Do now"><${Command} command=${found.command} /><//>`}
    ${found.fields?.length > 0 && html`<${Part} title="Declared and live"><${Fields} fields=${found.fields} /><//>`}
    ${found.rights?.length > 0 && html`<${Part} title="Rights that change"><${Rights} rights=${found.rights} /><//>`}
    ${found.facts?.length > 0 && html`<${Part} title="Facts"><dl class="pairs">${found.facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${spelled(value)}</dd></div>`)}</dl><//>`}
    ${found.conditions?.length > 0 && html`<${Part} title="Conditions"><${Conditions} conditions=${found.conditions} /><//>`}
    ${found.manifest && html`<${Part} title="Manifest"><p><code>${found.manifest.file}:${found.manifest.line}</code></p><//>`}
    ${found.applied && html`<${Part} title="Applied by"><${Applied} applied=${found.applied} repository=${repository} /><//>`}
    <${Part} title="What happened">${found.events?.length ? html`<${Events} events=${found.events} />` : html`<${Empty}>Nothing that is recorded.<//>`}<//>`;
}

export function Drawer({ object, state }) {
  const [kind, name] = [object.slice(0, object.indexOf("/")), object.slice(object.indexOf("/") + 1)];
  const { data, error } = useApi(`api/object?${new URLSearchParams({ kind, name })}`, state.version);
  const row = state.byObject.get(object);
  const found = data ?? row;
  const title = useRef(null);
  useEffect(() => {
    const opener = document.activeElement;
    title.current.focus();
    return () => (opener?.isConnected && opener !== document.body ? opener : document.getElementById("main"))?.focus();
  }, []);
  return html`
    <aside class="drawer" id="drawer" aria-labelledby="drawer-title">
      <header>
        <h2 id="drawer-title" ref=${title} tabindex="-1">${object}</h2>
        <button type="button" onClick=${() => go({ object: "" })}>Close</button>
      </header>
      ${found && html`
        <p class="lead"><${Badge} word=${found.standing} /> ${found.since && html`${since(found.since, found.sinceKind, now())} (<${Since} at=${found.since} kind=${found.sinceKind} />)`}</p>
        <p class="reason">${found.reason}</p>`}
      ${data && html`<${Body} found=${data} repository=${state.repositoryURL} />`}
      ${error && html`<p class="problem">${row || error !== "not found" ? `No details: ${error}` : "There is no such object any more."}</p>`}
    </aside>`;
}
