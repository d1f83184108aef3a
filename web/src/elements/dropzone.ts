/**
 * `<fx-drop>`: files by drop, by file dialog or by folder dialog. Fires `fx-files` with
 * `{source, files}` where `source` describes the choice and paths are relative to what was dropped.
 */
import { html, nothing, type TemplateResult } from "lit";
import type { NamedFile } from "fixpoint";

import { plural } from "../format.ts";
import { PlainElement } from "./plain.ts";

export interface Chosen {
  source: string;
  files: NamedFile[];
}

/** Enough for any calibration set, and a stop for a dropped home folder. */
const MOST_FILES = 100_000;
const MOST_BYTES = 1024 * 1024 * 1024;

export class FilesDrop extends PlainElement {
  static override properties = {
    label: {},
    hint: {},
    button: {},
    accept: {},
    multiple: { type: Boolean },
    folders: { type: Boolean },
    compact: { type: Boolean },
    disabled: { type: Boolean },
    over: { state: true },
    problem: { state: true },
  };

  declare label: string;
  declare hint: string;
  declare button: string;
  declare accept: string;
  declare multiple: boolean;
  declare folders: boolean;
  declare compact: boolean;
  declare disabled: boolean;
  declare over: boolean;
  declare problem: string;

  constructor() {
    super();
    this.label = "";
    this.hint = "";
    this.button = "Choose a file";
    this.accept = "";
    this.multiple = false;
    this.folders = false;
    this.compact = false;
    this.disabled = false;
    this.over = false;
    this.problem = "";
  }

  override render(): TemplateResult {
    const classes = ["drop", this.over ? "over" : "", this.compact ? "compact" : ""].join(" ");
    return html`
      <div
        class=${classes}
        role="group"
        aria-label=${this.label}
        @dragenter=${this.#over}
        @dragover=${this.#over}
        @dragleave=${this.#leave}
        @drop=${this.#dropped}
      >
        <div>
          <p class="what">${this.label}</p>
          ${this.hint ? html`<p class="small quiet">${this.hint}</p>` : nothing}
        </div>
        <div class="row">
          <button type="button" ?disabled=${this.disabled} @click=${() => this.#pick(false)}>${this.button}</button>
          ${this.folders
            ? html`<button type="button" ?disabled=${this.disabled} @click=${() => this.#pick(true)}>
                Choose a folder
              </button>`
            : nothing}
        </div>
        ${this.problem ? html`<p role="alert" class="notice bad small">${this.problem}</p>` : nothing}
      </div>
    `;
  }

  #over = (event: DragEvent): void => {
    if (this.disabled || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.over = true;
  };

  #leave = (event: DragEvent): void => {
    // Moving on to a child fires this too.
    const zone = event.currentTarget as Element;
    if (!(event.relatedTarget instanceof Node && zone.contains(event.relatedTarget))) this.over = false;
  };

  #dropped = (event: DragEvent): void => {
    event.preventDefault();
    this.over = false;
    if (this.disabled || !event.dataTransfer) return;
    // Entries must be taken now: the list is empty once this handler has returned.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter((e) => e !== null);
    const loose = [...event.dataTransfer.files];
    void this.#take(async () => {
      if (entries.length === 0) return loose.map((file) => ({ path: file.name, file }));
      const found: Found[] = [];
      for (const entry of entries) await walk(entry, "", found);
      return found;
    });
  };

  #pick(folder: boolean): void {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = this.multiple;
    if (folder) input.webkitdirectory = true;
    else input.accept = this.accept;
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      void this.#take(async () => files.map((file) => ({ path: file.webkitRelativePath || file.name, file })));
    });
    input.click();
  }

  async #take(find: () => Promise<Found[]>): Promise<void> {
    this.problem = "";
    try {
      const found = (await find()).filter(({ path }) => !hidden(path));
      if (found.length === 0) return;
      const bytes = found.reduce((sum, { file }) => sum + file.size, 0);
      if (bytes > MOST_BYTES) {
        throw new Error(`These files hold ${(bytes / 2 ** 30).toFixed(1)} GiB, more than a page can hold. Choose fewer; a few hundred images are enough for calibration.`);
      }
      if (!this.multiple && found.length > 1) throw new Error("Please give one file here, not several.");
      const files = await Promise.all(
        found.map(async ({ path, file }) => ({ path, bytes: new Uint8Array(await file.arrayBuffer()) })),
      );
      this.dispatchEvent(new CustomEvent<Chosen>("fx-files", { detail: { source: describe(found), files } }));
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }
}

interface Found {
  path: string;
  file: File;
}

const hidden = (path: string): boolean => path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

function describe(found: readonly Found[]): string {
  const [first] = found;
  if (!first) return "";
  if (found.length === 1) return first.path;
  const folder = first.path.split("/")[0] ?? "";
  const together = first.path.includes("/") && found.every(({ path }) => path.startsWith(`${folder}/`));
  return `${together ? `${folder}/, ` : ""}${plural(found.length, "file")}`;
}

async function walk(entry: FileSystemEntry, above: string, found: Found[]): Promise<void> {
  if (found.length >= MOST_FILES) {
    throw new Error(`There are more than ${MOST_FILES} files in there. Choose a smaller folder.`);
  }
  const path = `${above}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    found.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader hands out at most a hundred entries at a time.
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return;
    for (const child of batch) await walk(child, `${path}/`, found);
  }
}

customElements.define("fx-drop", FilesDrop);
