/** Step 1: the model, and what is in it. */
import { html, nothing, type TemplateResult } from "lit";
import type { Inspection, NodeInfo, ValueInfo } from "fixpoint";

import type { Chosen } from "../elements/dropzone.ts";
import { trouble, working } from "../elements/notice.ts";
import { PlainElement } from "../elements/plain.ts";
import { bytes, count, plural, shape } from "../format.ts";
import { numberOf } from "../framed.ts";
import { Watch, session } from "../session.ts";
import { passTable, problemNotice } from "./passes.ts";
import { sizesForm } from "./sizes.ts";

export class ModelStep extends PlainElement {
  constructor() {
    super();
    new Watch(this);
  }

  override render(): TemplateResult {
    const { model, busy } = session;
    const done = model !== undefined && model.inspection.problems.length === 0;
    return html`
      <section class="step" id="step-model" aria-labelledby="model-title" data-state=${done ? "done" : "open"}>
        <div class="numeral" aria-hidden="true">${numberOf("model")}</div>
        <div class="body">
          <div>
            <h2 id="model-title">Model</h2>
            <p class="lead">
              An ONNX file, as PyTorch, Keras or scikit-learn export it. It is read here in the browser and is sent
              nowhere.
            </p>
          </div>
          <fx-drop
            label=${model ? "Drop another ONNX file to replace it" : "Drop an ONNX file here"}
            button="Choose an ONNX file"
            accept=".onnx"
            ?compact=${model !== undefined}
            ?disabled=${busy !== undefined}
            @fx-files=${this.#chosen}
          ></fx-drop>
          ${model
            ? nothing
            : html`<p>
                No model at hand?
                <button type="button" class="plain" ?disabled=${busy !== undefined} @click=${() => session.openSample()}>
                  Use the sample
                </button>
                <span class="quiet">a small network that reads handwritten digits, with its images.</span>
              </p>`}
          ${busy === "model" ? working(undefined, "Reading the model") : nothing} ${trouble(session.trouble.model)}
          ${sizesForm()}
          ${model ? summary(model.fileName, model.fileBytes, model.inspection) : nothing}
          ${model?.inspection.quantization?.fate === "refused"
            ? html`<p>
                <button
                  type="button"
                  id="requantize"
                  ?disabled=${busy !== undefined}
                  @click=${() => session.openModel(model.file, { ...model.reading, anew: true })}
                >
                  Quantize it again
                </button>
                <span class="quiet">from the values of its own weights, with your calibration images.</span>
              </p>`
            : nothing}
        </div>
      </section>
    `;
  }

  #chosen = (event: CustomEvent<Chosen>): void => {
    const [file] = event.detail.files;
    if (file) void session.openModel(file);
  };
}

const fates = { taken: "taken as it is", requantized: "quantized again here", refused: "not ours, see below" } as const;

function summary(fileName: string, fileBytes: number, inspection: Inspection): TemplateResult {
  const { nodes, original, parameters, macs, inputs, outputs, problems, passes, quantization } = inspection;
  return html`
    <dl class="facts">
      <div><dt>File</dt><dd>${fileName}</dd><dd>${bytes(fileBytes)}</dd></div>
      <div><dt>${inputs.length === 1 ? "Input" : "Inputs"}</dt>${inputs.map(value)}</div>
      <div><dt>${outputs.length === 1 ? "Output" : "Outputs"}</dt>${outputs.map(value)}</div>
      ${quantization
        ? html`<div id="quantization">
            <dt>Quantized already</dt><dd>${quantization.form}</dd><dd>${fates[quantization.fate]}</dd>
          </div>`
        : nothing}
      <div><dt>Parameters</dt><dd>${count(parameters)}</dd></div>
      <div><dt>Multiply-adds</dt><dd>${count(macs)}</dd><dd>for one image</dd></div>
      <div><dt>Nodes</dt><dd>${count(nodes.length)}</dd><dd>of ${count(original.length)} in the file</dd></div>
    </dl>
    ${problemNotice(inspection)}
    ${passTable(passes)}
    <details ?open=${problems.length > 0}>
      <summary>Network, ${plural(nodes.length, "node")}</summary>
      ${nodeTable(nodes)}
    </details>
  `;
}

const value = ({ name, dims }: ValueInfo): TemplateResult =>
  html`<dd>${dims ? shape(dims) : "unknown shape"}</dd>
    <dd>${name}</dd>`;

const nodeTable = (nodes: readonly NodeInfo[]): TemplateResult => html`
  <div class="scroll" tabindex="0" role="group" aria-label="Nodes of the network">
    <table>
      <thead>
        <tr>
          <th scope="col">Node</th>
          <th scope="col">Operation</th>
          <th scope="col">Output shape</th>
          <th scope="col" class="n">Multiply-adds</th>
          <th scope="col">Supported</th>
        </tr>
      </thead>
      <tbody>
        ${nodes.map(
          (node) => html`<tr>
            <th scope="row">${node.name}</th>
            <td>${node.op}</td>
            <td>${node.outputs.map(({ dims }) => (dims ? shape(dims) : "unknown")).join(", ")}</td>
            <td class="n">${node.macs > 0 ? count(node.macs) : ""}</td>
            <td>
              ${node.supported
                ? html`<span class="verdict good">✓ yes</span>`
                : html`<span class="verdict bad">✗ no</span> ${node.reason ?? ""}`}
            </td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>
`;

customElements.define("fx-model-step", ModelStep);
