/** Keeps the keyboard where it was when a button gives way to another, as "Flash" does to "Cancel". */
import type { ReactiveController, ReactiveElement } from "lit";

export class KeepsFocus implements ReactiveController {
  readonly #host: ReactiveElement;
  readonly #selector: string;
  #inside = false;
  /** Words on the button that was pressed last: where the focus goes back to. */
  #pressed = "";

  /** `selector`: the row of buttons, inside the host. */
  constructor(host: ReactiveElement, selector: string) {
    this.#host = host;
    this.#selector = selector;
    host.addController(this);
  }

  hostUpdate(): void {
    const active = document.activeElement;
    this.#inside = this.#row?.contains(active) ?? false;
    if (this.#inside && active && words(active) !== "Cancel") this.#pressed = words(active);
  }

  hostUpdated(): void {
    const row = this.#row;
    const active = document.activeElement;
    if (!this.#inside || !row || (row.contains(active) && !active?.matches(":disabled"))) return;
    const buttons = [...row.querySelectorAll<HTMLElement>("button:enabled")];
    (buttons.find((button) => words(button) === this.#pressed) ?? buttons[0])?.focus({ preventScroll: true });
  }

  get #row(): Element | null {
    return this.#host.querySelector(this.#selector);
  }
}

const words = (element: Element): string => element.textContent.trim();
