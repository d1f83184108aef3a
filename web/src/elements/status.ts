/**
 * `<fx-status>`: a polite live region that speaks at most about once a second, so that a progress
 * bar's hundred steps don't become a hundred announcements.
 */
import { html, type TemplateResult } from "lit";

import { PlainElement } from "./plain.ts";

const PAUSE_MS = 1200;

export class Status extends PlainElement {
  static override properties = { text: {}, spoken: { state: true } };
  declare text: string;
  declare spoken: string;

  #last = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.text = "";
    this.spoken = "";
  }

  override willUpdate(): void {
    if (this.text === this.spoken || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#last + PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#last = performance.now();
      this.spoken = this.text;
    }, wait);
  }

  override render(): TemplateResult {
    return html`<p role="status" class="visually-hidden">${this.spoken}</p>`;
  }
}

customElements.define("fx-status", Status);
