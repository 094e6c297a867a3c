// The shell: the state of the site in one sentence, facets and filter, the views, the drawer, and the keys.

import { render, useEffect, useMemo, useRef, useState } from "./preact.js";
import { Drawer } from "./drawer.js";
import { filterOf, go, listen, nextPass, now, passAge, url, useStore, useTicking, VIEWS } from "./store.js";
import { html, Since } from "./ui.js";
import { Access } from "./views/access.js";
import { History } from "./views/history.js";
import { Hosts } from "./views/hosts.js";
import { Overview } from "./views/overview.js";
import { applier, commitURL, lasting, looks, since, standings, upper, worst } from "./words.js";

const SHOWN = { overview: Overview, access: Access, hosts: Hosts, history: History };
const narrow = matchMedia("(max-width: 60rem)");

// ---- the head -------------------------------------------------------------------------------------------------------

// What is wrong, the worst first and apart, and since when the oldest object is in that state.
function verdict(state) {
  if (state.status === null) return { word: "unknown", worst: "Waiting for the first pass.", rest: "" };
  if (state.status.message === "in sync") return { word: "in sync", worst: "In sync", rest: "", at: state.since, kind: state.sinceKind };
  const bad = state.objects.filter((row) => row.standing !== "in sync" && row.standing !== "unmanaged");
  const word = worst(bad.map((row) => row.standing)) ?? "unmanaged";
  const first = bad.filter((row) => row.standing === word && row.since).sort((a, b) => (a.since < b.since ? -1 : 1))[0];
  const said = state.status.message.split(", ");
  const many = Math.max(1, said.filter((part) => part.endsWith(word)).length);
  const { since: at, sinceKind: kind } = first ?? {};
  return { word, worst: upper(said.slice(0, many).join(", ")), rest: said.slice(many).join(", "), at, kind };
}

function Sentence({ state }) {
  const said = useMemo(() => verdict(state), [state]);
  return html`
    <p id="sentence" class="sentence"><span role="status"><b class=${looks(said.word)}>${said.worst}${said.at && `${said.kind === "began" ? " " : ", "}${since(said.at, said.kind, now())}`}</b></span>
      ${said.at && html` <span class="age">(<${Since} at=${said.at} kind=${said.kind} />)</span>`}${said.rest && html` <span class="rest">${said.rest}</span>`}
    </p>`;
}

function Commit({ git, repository }) {
  if (!git) return "no git";
  const short = git.commit.slice(0, 7);
  const to = commitURL(repository, git.commit);
  return html`commit ${to ? html`<a href=${to} rel="noopener noreferrer" target="_blank">${short}</a>` : html`<code>${short}</code>`}${git.dirty && " + uncommitted changes"}`;
}

function Facts({ state }) {
  const { pass, appliedBy, mode, repositoryURL } = state;
  const age = useTicking(() => lasting(passAge()));
  const next = useTicking(() => (nextPass() >= 1 ? `in ${lasting(nextPass())}` : "due"));
  const other = appliedBy?.commit && appliedBy.commit !== pass?.git?.commit;
  return html`
    <p id="facts" class="facts">
      <span><${Commit} git=${pass?.git} repository=${repositoryURL} /></span>
      ${appliedBy && html`<span>applied by ${applier(appliedBy)}${appliedBy.at && html` <${Since} at=${appliedBy.at} /> ago`}${other && html` (<${Commit} git=${{ commit: appliedBy.commit }} repository=${repositoryURL} />)`}</span>`}
      <span>${mode}</span>
      ${pass && html`<span>pass <span id="age">${age} ago</span>, took ${pass.seconds < 10 ? `${pass.seconds.toFixed(1)} s` : lasting(pass.seconds)}</span><span>next ${next}</span>`}
    </p>`;
}

// A watch that hangs can say nothing, so the page knows it by its own clock.
function useProblem(state) {
  const gone = useStore((all) => all.gone);
  const late = useTicking(() => state !== null && passAge() > state.staleAfter);
  useEffect(() => {
    document.body.classList.toggle("late", late || gone);
    document.title = state === null ? "vdvs" : `${state.status?.message === "in sync" && !late && !gone ? "" : "(!) "}${state.site} \u2014 vdvs`;
  }, [state, late, gone]);
  const silent = gone ? "The watch does not answer; what is shown may be old. " : "";
  const hangs = late ? `No pass has ended for more than ${state.staleAfter} s, and one is due every ${state.interval} s: the watch hangs, and what is shown may be old.` : "";
  return silent + hangs || state?.pass?.failure || "";
}

// ---- what filters and what is shown ---------------------------------------------------------------------------------

