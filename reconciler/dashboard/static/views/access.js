import { html } from "../ui.js";

export const Access = () => html`<p class="empty">Access</p>`;
