// A `navigator.serial` for the page, made of the package's virtual board and nothing of the page's
// own code. Injected before the page's scripts; talks on the main thread; keeps a log of signals.
//
// What a scenario may set, at any time:
//   scriptedBoard    options of the first board
//   scriptedChoice   "none": the browser's list is closed without a choice; "forbidden": there is none for this page
//   scriptedDelay    milliseconds that every write takes, as on a real line
//   scripted.rules   openFails: so many attempts to open the port fail, as when another program has it
//                    resetsTakePort: a chip with its own USB leaves the bus with every reset
//                    back: milliseconds until it is there again, undefined: never
//                    granted: whether the page may use it without being asked (default true)
//                    openHangs: opening the port does not end
//                    stallAfter: the chip takes no more after so many writes, until the line is set anew
(() => {
  // The line has a clock of its own, whatever becomes of the page's.
  const { setTimeout, setInterval } = globalThis;
  const log = [];
  const rules = { openFails: 0, resetsTakePort: false, back: 300, granted: true, openHangs: false, stallAfter: Infinity };
  /** The chip's USB is one device in the loader and may be another in the application. */
  const devices = { "uart-bridge": [0x10c4, 0xea60], "usb-serial-jtag": [0x303a, 0x1001], "usb-otg": [0x303a, 0x0009] };
  let VirtualBoard;
  let board;
  let personality = "uart-bridge";
  /** What is plugged in now. */
  let port;
  const granted = new Set();

  const load = async () => {
    const module = await import("/package/index.js");
    await module.init();
    VirtualBoard = module.VirtualBoard;
    if (!board) make(globalThis.scriptedBoard ?? {});
  };
  const make = (options, flash) => {
    board?.free();
    board = new VirtualBoard(flash, options);
    attach();
    personality = options.personality ?? "uart-bridge";
  };

  class ScriptedPort extends EventTarget {
    readable = null;
    writable = null;
    connected = true;
    #info;
    #timer;
    #controller;
    #dtr = false;
    #rts = false;

    constructor([usbVendorId, usbProductId]) {
      super();
      this.#info = { usbVendorId, usbProductId };
    }
    getInfo() {
      return this.#info;
    }
    async open({ baudRate, bufferSize }) {
      if (this.readable) throw new DOMException("already open", "InvalidStateError");
      if (!(bufferSize >= 4096)) throw new Error(`a buffer of ${bufferSize} bytes overruns`);
      await load();
      if (rules.openHangs) await new Promise(() => {});
      if (!this.connected || rules.openFails > 0) {
        rules.openFails -= 1;
        throw new DOMException("Failed to open serial port.", "NetworkError");
      }
      log.push(`open ${baudRate}`);
      board.setBaud(baudRate);
      this.readable = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
      this.#makeWritable();
      this.#timer = setInterval(() => this.#pump(), 5);
    }
    #makeWritable() {
      this.writable = new WritableStream({
        write: async (bytes, controller) => {
          rules.stallAfter -= 1;
          if (rules.stallAfter < 0) {
            log.push("stalls");
            await new Promise((_, reject) => controller.signal.addEventListener("abort", () => reject(controller.signal.reason)));
          }
          // A real line takes its time; a scenario that wants to come in between asks for some.
          if (globalThis.scriptedDelay) await new Promise((done) => setTimeout(done, globalThis.scriptedDelay));
          if (!this.readable) throw new DOMException("The device has been lost.", "NetworkError");
          board.write(bytes);
          this.#pump();
        },
        // An aborted stream is replaced by a new one, as the browser does it.
        abort: () => {
          if (this.readable) this.#makeWritable();
        },
      });
    }
    async close() {
      if (!this.readable) throw new DOMException("not open", "InvalidStateError");
      if (this.readable.locked || this.writable.locked) throw new TypeError("a stream is locked");
      clearInterval(this.#timer);
      log.push("close");
      this.readable = this.writable = null;
      this.#controller = undefined;
    }
    async setSignals({ dataTerminalReady = this.#dtr, requestToSend = this.#rts }) {
      if (!this.readable) throw new DOMException("not open", "InvalidStateError");
      const resets = !dataTerminalReady && requestToSend && !(!this.#dtr && this.#rts);
      this.#dtr = dataTerminalReady;
      this.#rts = requestToSend;
      log.push(`dtr ${Number(this.#dtr)} rts ${Number(this.#rts)}`);
      board.setSignals(this.#dtr, this.#rts);
      if (resets && rules.resetsTakePort && personality === "usb-serial-jtag") leaveBus();
      else this.#pump();
    }
    async getSignals() {
      return { clearToSend: false, dataCarrierDetect: false, dataSetReady: false, ringIndicator: false };
    }
    async forget() {}
    /** The cable is pulled, or the device is gone from the bus: this object is dead. */
    unplug() {
      clearInterval(this.#timer);
      this.connected = false;
      const controller = this.#controller;
      this.#controller = undefined;
      this.readable = this.writable = null;
      controller?.error(new DOMException("The device has been lost.", "NetworkError"));
      if (port === this) port = undefined;
      this.dispatchEvent(new Event("disconnect", { bubbles: true }));
    }
    #pump() {
      if (!this.readable) return;
      board.tick(performance.now());
      const bytes = board.read();
      if (bytes.length > 0) this.#controller?.enqueue(bytes);
      if (board.connected) return;
      if (personality === "usb-otg") leaveBus();
      else this.unplug();
    }
  }

  /** A restart of a chip with its own USB: another device comes, in time. */
  const leaveBus = () => {
    log.push("leaves the bus");
    // In its application the chip is on USB-Serial-JTAG, whatever the loader was on.
    if (personality === "usb-otg") make({ personality: "usb-serial-jtag" }, board.flash);
    port?.unplug();
    if (rules.back === undefined) return;
    setTimeout(() => {
      plugIn();
      if (rules.granted) granted.add(port);
      // As it would bubble from the port.
      serial.dispatchEvent(Object.defineProperty(new Event("connect"), "target", { value: port }));
    }, rules.back);
  };
  /** A chip on USB-OTG starts by leaving the bus; a pulled cable is put back. */
  const attach = () => {
    if (!board.connected) board.replug();
  };
  const plugIn = () => {
    attach();
    // Nobody has set a new device's lines yet.
    board.setSignals(false, false);
    port = new ScriptedPort(devices[personality]);
  };

  const serial = new (class extends EventTarget {
    async requestPort(options) {
      log.push(`request ${options?.filters?.length ?? 0} filters`);
      if (!navigator.userActivation.isActive) throw new DOMException("needs a click", "SecurityError");
      if (globalThis.scriptedChoice === "forbidden") throw new DOMException("not allowed here", "SecurityError");
      if (globalThis.scriptedChoice === "none") throw new DOMException("no port chosen", "NotFoundError");
      await load();
      if (!port) plugIn();
      granted.add(port);
      return port;
    }
    async getPorts() {
      return [...granted].filter((each) => each.connected);
    }
  })();
  Object.defineProperty(navigator, "serial", { value: serial });
  globalThis.scripted = {
    log,
    rules,
    get port() {
      return port;
    },
    flash: () => board.flash,
    /** Puts a board with these options in place of the one there was; `keep`: with its flash. */
    async board(options, keep) {
      await load();
      make(options, keep ? board.flash : undefined);
      if (port && devices[personality][1] !== port.getInfo().usbProductId) port.unplug();
    },
  };
})();
