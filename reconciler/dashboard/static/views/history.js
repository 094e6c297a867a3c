import { html } from "../ui.js";

export const History = () => html`<p class="empty">History</p>`;
