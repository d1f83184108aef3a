/** The WebAssembly module: fetched and compiled once, then handed to every worker. */
import address from "fixpoint/dist/fixpoint_wasm_bg.wasm?url";

import { CodedError } from "./rpc.ts";

let compiled: Promise<WebAssembly.Module> | undefined;

export function module(): Promise<WebAssembly.Module> {
  compiled ??= load().catch((error: unknown) => {
    // The next attempt fetches again instead of repeating an old failure.
    compiled = undefined;
    throw error;
  });
  return compiled;
}

const failed = (why: string): CodedError =>
  new CodedError("load", `The page's program could not be loaded: ${why}. Check the connection and try again.`);

/** For a worker whose file can't be had. */
export const unloaded = (): CodedError => failed("the server can't be reached");

async function load(): Promise<WebAssembly.Module> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch {
    throw unloaded();
  }
  if (!response.ok) throw failed(`the server answered ${response.status}`);
  // Some static hosts send another type, which streaming compilation refuses.
  const typed = response.headers.get("content-type")?.startsWith("application/wasm") ?? false;
  return typed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}
