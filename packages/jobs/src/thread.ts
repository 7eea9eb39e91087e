// A thread of a JobPool: takes packets from the pool's port and runs the jobs that they name, one at a time. Between jobs
// it waits on the port, not in its event loop; the loop turns while an async job is pending, before the thread goes to
// sleep, and from time to time when it is busy.

import { AsyncResource } from 'node:async_hooks';
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { carryError, describe, openSharedPort } from '@overlapped/iocp-native/internal';
import { abortCurrentJob, setCurrentJob, Transferred } from './context.js';
import { Form, JobTable } from './job-table.js';
import { FINISHED, type Order, type Report, type ThreadStart } from './protocol.js';
import type { TransferList } from './transfer-list.js';

// A test may put another clock in its place later, which would stop all jobs.
const { setImmediate } = globalThis;

/** A busy thread lets its event loop turn this often, in milliseconds: for the console output of jobs, for instance. */
const TURN = 10;
/** Milliseconds without a job until an idle thread lets its loop turn, once, before it sleeps. */
const IDLE = 0.1;

const { module, token, table: memory, index, port } = workerData as ThreadStart;
const shared = openSharedPort(token);
const table = new JobTable(memory);
let functions: Record<string, unknown> = {};
let loadError: unknown;
let slot = -1;
let ticket = 0;
/** Results that went in messages. */
let sent = 0;
/** The event loop has turned since the last job. */
let turned = true;

const context = {
  isAborted: () => table.isAborted(slot, ticket),
  blocking: <T>(fn: () => T) => shared.blocking(fn),
};

port.on('message', obey);
try {
  functions = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
} catch (error) {
  loadError = error;
}
table.setLoaded(index);
serve();

/** Runs jobs until it is time for the event loop to turn. */
function serve(): void {
  for (const until = performance.now() + TURN; ; ) {
    const packet = shared.wait(turned ? -1 : IDLE);
    table.countWakeUps(index, shared.wakeUps);
    if (packet === null) {
      if (shared.closed) process.exit();
      turned = true;
      setImmediate(serve);
      return;
    }
    turned = false;
    if (!table.claim(packet.key, packet.bytes, index)) continue;
    slot = packet.key;
    ticket = packet.bytes;
    const pending = run();
    if (pending) {
      awaitJob(pending);
      return;
    }
    if (performance.now() >= until) {
      setImmediate(serve);
      return;
    }
  }
}

/** Runs the current job. Gives its promise, if it returned one; else the job has ended. */
function run(): PromiseLike<unknown> | undefined {
  const codec = table.open(slot);
  const name = codec.read() as string;
  const job = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (typeof job !== 'function') {
    refuse(loadError === undefined ? ['ENOENT', 'its module has no such function'] : loadFailure());
    return undefined;
  }
  const values = table.form(slot) === Form.Ask ? ask() : codec.readAll();
  if (values === null) {
    end(Form.Result, undefined);
    return undefined;
  }
  setCurrentJob(context);
  try {
    // An async context of its own: a store that it enters is not the next job's.
    const result = new AsyncResource('OverlappedJob').runInAsyncScope(() => job(...values));
    if (typeof result?.then === 'function') return result;
    end(Form.Result, result);
  } catch (error) {
    fail(error);
  }
  return undefined;
}

/** Serves the event loop until the current job has ended. */
function awaitJob(promise: PromiseLike<unknown>): void {
  let pending = true;
  let waiting = false;
  const settle = (finish: (value: unknown) => void) => (value: unknown) => {
    pending = false;
    finish(value);
    if (waiting) setImmediate(serve);
  };
  Promise.resolve(promise).then(
    settle((value) => end(Form.Result, value)),
    settle(fail),
  );
  setImmediate(() => {
    if (!pending) {
      serve();
      return;
    }
    // It waits for something, so another thread may run.
    waiting = true;
    shared.leave();
  });
}

/** The arguments that had no room in shared memory. Null when the job has been aborted. */
function ask(): readonly unknown[] | null {
  const answers = table.answers(index);
  report({ kind: 'ask', slot });
  shared.blocking(() => table.awaitAnswer(index, answers));
  for (;;) {
    const order: Order = receiveMessageOnPort(port)!.message;
    if (order.kind === 'arguments') return order.values;
    obey(order);
  }
}

function obey(order: Order): void {
  if (order.kind === 'abort' && order.slot === slot && order.ticket === ticket) abortCurrentJob();
}

/** The current job has thrown. */
function fail(thrown: unknown): void {
  end(Form.Thrown, carryError(thrown));
}

/** Leaves the result in the slot, or sends it. */
function end(form: Form, value: unknown): void {
  setCurrentJob(undefined);
  if (value instanceof Transferred) {
    send(form, value.value, value.list);
    return;
  }
  if (!table.open(slot).write(value)) {
    send(form, value, []);
    return;
  }
  table.setForm(slot, form);
  if (table.finish(slot)) report(FINISHED);
}

function send(form: Form, value: unknown, list: TransferList): void {
  table.send(slot, sent++);
  try {
    report({ kind: 'end', slot, form, value }, list);
  } catch (error) {
    const thrown = form === Form.Thrown ? (value as { value: unknown }).value : undefined;
    const what =
      form === Form.Thrown ? `it threw what cannot be cloned (${describe(thrown)})` : 'its result cannot be cloned';
    refuse(['EINVAL', `${what}: ${describe(error)}`]);
  }
}

function loadFailure(): unknown[] {
  return ['ENOEXEC', `its module does not load: ${describe(loadError)}`, carryError(loadError)];
}

/** @param reasons code, reason, and cause. */
function refuse(reasons: unknown[]): void {
  end(Form.Refused, reasons);
}

function report(message: Report, list: TransferList = []): void {
  port.postMessage(message, list);
}
