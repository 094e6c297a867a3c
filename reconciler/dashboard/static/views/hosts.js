import { html } from "../ui.js";

export const Hosts = () => html`<p class="empty">Hosts</p>`;
