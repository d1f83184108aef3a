/**
 * The serial port, and the only file that names `navigator.serial`.
 *
 * One {@link PortOwner} holds a port from the first byte of flashing to the last of the console, so
 * that nobody ever finds it "already open", and through restarts that make another port of it. It moves
 * bytes and signals and decides nothing: the flashing and link machines run in a worker, where a tab in
 * the background does not slow their timers.
 */
import type { FlashOptions, PortTrouble } from "fixpoint";

import { CodedError } from "./rpc.ts";

/** The part of `navigator.serial` that the page uses; the virtual board offers the same. */
export interface SerialLike {
  requestPort(options?: SerialPortRequestOptions): Promise<SerialPort>;
  getPorts(): Promise<SerialPort[]>;
  addEventListener(type: "connect", listener: (event: Event) => void): void;
  removeEventListener(type: "connect", listener: (event: Event) => void): void;
}

/** Undefined where the browser has no Web Serial. */
export function browserSerial(): SerialLike | undefined {
  return (navigator as { serial?: Serial }).serial;
}

/** Linux has its own reason why a port can't be opened. */
export const onLinux = /Linux/.test(navigator.userAgent) && !/Android/.test(navigator.userAgent);

/** Without words: the engine has them (`portTrouble`). */
export class PortError extends CodedError {
  constructor(code: PortTrouble) {
    super(code, "");
  }
}

const ESPRESSIF = 0x303a;

/** Espressif's own USB, and the bridges that boards carry: CP210x, CH34x, FTDI. */
export const filters: SerialPortFilter[] = [
  { usbVendorId: ESPRESSIF },
  { usbVendorId: 0x10c4 },
  { usbVendorId: 0x1a86 },
  { usbVendorId: 0x0403 },
];

/** Bytes the browser holds while the page is busy; its default of 255 overruns at once. */
const BUFFER_BYTES = 64 * 1024;
/** A chip that hangs takes nothing more, and a write to it would never end. */
const STALL_MS = 4_000;
/** How often a port that went away is looked for, and a new one tried: it may not open at once. */
const LOOK_MS = 150;

export class PortOwner {
  /** Bytes as they arrive. */
  onBytes: (bytes: Uint8Array) => void = () => {};
  /** The port is gone: unplugged, or restarted (see {@link reopen}). */
  onLost: () => void = () => {};
  lost = false;

  #port: SerialPort;
  readonly #serial: SerialLike;
  /** Ports that were there beside this one: other boards. */
  #others: readonly SerialPort[] = [];
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> | undefined;
  #wanted = false;

  constructor(port: SerialPort, serial: SerialLike) {
    this.#port = port;
    this.#serial = serial;
  }

  /** What sits between the cable and the chip, from the USB identity. */
  get link(): FlashOptions["link"] {
    const { usbVendorId, usbProductId } = this.#port.getInfo();
    if (usbVendorId !== ESPRESSIF) return "uart-bridge";
    return usbProductId === 0x1001 ? "usb-serial-jtag" : "usb-otg";
  }

  /** The device on the bus is the chip's own, which a reset may take away and bring back as another. */
  get restartsWithChip(): boolean {
    return this.link !== "uart-bridge";
  }

  async open(baudRate: number): Promise<void> {
    this.#others = (await this.#serial.getPorts()).filter((port) => port !== this.#port);
    await this.#open(baudRate);
  }

  async #open(baudRate: number): Promise<void> {
    const port = this.#port;
    try {
      await port.open({ baudRate, bufferSize: BUFFER_BYTES });
    } catch (error) {
      throw new PortError(named(error, "InvalidStateError") ? "port-open-here" : "port-not-opened");
    }
    this.lost = false;
    this.#wanted = true;
    port.addEventListener("disconnect", this.#gone);
    this.#reading = this.#read(port);
  }

