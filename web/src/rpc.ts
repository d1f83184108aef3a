/**
 * Typed request and reply over a `Worker` or `MessagePort`.
 *
 * A service is a record of async functions. `serve` answers for one, `connect` gives the other
 * side a proxy with the same functions. Functions may report progress: the last argument of the
 * proxy's call is then a callback, which stays on the caller's side.
 */

export type Service = Record<string, (...args: never[]) => unknown>;

export type Remote<S extends Service> = {
  [K in keyof S]: (...args: Parameters<S[K]>) => Promise<Awaited<ReturnType<S[K]>>>;
};

type Request = { id: number; call: string; args: unknown[]; progress: boolean };
type Reply =
  | { id: number; progress: unknown }
  | { id: number; value: unknown }
  | { id: number; error: PlainError };

interface PlainError {
  message: string;
  code: string;
}

interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  /** A `MessagePort` holds its messages back until this is called. */
  start?(): void;
}

/** An error that names its kind in a word that stays the same from version to version. */
export class CodedError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "CodedError";
    this.code = code;
  }
}

export function plainError(error: unknown): PlainError {
  if (error instanceof Error) {
    const code = (error as { code?: unknown }).code;
    return { message: error.message, code: typeof code === "string" ? code : error.name };
  }
  return { message: String(error), code: "unknown" };
}

/** Marks buffers to be moved instead of copied with the value that holds them. */
export class Transfer<T> {
  constructor(
    readonly value: T,
    readonly buffers: Transferable[],
  ) {}
}

export function serve(service: Service, endpoint: Endpoint): void {
  endpoint.addEventListener("message", (event: MessageEvent) => {
    const request = event.data as Request;
    if (typeof request?.call !== "string") return;
    const { id, call, args, progress } = request;
    const report = (value: unknown): void => endpoint.postMessage({ id, progress: value });
    void (async () => {
      try {
        const handler = service[call] as ((...a: unknown[]) => unknown) | undefined;
        if (!handler) throw new CodedError("protocol", `no such call: ${call}`);
        const value = await handler(...(progress ? [...args, report] : args));
        if (value instanceof Transfer) endpoint.postMessage({ id, value: value.value }, value.buffers);
        else endpoint.postMessage({ id, value });
      } catch (error) {
        endpoint.postMessage({ id, error: plainError(error) });
      }
    })();
  });
  endpoint.start?.();
}

/** The other side of {@link serve}. `abandon` rejects whatever is still waiting. */
export function connect<S extends Service>(endpoint: Endpoint): { remote: Remote<S>; abandon(error: Error): void } {
  let next = 1;
  const waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void; progress?: (value: unknown) => void }
  >();

  endpoint.addEventListener("message", (event: MessageEvent) => {
    const reply = event.data as Reply;
    const entry = waiting.get(reply?.id);
    if (!entry) return;
    if ("progress" in reply) {
      entry.progress?.(reply.progress);
      return;
    }
    waiting.delete(reply.id);
    if ("error" in reply) entry.reject(new CodedError(reply.error.code, reply.error.message));
    else entry.resolve(reply.value);
  });
  endpoint.start?.();

  const remote = new Proxy({} as Remote<S>, {
    get: (_, call) => {
      if (typeof call !== "string" || call === "then") return undefined;
      return (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          const id = next++;
          const last = args.at(-1);
          const progress = typeof last === "function" ? (last as (value: unknown) => void) : undefined;
          const sent = progress ? args.slice(0, -1) : args;
          const plain = sent.map((arg) => (arg instanceof Transfer ? arg.value : arg));
          const buffers = sent.flatMap((arg) => (arg instanceof Transfer ? arg.buffers : []));
          waiting.set(id, progress ? { resolve, reject, progress } : { resolve, reject });
          endpoint.postMessage({ id, call, args: plain, progress: progress !== undefined } satisfies Request, buffers);
        });
    },
  });

  return {
    remote,
    abandon(error) {
      for (const entry of waiting.values()) entry.reject(error);
      waiting.clear();
    },
  };
}
