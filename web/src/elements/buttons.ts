/** A drawing of a board's two buttons, where pressing them is the advice. */
import { type SVGTemplateResult, type TemplateResult, html, svg } from "lit";

/** `loader`: hold BOOT, tap RESET, let go. `restart`: tap RESET alone. */
export type Press = "loader" | "restart";

const steps: Record<Press, readonly string[]> = {
  loader: ["Hold BOOT down", "Tap RESET", "Let BOOT go"],
  restart: ["Tap RESET, and leave BOOT alone"],
};

export function pressDrawing(press: Press): TemplateResult {
  const loader = press === "loader";
  return html`
    <figure class="press">
      <svg viewBox="0 0 250 104" width="250" height="104" role="img" aria-labelledby="press-title press-description">
        <title id="press-title">The buttons BOOT and RESET of a board</title>
        <desc id="press-description">
          Two small push buttons beside the USB socket. BOOT may be marked BOOT, B, 0 or IO0; RESET may be marked RST, R
          or EN. ${steps[press].join(", then ")}.
        </desc>
        <rect class="board" x="1" y="17" width="200" height="70" rx="6"></rect>
        <rect class="module" x="10" y="26" width="70" height="52" rx="3"></rect>
        <text class="chip" x="45" y="56" text-anchor="middle">ESP32-S3</text>
        <rect class="socket" x="188" y="39" width="26" height="26" rx="4"></rect>
        <path class="cable" d="M214 52h35"></path>
        ${key(118, "BOOT", loader ? "1, 3" : "")} ${key(160, "RESET", loader ? "2" : "1")}
      </svg>
      <ol>
        ${steps[press].map((step) => html`<li>${step}</li>`)}
      </ol>
    </figure>
  `;
}

const key = (x: number, name: string, order: string): SVGTemplateResult => svg`
  <rect class="key" x=${x - 14} y="38" width="28" height="28" rx="3"></rect>
  <circle class=${order ? "cap pressed" : "cap"} cx=${x} cy="52" r="9"></circle>
  <text x=${x} y="80" text-anchor="middle">${name}</text>
  ${order ? svg`<text class="order" x=${x} y="33" text-anchor="middle">${order}</text>` : ""}
`;
