/** The page inside a frame: what it leaves out, and the few words it has with the page around. */
import type { NamedFile } from "fixpoint";

import { type Session, session } from "./session.ts";

export type OpenFiles = Partial<Record<"model" | "table" | "calibration" | "evaluation", NamedFile>>;

/** From the frame. */
export type Hello = { fixpoint: "ready" } | { fixpoint: "size"; height: number };

/** To the frame. */
export type ToFrame =
  | { fixpoint: "sample" }
  | { fixpoint: "open"; files: OpenFiles }
  | { fixpoint: "failed"; message: string };

export const stepNames = ["model", "data", "quantize", "board"] as const;
export type StepName = (typeof stepNames)[number];

const query = new URLSearchParams(location.search);

/** Masthead and colophon belong to the page around. */
export const embedded = query.has("embed");

const hidden = new Set((query.get("hide") ?? "").split(/[\s,]+/));

export const shows = (step: StepName): boolean => !hidden.has(step);

/** A step's place among those that are shown, from 1. */
export const numberOf = (step: StepName): number => stepNames.filter(shows).indexOf(step) + 1;

const names: Record<StepName, string> = { model: "Model", data: "Calibration images", quantize: "Quantize", board: "Board" };

/** How a sentence speaks of a step: by its number, and by its name where the page around leaves it out. */
export const stepAs = (step: StepName): string => (shows(step) ? `step ${numberOf(step)}` : `the step "${names[step]}"`);

/** Listens to the page around; nobody else is answered. Call once the elements are there. */
export function joinFrame(): void {
  if (!embedded || window.parent === window) return;
  const say = (hello: Hello): void => window.parent.postMessage(hello, "*");
  window.addEventListener("message", ({ source, data }: MessageEvent) => {
    if (source === window.parent) void take(data as ToFrame, session);
  });
  new ResizeObserver(() => say({ fixpoint: "size", height: Math.ceil(document.body.getBoundingClientRect().height) })).observe(document.body);
  say({ fixpoint: "ready" });
}

async function take(message: ToFrame, into: Session): Promise<void> {
  switch (message?.fixpoint) {
    case "sample":
      return into.openSample();
    case "failed":
      return into.refuse(String(message.message));
    case "open": {
      const { model, table, calibration, evaluation } = message.files;
      if (isFile(model)) await into.openModel(model);
      if (isFile(table)) await into.openTable(table);
      if (isFile(calibration)) await into.openSamples("calibration", calibration.path, [calibration]);
      if (isFile(evaluation)) await into.openSamples("evaluation", evaluation.path, [evaluation]);
    }
  }
}

const isFile = (value: unknown): value is NamedFile => {
  const file = value as Partial<NamedFile> | undefined;
  return typeof file?.path === "string" && file.bytes instanceof Uint8Array;
};
