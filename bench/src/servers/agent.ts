// What the servers under measurement have in common: they count their connections, and answer the bench over IPC.

/** What the bench asks for. `connected` in an Await is a count since the server started. */
export type Request = { readonly ask: 'figures' | 'gc' } | { readonly ask: 'await'; readonly connected: number };

export interface Figures {
  /** User and system time of all threads of the process, in microseconds. */
  readonly cpu: number;
  /** How often a thread of the process gave up its core, by itself or not. */
  readonly switches: number;
  /** Connections since the server started. */
  readonly connected: number;
  /** When these figures were taken, in seconds of CLOCK_MONOTONIC. */
  readonly at: number;
}

/** The server's first message. */
export interface Ready {
  readonly port: number;
  /** What serves: a backend, or node:net. */
  readonly by: string;
}

/**
 * `echo` sends everything back; `burn` does, too, after some work; `life` does, and reports how else its thread fares;
 * `knock` ends each connection as soon as it is there; `crowd` greets each with as many bytes as a message has, and sends
 * what one says to all; `http` answers requests; `pour` streams chunks of the length that the client asks for, in 4 bytes, and
 * `sink` drops what comes; `asked` does what the first byte of a message asks for, and then sends it back.
 */
export type Behaviour = 'echo' | 'burn' | 'life' | 'knock' | 'crowd' | 'http' | 'pour' | 'sink' | 'asked';

/** What a crowd's members are greeted with. */
export const GREETING = Buffer.alloc(64, 'g');

/** The chunk that `pour` sends for a request. */
export const chunkFor = (request: Buffer): Buffer => Buffer.alloc(request.readUInt32LE(0), 'p');

export const behaviour = process.argv[2] as Behaviour;
/** How many threads serve, where they are the server's own; of the shared server, how many run at a time. */
export const threads = Number(process.argv[3]);

let connected = 0;
let awaited = Number.POSITIVE_INFINITY;

/** To be called for each connection, when it is ready to receive. */
export function countConnection(): void {
  connected++;
  if (connected < awaited) return;
  awaited = Number.POSITIVE_INFINITY;
  answer();
}

/** Serves the bench until it goes away. */
export function ready(message: Ready): void {
  process.on('message', (request: Request) => {
    if (request.ask === 'await' && connected < request.connected) {
      awaited = request.connected;
      return;
    }
    if (request.ask === 'gc') globalThis.gc?.();
    answer();
  });
  process.once('disconnect', () => process.exit());
  process.send?.(message);
}

function answer(): void {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches, involuntaryContextSwitches } = process.resourceUsage();
  const cpu = userCPUTime + systemCPUTime;
  const switches = voluntaryContextSwitches + involuntaryContextSwitches;
  const figures: Figures = { cpu, switches, connected, at: Number(process.hrtime.bigint()) / 1e9 };
  process.send?.(figures);
}
