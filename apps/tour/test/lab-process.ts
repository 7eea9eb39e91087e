// The lab as a process of its own, and the stream of its happenings, for tests.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import type { Greeting, Happening, News } from '../lab/messages.js';
import type { Settings } from '../lab/settings.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export interface LabProcess {
  readonly url: string;
  readonly process: ChildProcess;
}

/** Starts it on a free port, until the test is finished. */
export async function startLab(): Promise<LabProcess> {
  const lab = spawn(process.execPath, [CLI, 'lab'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void lab.kill('SIGKILL'));
  for await (const line of createInterface({ input: lab.stdout })) {
    const [url] = /http:\S+/.exec(line) ?? [];
    if (url !== undefined) return { url, process: lab };
  }
  throw new Error('the lab has ended');
}

export function post(url: string, path: string, body: string): Promise<Response> {
  return fetch(new URL(path, url), { method: 'POST', body });
}

/** Opens the port anew with these settings, and gives the happenings there. */
export async function open(url: string, settings: Settings) {
  expect((await post(url, '/anew', JSON.stringify(settings))).status).toBe(204);
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const { body } = await fetch(new URL('/happenings', url), { signal: abort.signal });
  const seen: Happening[] = [];
  let greeting: Greeting | undefined;
  let text = '';
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  /** Waits until so many of a kind have been seen. Gives all that was seen. */
  const until = async (kind: Happening[1], count: number): Promise<readonly Happening[]> => {
    while (seen.filter((each) => each[1] === kind).length < count) {
      const { value, done } = await reader.read();
      if (done) throw new Error('the stream has ended');
      const messages = (text + value).split('\n\n');
      text = messages.pop()!;
      for (const message of messages) take(message);
    }
    return seen;
  };
  const take = (message: string) => {
    const data = /^data: (.*)$/m.exec(message)?.[1];
    if (data === undefined) return;
    if (message.startsWith('event: greeting')) greeting = JSON.parse(data) as Greeting;
    else seen.push(...(JSON.parse(data) as News).happenings);
  };
  await until('ready', settings.concurrency * 2);
  return { greeting: greeting!, until };
}

/** Interrupts it as Ctrl-C does. Gives its exit code. */
export async function interrupt({ process: lab }: LabProcess): Promise<number | null> {
  const exit = once(lab, 'exit');
  lab.kill('SIGINT');
  const [code] = await exit;
  return code;
}
