/**
 * The serial port, and the only file that names `navigator.serial`.
 *
 * One {@link PortOwner} holds a port from the first byte of flashing to the last of the console, so
 * that nobody ever finds it "already open". It moves bytes and signals and decides nothing: the
 * flashing and link machines run in a worker, where a tab in the background does not slow their
 * timers.
 */
import { CodedError } from "./rpc.ts";

/** The part of `navigator.serial` that the page uses; the virtual board offers the same. */
export interface SerialLike {
  requestPort(options?: SerialPortRequestOptions): Promise<SerialPort>;
  addEventListener(type: "disconnect", listener: (event: Event) => void): void;
}

/** Undefined where the browser has no Web Serial. */
export function browserSerial(): SerialLike | undefined {
  return (navigator as { serial?: Serial }).serial;
}

/** Espressif's own USB, and the bridges that boards carry: CP210x, CH34x, FTDI. */
export const filters: SerialPortFilter[] = [
  { usbVendorId: 0x303a },
  { usbVendorId: 0x10c4 },
  { usbVendorId: 0x1a86 },
  { usbVendorId: 0x0403 },
];

export type LinkKind = "uart-bridge" | "usb-serial-jtag" | "usb-otg";

/** What sits between the cable and the chip, from the USB identity. */
export function linkKind(port: SerialPort): LinkKind {
  const { usbVendorId, usbProductId } = port.getInfo();
  if (usbVendorId !== 0x303a) return "uart-bridge";
  return usbProductId === 0x1001 ? "usb-serial-jtag" : "usb-otg";
}

/** Bytes the browser holds while the page is busy; its default of 255 overruns at once. */
const BUFFER_BYTES = 64 * 1024;

export class PortOwner {
  /** Bytes as they arrive. */
  onBytes: (bytes: Uint8Array) => void = () => {};
  /** The port is gone for good. */
  onLost: () => void = () => {};

  readonly #port: SerialPort;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> | undefined;
  #wanted = false;

  constructor(port: SerialPort, serial: SerialLike) {
    this.#port = port;
    serial.addEventListener("disconnect", (event) => {
      if (event.target === port) this.#lost();
    });
  }

  async open(baudRate: number): Promise<void> {
    try {
      await this.#port.open({ baudRate, bufferSize: BUFFER_BYTES });
    } catch (error) {
      throw openError(error);
    }
    this.#wanted = true;
    this.#reading = this.#read();
  }

  async write(bytes: Uint8Array): Promise<void> {
    const writer = this.#port.writable?.getWriter();
    if (!writer) throw new CodedError("port-lost", "The port is closed.");
    try {
      await writer.write(bytes);
    } finally {
      writer.releaseLock();
    }
  }

  /** DTR, then RTS; `true` asserts. */
  async setSignals(dtr: boolean, rts: boolean): Promise<void> {
    // In one call, which sets one right after the other: with time between them the chip would start
    // while IO0 is still high.
    await this.#port.setSignals({ dataTerminalReady: dtr, requestToSend: rts });
    // One driver (Windows' usbser.sys) only passes RTS on with the next write of DTR.
    await this.#port.setSignals({ dataTerminalReady: dtr });
  }

  /** The rate of an open port can't be changed: this closes and opens it again. */
  async setBaud(baudRate: number): Promise<void> {
    await this.close();
    await this.open(baudRate);
  }

  async close(): Promise<void> {
    this.#wanted = false;
    await this.#reader?.cancel().catch(() => {});
    await this.#reading;
    // Closing a port that was unplugged rejects; it is closed either way.
    await this.#port.close().catch(() => {});
  }

  async #read(): Promise<void> {
    // Overrun, framing and parity errors end one stream and bring another; only a port without a
    // stream is gone.
    while (this.#wanted && this.#port.readable) {
      this.#reader = this.#port.readable.getReader();
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
    if (this.#wanted) this.#lost();
  }

  #lost(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.onLost();
  }
}

function openError(error: unknown): CodedError {
  const name = error instanceof Error ? error.name : "";
  if (name === "InvalidStateError") {
    return new CodedError("port-busy", "This page already has the port open.\nDisconnect first, then try again.");
  }
  return new CodedError(
    "port-busy",
    "The port could not be opened.\nClose other programs that may hold it (serial monitors, an IDE, another tab) and try again.\nOn Linux the user must be in the group dialout: sudo usermod -aG dialout $USER, then log in again.",
  );
}

/** What `requestPort` rejected with, in words; undefined when the user just closed the chooser. */
export function requestError(error: unknown): CodedError | undefined {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotFoundError") return undefined;
  if (name === "SecurityError") {
    return new CodedError(
      "not-allowed",
      "This page may not use serial ports here.\nOpen it over https or on localhost; inside a frame, the frame needs allow=\"serial\".",
    );
  }
  return new CodedError("port", error instanceof Error ? error.message : String(error));
}