  /**
   * After the port went away with a restart: waits until it is back, as another object and perhaps with
   * another product number, and opens it. False when it did not come back in time.
   */
  async reopen(baudRate: number, limitMs: number, signal: AbortSignal): Promise<boolean> {
    const end = performance.now() + limitMs;
    await this.close();
    let wake = (): void => {};
    const look = (): void => wake();
    this.#serial.addEventListener("connect", look);
    signal.addEventListener("abort", look);
    try {
      while (!signal.aborted && performance.now() < end) {
        const port = await this.#successor();
        if (port) {
          this.#port = port;
          try {
            await this.#open(baudRate);
            return true;
          } catch {
            // It may take a moment until it can be opened.
          }
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, LOOK_MS);
        });
      }
      return false;
    } finally {
      this.#serial.removeEventListener("connect", look);
      signal.removeEventListener("abort", look);
    }
  }

  /** The same device again, or another of the chip's own that was not there before. */
  async #successor(): Promise<SerialPort | undefined> {
    const { usbVendorId, usbProductId } = this.#port.getInfo();
    const ports = (await this.#serial.getPorts()).filter(
      (port) => port.connected !== false && !this.#others.includes(port) && port.getInfo().usbVendorId === usbVendorId,
    );
    return ports.find((port) => port.getInfo().usbProductId === usbProductId) ?? ports[0];
  }

  /** What the chip does not take in time is dropped: that no answer comes says the rest. */
  async write(bytes: Uint8Array): Promise<void> {
    const writer = this.#port.writable?.getWriter();
    let stalled = false;
    // The virtual board takes everything, at its own pace.
    const limit = this.#serial === browserSerial() ? STALL_MS : undefined;
    const timer = limit && setTimeout(() => {
      stalled = true;
      // Ends the write, and with it this stream; the port has a new one then.
      void writer?.abort().catch(() => {});
    }, limit);
    try {
      if (!writer) throw new PortError("port-lost");
      await writer.write(bytes);
    } catch {
      if (stalled) return;
      this.#gone();
      throw new PortError("port-lost");
    } finally {
      clearTimeout(timer);
      writer?.releaseLock();
    }
  }

  /** DTR, then RTS; `true` asserts. */
  async setSignals(dtr: boolean, rts: boolean): Promise<void> {
    try {
      // In one call, which sets one right after the other: with time between them the chip would start
      // while IO0 is still high.
      await this.#port.setSignals({ dataTerminalReady: dtr, requestToSend: rts });
      // One driver (Windows' usbser.sys) only passes RTS on with the next write of DTR.
      await this.#port.setSignals({ dataTerminalReady: dtr });
    } catch {
      // Drivers refuse now and then, and a chip that resets takes its port along. If it mattered, the
      // board is not in its loader, which is told in better words than the browser has.
    }
  }

  /** The rate of an open port can't be changed: this closes and opens it again. */
  async setBaud(baudRate: number): Promise<void> {
    await this.close();
    await this.#open(baudRate);
  }

  async close(): Promise<void> {
    this.#wanted = false;
    this.#port.removeEventListener("disconnect", this.#gone);
    await this.#reader?.cancel().catch(() => {});
    await this.#reading;
    // Closing a port that was unplugged rejects; it is closed either way.
    await this.#port.close().catch(() => {});
  }

  async #read(port: SerialPort): Promise<void> {
    // Overrun, framing and parity errors end one stream and bring another; only a port without a
    // stream is gone.
    while (this.#wanted && port.readable) {
      this.#reader = port.readable.getReader();
      try {
        for (;;) {
          const { value, done } = await this.#reader.read();
          if (done) break;
          if (value) this.onBytes(value);
        }
      } catch {
        // The loop looks whether there is a next stream.
      } finally {
        this.#reader.releaseLock();
        this.#reader = undefined;
      }
    }
    this.#gone();
  }

  readonly #gone = (): void => {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.lost = true;
    this.onLost();
  };
}

/** What `requestPort` rejected with. */
export function requestError(error: unknown): Error {
  if (named(error, "NotFoundError")) return new PortError("port-not-chosen");
  if (named(error, "SecurityError")) return new PortError("port-not-allowed");
  return error instanceof Error ? error : new Error(String(error));
}

const named = (error: unknown, name: string): boolean => error instanceof Error && error.name === name;
