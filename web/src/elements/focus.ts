/**
 * Keeps the keyboard where it was when a button gives way to another, as "Flash" does to "Cancel", or can't be
 * pressed for a while.
 */
import type { ReactiveController, ReactiveElement } from "lit";

export class KeepsFocus implements ReactiveController {
  readonly #host: ReactiveElement;
  readonly #selector: string;
  #inside = false;
  /** It was inside, and there is nothing yet that could have it. */
  #owed = false;
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
    const waits = this.#owed && active === document.body;
    this.#inside = waits || (this.#row?.contains(active) ?? false);
    if (this.#inside && !waits && active && words(active) !== "Cancel") this.#pressed = words(active);
  }

  hostUpdated(): void {
    const row = this.#row;
    const active = document.activeElement;
    if (!this.#inside || !row || (row.contains(active) && !active?.matches(":disabled"))) return;
    const all = [...row.querySelectorAll<HTMLElement>("button:enabled, summary")];
    const buttons = all.filter((each) => each.checkVisibility());
    const button = buttons.find((each) => words(each) === this.#pressed) ?? buttons[0];
    this.#owed = button === undefined;
    button?.focus({ preventScroll: true });
  }

  get #row(): Element | null {
    return this.#host.querySelector(this.#selector);
  }
}

const words = (element: Element): string => element.textContent.trim();
