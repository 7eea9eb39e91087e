// The servers that are programs of their own: they print their port and serve it. Of their CPU time they say nothing, so it
// is read from outside.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { compiled, declares, whyNotCompiled } from '../compile.js';
import { pathOf } from '../paths.js';
import { makeCertificate } from '../servers/certificate.js';
import { CpuClock } from './cpu-clock.js';
import { kill, residentBytes, type Server } from './server.js';

export interface Rival {
  readonly by: string;
  /** The program and its arguments. Throws an error that says what is missing here. */
  readonly command: () => [string, ...string[]];
  /** The port that a line of its output says it serves, if it does; without this the first line is the port. */
  readonly portIn?: (line: string) => number | undefined;
}

export const epoll: Rival = {
  by: 'C, epoll',
  command() {
    return [compiled('rivals/echo-epoll.c')];
  },
};

export const liburing: Rival = {
  by: 'C, io_uring',
  command() {
    const reason = whyNotCompiled();
    if (reason !== undefined) throw new Error(reason);
    if (!declares('liburing.h', 'io_uring_prep_recv_multishot')) {
      throw new Error('it needs liburing 2.3 or newer, which Debian has as liburing-dev');
    }
    return [compiled('rivals/echo-liburing.c', ['uring'])];
  },
};

/** With the certificate and the ciphers that the TLS servers on Node.js have. */
export async function epollTls(): Promise<Rival> {
  const { cert, key } = await makeCertificate();
  const names = tls.DEFAULT_CIPHERS.split(':');
  const suites = names.filter((name) => name.startsWith('TLS_'));
  const ciphers = names.filter((name) => !name.startsWith('TLS_'));
  return {
    by: 'C, OpenSSL',
    command() {
      const reason = whyNotCompiled();
      if (reason !== undefined) throw new Error(reason);
      if (!declares('openssl/ssl.h', 'SSL_has_pending')) {
        throw new Error('it needs the headers of OpenSSL, which Debian has as libssl-dev');
      }
      const program = compiled('rivals/echo-epoll-tls.c', ['ssl', 'crypto']);
      return [program, cert, key, ciphers.join(':'), suites.join(':')];
    },
  };
}

export const bun: Rival = {
  by: 'Bun',
  command() {
    const script = pathOf('rivals/echo-bun.js');
    try {
      return [createRequire(import.meta.url).resolve('@oven/bun-linux-x64/bin/bun'), script];
    } catch {
      throw new Error('its program is installed on Linux x64 with glibc only');
    }
  },
};

export class RivalServer implements Server {
  readonly by: string;
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #clock: CpuClock;
  /** Not all of these programs end when we do. */
  readonly #endToo = () => this.#process.kill('SIGKILL');

  private constructor(by: string, port: number, child: ChildProcess) {
    this.by = by;
    this.port = port;
    this.#process = child;
    this.#clock = new CpuClock(child.pid!);
    process.once('exit', this.#endToo);
  }

  static async start({ by, command, portIn = Number }: Rival): Promise<RivalServer> {
    const [program, ...args] = command();
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`it ended at once (${signal ?? code})`);
    });
    const lines = createInterface(child.stdout);
    const ready = new Promise<number>((resolve) => {
      lines.on('line', (line) => {
        const port = portIn(line);
        if (port !== undefined) resolve(port);
      });
    });
    return new RivalServer(by, await Promise.race([ready, exit]), child);
  }

  async cpu(): Promise<number> {
    return this.#clock.read();
  }

  async memory(): Promise<number> {
    return residentBytes(this.#process.pid!);
  }

  stop(): Promise<void> {
    process.off('exit', this.#endToo);
    return kill(this.#process);
  }
}

/** Why a rival cannot serve here, or undefined when it can: it is tried. */
export async function whyNot(rival: Rival): Promise<string | undefined> {
  try {
    await (await RivalServer.start(rival)).stop();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
