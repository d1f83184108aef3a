/** Elements without a shadow root: labels, headings and the page's style reach across them. */
import { LitElement } from "lit";

export abstract class PlainElement extends LitElement {
  protected override createRenderRoot(): this {
    return this;
  }
}
