/** The prebuilt firmware that is served with the page. */
import type { Firmware } from "fixpoint";

import { CodedError } from "./rpc.ts";

// Globbed and not imported by name: the page still builds and quantizes where it is missing.
const addresses: Record<string, string> = import.meta.glob("../../firmware/prebuilt/*.bin", {
  query: "?url",
  import: "default",
  eager: true,
});

let loading: Promise<Firmware> | undefined;

export function firmware(): Promise<Firmware> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<Firmware> {
  const [bootloader, partitionTable, runtime] = await Promise.all([
    part("bootloader.bin"),
    part("partition-table.bin"),
    part("runtime.bin"),
  ]);
  return { bootloader, partitionTable, runtime };
}

async function part(name: string): Promise<Uint8Array> {
  const address = addresses[`../../firmware/prebuilt/${name}`];
  const missing = (why: string): CodedError =>
    new CodedError("firmware", `The firmware could not be loaded (${name}: ${why}).\nCheck the connection and try again, or build the page with its firmware.`);
  if (!address) throw missing("not part of this build");
  const response = await fetch(address).catch(() => undefined);
  if (!response?.ok) throw missing(response ? `the server answered ${response.status}` : "the server can't be reached");
  return new Uint8Array(await response.arrayBuffer());
}
