// A core of so many threads that starting them would take long, as the monitor sees it.

import { channel } from 'node:diagnostics_channel';
import type { IocpCore, Stoppable } from '@overlapped/net-core';
import { StatsBlock } from '@overlapped/net-core/internal';
import { onTestFinished } from 'vitest';
import { type Jobs, startMonitor } from '../src/index.js';

/**
 * The monitor of it, until the test is finished; gives its URL. Thread i has i connections, and does i times the work of the first
 * worker does.
 */
export function startImitation(workers: number, jobs?: Jobs): Promise<string> {
  const idle = new StatsBlock().read();
  let reported = 0;
  const stats = () => {
    const ofThread = (i: number) => ({ ...idle, sessions: i, packets: reported * i * 1000, wakeUps: reported * 100 });
    const threads = Array.from({ length: workers }, (_, i) => ofThread(i + 1));
    const total = { ...idle, sessions: threads.reduce((sum, { sessions }) => sum + sessions, 0) };
    return { total, own: idle, workers: threads };
  };
  let stop = async () => {};
  const attach = (server: Stoppable) => {
    stop = () => server.stop(0);
  };
  const core = { backend: 'portable', threads: workers, stats, attach } as unknown as IocpCore;
  const timer = setInterval(() => {
    reported++;
    channel('overlapped:stats').publish({ core, stats: stats() });
  }, 1000);
  onTestFinished(() => {
    clearInterval(timer);
    return stop();
  });
  return startMonitor(core, '127.0.0.1', 0, { ...(jobs && { jobs }) });
}
