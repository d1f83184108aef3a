// A `navigator.serial` for the page, made of the package's virtual board and nothing of the page's
// own code. Injected before the page's scripts; talks on the main thread; keeps a log of signals.
(() => {
  const log = [];
  let board;
  const load = async () => {
    const { VirtualBoard, init } = await import("/package/index.js");
    await init();
    board ??= new VirtualBoard(undefined, globalThis.scriptedBoard ?? {});
    return { VirtualBoard };
  };

  class ScriptedPort extends EventTarget {
    readable = null;
    writable = null;
    connected = true;
    #timer;
    #controller;
    #dtr = false;
    #rts = false;

    getInfo() {
      return { usbVendorId: 0x10c4, usbProductId: 0xea60 };
    }
    async open({ baudRate, bufferSize }) {
      if (this.readable) throw new DOMException("already open", "InvalidStateError");
      if (!(bufferSize >= 4096)) throw new Error(`a buffer of ${bufferSize} bytes overruns`);
      await load();
      log.push(`open ${baudRate}`);
      board.setBaud(baudRate);
      this.readable = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
      this.writable = new WritableStream({
        write: async (bytes) => {
          // A real line takes its time; a scenario that wants to come in between asks for some.
          if (globalThis.scriptedDelay) await new Promise((done) => setTimeout(done, globalThis.scriptedDelay));
          board.write(bytes);
          this.#pump();
        },
      });
      this.#timer = setInterval(() => this.#pump(), 5);
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
      this.#dtr = dataTerminalReady;
      this.#rts = requestToSend;
      log.push(`dtr ${Number(this.#dtr)} rts ${Number(this.#rts)}`);
      board.setSignals(this.#dtr, this.#rts);
      this.#pump();
    }
    async getSignals() {
      return { clearToSend: false, dataCarrierDetect: false, dataSetReady: false, ringIndicator: false };
    }
    async forget() {}
    /** The cable is pulled. */
    unplug() {
      clearInterval(this.#timer);
      this.#controller?.error(new DOMException("The device has been lost.", "NetworkError"));
      this.readable = this.writable = null;
      this.dispatchEvent(new Event("disconnect", { bubbles: true }));
    }
    #pump() {
      if (!this.readable) return;
      board.tick(performance.now());
      const bytes = board.read();
      if (bytes.length > 0) this.#controller?.enqueue(bytes);
      if (!board.connected) this.unplug();
    }
  }

  const port = new ScriptedPort();
  const serial = new (class extends EventTarget {
    async requestPort(options) {
      log.push(`request ${options?.filters?.length ?? 0} filters`);
      if (!navigator.userActivation.isActive) throw new DOMException("needs a click", "SecurityError");
      if (globalThis.scriptedChoice === "none") throw new DOMException("no port chosen", "NotFoundError");
      return port;
    }
    async getPorts() {
      return [port];
    }
  })();
  Object.defineProperty(navigator, "serial", { value: serial });
  globalThis.scripted = {
    log,
    port,
    /** Puts a board with these options in place of the one there was; `keep`: with its flash. */
    async board(options, keep) {
      const { VirtualBoard } = await load();
      const flash = keep ? board?.flash : undefined;
      board?.free();
      board = new VirtualBoard(flash, options);
    },
  };
})();
