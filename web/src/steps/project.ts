/** Step 4's side door: another project's images, by its manifest. */
import { html, nothing, type TemplateResult } from "lit";
import type { NamedFile } from "fixpoint";

import { board } from "../board.ts";
import type { Chosen } from "../elements/dropzone.ts";
import { KeepsFocus } from "../elements/focus.ts";
import { PlainElement } from "../elements/plain.ts";

export class Project extends PlainElement {
  static override properties = { files: { state: true }, source: { state: true } };
  declare files: NamedFile[];
  declare source: string;

  constructor() {
    super();
    this.files = [];
    this.source = "";
    new KeepsFocus(this, ".row.go");
    board.addEventListener("change", () => this.requestUpdate());
  }

  override render(): TemplateResult {
    const { busy, supported } = board;
    return html`
      <details>
        <summary>Flash another project instead</summary>
        <div class="stack">
          <p class="small quiet">
            A project that is made for ESP Web Tools: its manifest.json and the files that it names, or a zip of them. What
            is right on the board already is left out, the rest is verified, and the console shows how it starts.
          </p>
          <fx-drop
            label="Drop a manifest.json with its files, or a zip"
            button="Choose the project's files"
            accept=".json,.bin,.zip"
            multiple
            folders
            compact
            ?disabled=${busy}
            @fx-files=${(event: CustomEvent<Chosen>) => {
              ({ files: this.files, source: this.source } = event.detail);
            }}
          ></fx-drop>
          ${this.files.length > 0
            ? html`<div class="row go">
                ${busy
                  ? html`<button type="button" @click=${() => board.cancel()}>Cancel</button>`
                  : html`<button type="button" ?disabled=${!supported} @click=${() => board.flashProject(this.files)}>
                      Connect &amp; flash the project
                    </button>`}
                <span class="small quiet">${this.source}</span>
              </div>`
            : nothing}
        </div>
      </details>
    `;
  }
}

customElements.define("fx-project", Project);
