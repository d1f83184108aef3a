/** What reading changed in the graph, and what in it stands in the way. */
import { html, nothing, type TemplateResult } from "lit";
import type { Inspection, NodeInfo, PassInfo } from "fixpoint";

import { count, plural } from "../format.ts";
import { onlySizesMissing } from "./sizes.ts";

/** The passes as a table of those that did something; the others by name. */
export function passTable(passes: readonly PassInfo[]): TemplateResult | typeof nothing {
  const [first] = passes;
  const last = passes.at(-1);
  if (!first || !last) return nothing;
  const effective = passes.filter(({ changes }) => changes.length > 0);
  const idle = passes.filter(({ changes }) => changes.length === 0);
  return html`
    <details>
      <summary>
        Optimizer, ${count(first.nodes_before)} → ${plural(last.nodes_after, "node")}, ${count(effective.length)} of
        ${plural(passes.length, "pass", "passes")} changed something
      </summary>
      <div class="stack">
        ${effective.length > 0
          ? html`<div class="scroll" tabindex="0" role="group" aria-label="Passes of the optimizer">
              <table id="passes">
                <caption>
                  In the order they ran. What the model computes stays the same.
                </caption>
                <thead>
                  <tr>
                    <th scope="col">Pass</th>
                    <th scope="col" class="n">Nodes before</th>
                    <th scope="col" class="n">Nodes after</th>
                    <th scope="col">What it changed</th>
                  </tr>
                </thead>
                <tbody>
                  ${effective.map(passRow)}
                </tbody>
              </table>
            </div>`
          : nothing}
        ${idle.length > 0
          ? html`<p class="small quiet">Found nothing to do: ${idle.map(({ name }) => words(name)).join(", ")}.</p>`
          : nothing}
      </div>
    </details>
  `;
}

const passRow = ({ name, description, changes, nodes_before, nodes_after }: PassInfo): TemplateResult => html`
  <tr data-pass=${name}>
    <th scope="row">${words(name)}</th>
    <td class="n">${count(nodes_before)}</td>
    <td class="n">${count(nodes_after)}</td>
    <td class="prose">
      ${description}
      <details class="small">
        <summary>${plural(changes.length, "change")}</summary>
        <ul class="plain-list">
          ${changes.map((change) => html`<li>${change}</li>`)}
        </ul>
      </details>
    </td>
  </tr>
`;

const words = (name: string): string => name.replaceAll("_", " ");

/** What can't be quantized: which node, which operation, where it is, what to do. */
export function problemNotice(inspection: Inspection): TemplateResult | typeof nothing {
  const { nodes, problems } = inspection;
  // The form asks for sizes.
  if (problems.length === 0 || onlySizesMissing(inspection)) return nothing;
  const refused = nodes.map((node, at) => ({ node, at })).filter(({ node }) => !node.supported);
  // The list of problems names the refused nodes as well; what it says about anything else comes after them.
  const others = problems.filter((problem) => !refused.some(({ node }) => problem.startsWith(`Node '${node.name}' (`)));
  return html`
    <div class="notice bad" role="alert">
      <strong>This model can't be quantized as it is</strong>
      ${refused.length > 0
        ? html`<dl class="refused">
            ${refused.map(
              ({ node, at }) => html`<div>
                <dt>${node.op} <span class="quiet">${node.name}</span></dt>
                <dd>${sentence(node.reason ?? "")}</dd>
                <dd class="quiet">${where(nodes, node, at)}</dd>
              </div>`,
            )}
          </dl>`
        : nothing}
      ${others.length > 0
        ? html`<ul>
            ${others.map((problem) => html`<li>${problem}</li>`)}
          </ul>`
        : nothing}
      <p class="small">The rest of the graph is shown below.</p>
    </div>
  `;
}

function where(nodes: readonly NodeInfo[], node: NodeInfo, at: number): string {
  const after = nodes.filter(({ outputs }) => outputs.some(({ name }) => node.inputs.includes(name)));
  const next = nodes.filter(({ inputs }) => node.outputs.some(({ name }) => inputs.includes(name)));
  const names = (list: readonly NodeInfo[]): string => list.map(({ name }) => name).join(", ");
  const from = after.length > 0 ? `after ${names(after)}` : "at the model's input";
  const to = next.length > 0 ? `before ${names(next)}` : "at its end";
  return `Where: node ${at + 1} of ${nodes.length}, ${from}, ${to}.`;
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
