/**
 * Keeps the keyboard where it was when a button gives way to another, as "Flash" does to "Cancel", or can't be
 * pressed for a while.
 */
import type { ReactiveController, ReactiveElement } from "lit";

export class KeepsFocus implements ReactiveController {
  readonly #host: ReactiveElement;
  readonly #selector: string;
  #inside = false;
  /** What had it inside, last seen. */
  #had: Element | null = null;
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
    if (active && this.#row?.contains(active)) {
      this.#inside = true;
      this.#had = active;
      if (words(active) !== "Cancel") this.#pressed = words(active);
      return;
    }
    // An element inside, such as a drop zone, may disable its button after its host has rendered; the browser then
    // takes the focus away when it next draws, and nothing tells.
    const lost = this.#had !== null && (!this.#had.isConnected || this.#had.matches(":disabled"));
    this.#inside = active === document.body && (this.#owed || lost);
    if (!this.#inside) this.#had = null;
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