function Facets({ state, filter }) {
  const counts = useMemo(() => {
    const found = new Map();
    for (const row of state.objects) found.set(row.standing, (found.get(row.standing) ?? 0) + 1);
    return found;
  }, [state.objects]);
  const shown = [...new Set([...standings(), ...counts.keys()])].filter((word) => counts.has(word) || word === filter.state);
  return html`
    <ul class="facets" aria-label="States">
      ${shown.map((word) => html`
        <li key=${word}><a class=${`facet ${looks(word)}`} href=${url({ state: word === filter.state ? "" : word })} aria-current=${word === filter.state ? "true" : undefined}>
          <b>${(counts.get(word) ?? 0).toLocaleString("en")}</b> ${word}</a></li>`)}
    </ul>`;
}

function Filter({ filter, input, dialog }) {
  const [typed, type] = useState(filter.q);
  const timer = useRef(0);
  useEffect(() => type(filter.q), [filter.q]);
  const onInput = (event) => {
    const { value } = event.target;
    type(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go({ q: value }, { replace: true }), 80);
  };
  return html`
    <form class="filter" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label for="filter">Filter</label>
      <input id="filter" ref=${input} type="search" autocomplete="off" spellcheck=${false} placeholder="name, label, state or reason" value=${typed} onInput=${onInput} />
      ${filter.on && html`<a class="clear" href=${url({ q: "", state: "" })}>clear</a>`}
      <button type="button" class="keys" aria-label="Keys" onClick=${() => dialog.current.showModal()}>?</button>
    </form>`;
}

const Tabs = ({ view }) => html`
  <nav aria-label="Views"><ul class="tabs">
    ${VIEWS.map((each) => html`<li key=${each}><a href=${url({ view: each, object: "" })} aria-current=${each === view ? "page" : undefined}>${upper(each)}</a></li>`)}
  </ul></nav>`;

// ---- the keys -------------------------------------------------------------------------------------------------------

const KEYS = [
  ["/", "go to the filter"], ["?", "show these keys"], ["Escape", "close the drawer"], ["\u2190,\u2191,\u2193,\u2192", "move in a grid or a list"],
  ["Home,End", "first or last of a row"], ["Page Up,Page Down", "a page up or down"], ["Enter", "open what is selected"],
];
const OFF = "vdvs-keys-off";

function Help({ dialog }) {
  const [off, turn] = useState(() => localStorage.getItem(OFF) === "1");
  const toggle = () => { localStorage.setItem(OFF, off ? "0" : "1"); turn(!off); };
  return html`
    <dialog id="keys" ref=${dialog} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl>${KEYS.map(([key, what]) => html`<div key=${key}><dt>${key.split(",").map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>
      <label><input type="checkbox" checked=${!off} onChange=${toggle} /> <kbd>/</kbd> and <kbd>?</kbd> are on</label>
      <form method="dialog"><button autofocus>Close</button></form>
    </dialog>`;
}

function useKeys({ input, dialog, object }) {
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || dialog.current.open) return;
      const writes = event.target.matches("input:not([type=checkbox]), textarea, select");
      if (event.key === "Escape" && object && !(writes && event.target.value)) go({ object: "" });
      else if (writes || localStorage.getItem(OFF) === "1") return;
      else if (event.key === "/") input.current.focus();
      else if (event.key === "?") dialog.current.showModal();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [object]);
}

// ---- all of it ------------------------------------------------------------------------------------------------------

function App() {
  const state = useStore();
  const route = useStore((all) => all.route);
  const filter = useMemo(() => filterOf(route), [route]);
  const problem = useProblem(state);
  const [isNarrow, setNarrow] = useState(narrow.matches);
  const input = useRef(null);
  const dialog = useRef(null);
  useKeys({ input, dialog, object: route.object });
  useEffect(() => {
    const listener = () => setNarrow(narrow.matches);
    narrow.addEventListener("change", listener);
    listener(); // it may have changed by now
    return () => narrow.removeEventListener("change", listener);
  }, []);
  const covered = Boolean(isNarrow && route.object);
  const View = SHOWN[route.view];
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the view</a>
    <div class=${`page ${route.object ? "beside" : ""}`}>
      <div class="whole" inert=${covered}>
        <header>
          <div class="head">
            <h1 id="site">${state === null ? "vdvs" : state.site}</h1>
            ${state === null ? html`<p id="sentence" class="sentence" role="status">Waiting for the server.</p>` : html`<${Sentence} state=${state} />`}
          </div>
          ${state && html`<${Facts} state=${state} />`}
          <p id="problem" class="problem" role="alert" hidden=${!problem}>${problem}</p>
          ${state && html`
            <div class="bar">
              <${Tabs} view=${route.view} />
              <${Facets} state=${state} filter=${filter} />
              <${Filter} filter=${filter} input=${input} dialog=${dialog} />
            </div>`}
        </header>
        <main id="main" tabindex="-1">${state && html`<${View} key=${route.view} state=${state} filter=${filter} go=${go} />`}</main>
      </div>
      ${state && route.object && html`<${Drawer} object=${route.object} state=${state} />`}
    </div>
    <${Help} dialog=${dialog} />`;
}

render(html`<${App} />`, document.body);
listen();
