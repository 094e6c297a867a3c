// preact, its hooks, and templates without a compiler, in one place. Text is always text: no template writes HTML.

import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { Component, h, render } from "./vendor/preact.js";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export const html = htm.bind(h);
