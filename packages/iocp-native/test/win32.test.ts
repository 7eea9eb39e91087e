// What only Windows has: the raw functions, and how the IOCP port uses them beyond what the contract can see. Off
// Windows: that importing the raw functions is harmless, and calling them an IocpError.

import { execFileSync } from 'node:child_process';
import { pbkdf2 } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { openPort, openPoster, reap } from '../src/backend.js';
import { isIocpError } from '../src/contract/errors.js';
import { createBatch, GatherList, Operation } from '../src/contract/port.js';
import { Owned } from '../src/native/ledger.js';
import { readSockaddr, writeSockaddr } from '../src/native/sockaddr.js';
import * as win32 from '../src/win32/index.js';
import { assertWin32Layout } from '../src/win32/layout.js';
import { win32Memory } from '../src/win32/memory.js';
import { blockPool } from './support/block-pool.js';
import { localPath } from './support/local.js';
import { Rig } from './support/rig.js';
import { library, Owner, postFromThread, recordsOf } from './support/threads.js';

const onWindows = process.platform === 'win32';
const ENTRY = win32.OVERLAPPED_ENTRY;

describe('win32, anywhere', () => {
  // Windows has them.
  it.skipIf(onWindows)('every raw function throws ENOTSUP where there is none', () => {
    const functions = Object.values(win32).filter((value) => typeof value === 'function' && 'bound' in value);
    expect(functions.length).toBe(51);
    for (const raw of functions as (() => number)[]) expect(raw).toThrow(expect.objectContaining({ code: 'ENOTSUP' }));
  });

  it('numbers of Winsock, Win32 and NTSTATUS have one portable code', () => {
    const codes = (...numbers: number[]) => numbers.map((n) => win32.win32Error('test', 'call', n).code);
    expect(codes(10054, 64, 0xc000020d, -1073741299)).toEqual(Array(4).fill('ECONNRESET'));
    expect(codes(995, 0xc0000120)).toEqual(['ECANCELED', 'ECANCELED']);
    expect(codes(10061, 1225, 0xc0000236)).toEqual(Array(3).fill('ECONNREFUSED'));
    expect(codes(10060, 121, 258)).toEqual(Array(3).fill('ETIMEDOUT'));
    const unknown = win32.win32Error('test', 'call', 0xc0001234);
    expect(isIocpError(unknown) && unknown.message).toBe('Cannot test: Windows error 0xc0001234 (EIO, call)');
  });
});

// They exist on Windows only.
describe.skipIf(!onWindows)('win32, the raw functions', () => {
  const memory = { address: onWindows ? win32Memory.map(65536) : 0 };
  const view = onWindows ? win32Memory.view(memory.address, 65536) : new ArrayBuffer(65536);
  const bytes = Buffer.from(view);
  const words = new Uint32Array(view);
  // Where things lie in that memory. OVERLAPPEDs first, one after another.
  const [ENTRIES, COUNT, WSABUF, ADDRESSES, DATA] = [4096, 40960, 41024, 41088, 45056];
  const port = onWindows ? win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, 0, 0, 1) : 0;
  afterAll(() => {
    if (onWindows) expect(win32.CloseHandle(port)).not.toBe(0);
  });

  function dequeue(most = 64, timeout = 5000) {
    const entries = memory.address + ENTRIES;
    if (win32.GetQueuedCompletionStatusEx(port, entries, most, memory.address + COUNT, timeout, 0) === 0) {
      expect(win32.GetLastError()).toBe(win32.WAIT_TIMEOUT);
      return [];
    }
    return Array.from({ length: words[COUNT >> 2]! }, (_, i) => {
      const at = ENTRIES + i * ENTRY.size;
      return {
        key: bytes.readUInt32LE(at + ENTRY.lpCompletionKey),
        overlapped: Number(bytes.readBigUInt64LE(at + ENTRY.lpOverlapped)),
        bytes: bytes.readUInt32LE(at + ENTRY.dwNumberOfBytesTransferred),
      };
    });
  }

  function overlapped(index: number): number {
    words.fill(0, index * 8, index * 8 + 8);
    return memory.address + index * win32.OVERLAPPED.size;
  }

  function socket(): number {
    const handle = win32.WSASocketW(win32.AF_INET, win32.SOCK_STREAM, win32.IPPROTO_TCP, null, 0, 1);
    expect(handle).not.toBe(win32.INVALID_SOCKET);
    return handle;
  }

  function bound(key: number): number {
    const handle = socket();
    const address = Buffer.alloc(28);
    const length = writeSockaddr({ address: '127.0.0.1', family: 4, port: 0 }, address, 0, win32.AF_INET6);
    expect(win32.bind(handle, address, length)).toBe(0);
    expect(win32.CreateIoCompletionPort(handle, port, key, 0)).toBe(port);
    return handle;
  }

  function addressOf(handle: number, ask = win32.getsockname) {
    const address = Buffer.alloc(28);
    const length = Buffer.from([28, 0, 0, 0]);
    expect(ask(handle, address, length)).toBe(0);
    return readSockaddr(address, 0);
  }

  /** Starts AcceptEx and ConnectEx, and waits for both. The listener is 1, the client 2. */
  function meet(listener: number, client: number, server: number): void {
    const target = Buffer.alloc(28);
    const length = writeSockaddr(addressOf(listener), target, 0, win32.AF_INET6);
    const output = memory.address + ADDRESSES;
    const count = memory.address + COUNT;
    expect(win32.AcceptEx(listener, server, output, 0, 44, 44, count, overlapped(0))).toBe(0);
    expect(win32.WSAGetLastError()).toBe(win32.ERROR_IO_PENDING);
    win32.ConnectEx(client, target, length, 0, 0, count, overlapped(1));
    for (let seen = 0; seen < 2; ) seen += dequeue().length;
    expect([words[0], words[8]]).toEqual([0, 0]);
    const context = Buffer.alloc(8);
    context.writeBigInt64LE(BigInt(listener));
    expect(win32.setsockopt(server, win32.SOL_SOCKET, win32.SO_UPDATE_ACCEPT_CONTEXT, context, 8)).toBe(0);
    expect(win32.setsockopt(client, win32.SOL_SOCKET, win32.SO_UPDATE_CONNECT_CONTEXT, null, 0)).toBe(0);
  }

  function send(handle: number, index: number): number {
    bytes.writeUInt32LE(4, WSABUF);
    bytes.writeBigUInt64LE(BigInt(memory.address + DATA), WSABUF + 8);
    return win32.WSASend(handle, memory.address + WSABUF, 1, memory.address + COUNT, 0, overlapped(index), 0);
  }

  function close(...handles: number[]): void {
    for (const handle of handles) expect(win32.closesocket(handle)).toBe(0);
  }

  it('structures lie in memory as layout.ts says', () => assertWin32Layout());

  it('GetQueuedCompletionStatusEx brings posted packets in batches, first in first out', () => {
    for (let i = 0; i < 200; i++) expect(win32.PostQueuedCompletionStatus(port, i, 7, 1000 + i)).not.toBe(0);
    const batches = [dequeue(128), dequeue(128)];
    expect(batches.map(({ length }) => length)).toEqual([128, 72]);
    expect(batches.flat()).toEqual(Array.from({ length: 200 }, (_, i) => ({ key: 7, overlapped: 1000 + i, bytes: i })));
    expect(dequeue(64, 0)).toEqual([]);
  });

  it('GetQueuedCompletionStatus brings one, and tells a time-out by a NULL overlapped', () => {
    const [count, key, pointer] = [Buffer.alloc(4), Buffer.alloc(8), Buffer.alloc(8, 1)];
    expect(win32.PostQueuedCompletionStatus(port, 5, 2 ** 40, 6)).not.toBe(0);
    expect(win32.GetQueuedCompletionStatus(port, count, key, pointer, 0)).not.toBe(0);
    expect([count.readUInt32LE(), key.readBigUInt64LE(), pointer.readBigUInt64LE()]).toEqual([5, 2n ** 40n, 6n]);
    expect(win32.GetQueuedCompletionStatus(port, count, key, pointer, 0)).toBe(0);
    expect(win32.GetLastError()).toBe(win32.WAIT_TIMEOUT);
    expect(pointer.readBigUInt64LE()).toBe(0n);
  });

  it('a registered wait takes a port: it ends when a packet comes, and when one is there', () => {
    const text = (name: string) => Buffer.from(`${name}\0`);
    const kernel32 = win32.GetModuleHandleW(Buffer.from('kernel32.dll\0', 'utf16le'));
    const setEvent = win32.GetProcAddress(kernel32, text('SetEvent'));
    const event = win32.CreateEventW(null, 0, 0, null);
    const wait = Buffer.alloc(8);
    const register = () => win32.RegisterWaitForSingleObject(wait, port, setEvent, event, win32.INFINITE, 4 | 8);
    for (const early of [false, true]) {
      if (early) expect(win32.PostQueuedCompletionStatus(port, 1, 1, 0)).not.toBe(0);
      expect(register()).not.toBe(0);
      if (!early) expect(win32.PostQueuedCompletionStatus(port, 1, 1, 0)).not.toBe(0);
      expect(win32.WaitForSingleObject(event, 10_000)).toBe(win32.WAIT_OBJECT_0);
      win32.UnregisterWaitEx(Number(wait.readBigUInt64LE()), -1);
      // It has taken nothing.
      expect(win32.WaitForSingleObject(port, 0)).toBe(win32.WAIT_OBJECT_0);
      expect(dequeue().length).toBe(1);
      expect(win32.WaitForSingleObject(port, 0)).toBe(win32.WAIT_TIMEOUT);
    }
    expect(win32.CloseHandle(event)).not.toBe(0);
  });

  it('a handle belongs to one port', () => {
    const handle = bound(1);
    expect(win32.CreateIoCompletionPort(handle, port, 2, 0)).toBe(0);
    expect(win32.win32Error('associate', 'CreateIoCompletionPort', win32.GetLastError()).code).toBe('EINVAL');
    close(handle);
  });

  it('CancelIoEx: the packet still comes, and with nothing in flight it says so', () => {
    const listener = bound(1);
    expect(win32.listen(listener, 8)).toBe(0);
    const server = socket();
    const at = overlapped(0);
    expect(win32.AcceptEx(listener, server, memory.address + ADDRESSES, 0, 44, 44, memory.address + COUNT, at)).toBe(0);
    expect(win32.CancelIoEx(listener, at)).not.toBe(0);
    expect(dequeue()).toEqual([{ key: 1, overlapped: at, bytes: 0 }]);
    expect(win32.win32Error('accept', 'AcceptEx', words[0]!).code).toBe('ECANCELED');
    expect(win32.CancelIoEx(listener, at)).toBe(0);
    expect(win32.GetLastError()).toBe(win32.ERROR_NOT_FOUND);
    close(listener, server);
  });

  it('an accepted socket: its addresses, and its reuse after DisconnectEx', () => {
    const listener = bound(1);
    expect(win32.listen(listener, 8)).toBe(0);
    let client = bound(2);
    const server = socket();
    meet(listener, client, server);
    const [local, localSize, remote, remoteSize] = [8, 4, 8, 4].map((size) => Buffer.alloc(size)) as Buffer[];
    win32.GetAcceptExSockaddrs(memory.address + ADDRESSES, 0, 44, 44, local!, localSize!, remote!, remoteSize!);
    const at = (pointer: Buffer) => readSockaddr(bytes, Number(pointer.readBigUInt64LE()) - memory.address);
    expect(at(local!)).toEqual(addressOf(listener));
    expect(at(remote!)).toEqual(addressOf(client));
    expect(at(remote!)).toEqual(addressOf(server, win32.getpeername));
    expect(win32.CreateIoCompletionPort(server, port, 3, 0)).toBe(port);
    close(client);
    if (win32.DisconnectEx(server, overlapped(2), win32.TF_REUSE_SOCKET, 0) === 0) {
      expect(win32.WSAGetLastError()).toBe(win32.ERROR_IO_PENDING);
    }
    expect(dequeue()).toMatchObject([{ key: 3 }]);
    client = bound(2);
    meet(listener, client, server);
    expect(addressOf(server, win32.getpeername)).toEqual(addressOf(client));
    close(listener, client, server);
  });

  it('an immediate success gives a packet, but none in the skipping mode', () => {
    const listener = bound(1);
    expect(win32.listen(listener, 8)).toBe(0);
    const client = bound(2);
    const server = socket();
    meet(listener, client, server);
    expect(send(client, 2)).toBe(0);
    expect(dequeue()).toMatchObject([{ key: 2, bytes: 4 }]);
    expect(win32.SetFileCompletionNotificationModes(client, win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)).not.toBe(0);
    expect(send(client, 2)).toBe(0);
    expect(dequeue(64, 0)).toEqual([]);
    close(listener, client, server);
  });
});

// They exist on Windows only.
describe.skipIf(!onWindows)('the IOCP port', () => {
  const open = () => openPort({ backend: 'iocp' });

  it('a pause holds the sender back, and no byte is lost', async () => {
    const r = new Rig(open());
    const { server, client } = await r.pair();
    const first = r.receive(server);
    r.port.cancel(server, first);
    expect((await r.endOf(first)).error?.code).toBe('ECANCELED');
    const length = 32 << 20;
    const block = r.port.allocate(length);
    const list = new GatherList();
    list.add(block, 0, length);
    const sending = r.event();
    r.port.send(client, sending, list);
    await r.roundTrips(50);
    expect(sending.pending).toBe(true);
    expect(r.port.stats.buffersOut).toBe(0);
    let seen = 0;
    const second = r.event();
    r.pump.tap(second, ({ bytes }) => {
      seen += bytes;
    });
    r.port.receive(server, second);
    await r.pump.until('all bytes', () => seen === length);
    expect((await r.pump.next('Send', sending)).bytes).toBe(length);
  });

  it('posts stay in order when dequeue() takes over from the watcher', () => {
    const port = open();
    const poster = openPoster(port.share());
    const batch = createBatch(8);
    const seen: number[] = [];
    const count = 200;
    for (let posted = 0; seen.length < count; ) {
      port.watch(() => {});
      for (let i = 0; i < 5 && posted < count; i++) expect(poster.post(1, posted++)).toBe(true);
      const n = port.dequeue(batch, 1000);
      for (const packet of batch.slice(0, n)) {
        expect(packet.operation).toBe(Operation.Post);
        seen.push(packet.bytes);
      }
    }
    expect(seen).toEqual(Array.from({ length: count }, (_, i) => i));
    port.destroy();
  });

  it('a port of concurrency 1 is read while the pool computes', async () => {
    const r = new Rig(openPort({ backend: 'iocp', concurrency: 1 }));
    const order: string[] = [];
    const hash = promisify(pbkdf2);
    const hashes = Array.from({ length: 4 }, async () => {
      await hash('secret', 'salt', 1_000_000, 64, 'sha512');
      order.push('hash');
    });
    await r.roundTrips(3);
    order.push('echo');
    await Promise.all(hashes);
    expect(order[0]).toBe('echo');
  });

  it('a canceled send of a file says ECANCELED', async () => {
    const r = new Rig(open());
    const { socket } = await r.served(false);
    const file = openSync(process.execPath, 'r');
    onTestFinished(() => closeSync(file));
    const event = r.event();
    r.port.sendFile(socket, event, file, 0, 32 << 20);
    await r.roundTrips(3);
    expect(event.pending).toBe(true);
    r.port.cancel(socket, event);
    expect((await r.pump.next('Send', event)).error?.code).toBe('ECANCELED');
    await r.close(socket, true);
  });

  // Wine sends no SYN again, so it refuses at once anyway.
  it.skipIf(process.env.WINEPREFIX)('a refusal of this machine comes before a SYN would be sent again', async () => {
    const r = new Rig(open());
    const listener = await r.listen();
    const local = listener.localEndpoint();
    await r.close(listener);
    const event = r.event();
    const order: string[] = [];
    // Windows waits for 500 ms, and then again.
    const late = setTimeout(() => order.push('late'), 500);
    r.port.connect(event, local, undefined);
    expect((await r.pump.next('Connect', event)).error?.code).toBe('ECONNREFUSED');
    order.push('refused');
    clearTimeout(late);
    expect(order).toEqual(['refused']);
  });

  it("a watched port is served while every thread of Node's pool waits, in a worker", async () => {
    const release = blockPool(win32, 8);
    try {
      const r = new Rig(open());
      await r.roundTrips(3);
      const called = new Promise<void>((resolve) => {
        r.pump.stop();
        r.port.watch(resolve);
      });
      await postFromThread(r.port.share(), 1, 1);
      await called;
      expect(r.port.dequeue(createBatch(1), 0)).toBe(1);
    } finally {
      release();
    }
  });

  it("a watched port is served while every thread of Node's pool waits, on the main thread", () => {
    const script = `import { openPort, openPoster, createBatch } from ${JSON.stringify(library)};
      import { performance } from 'node:perf_hooks';
      import * as win32 from ${JSON.stringify(library.replace('index.js', 'win32.js'))};
      import { blockPool } from ${JSON.stringify(new URL('support/block-pool.js', import.meta.url).href)};
      const release = blockPool(win32, 8);
      const port = openPort({ backend: 'iocp' });
      const other = openPort({ backend: 'iocp' });
      const batch = createBatch(4);
      const before = performance.eventLoopUtilization();
      for (let i = 0; i < 100; i++) {
        const watched = new Promise((resolve) => port.watch(resolve));
        other.watch(() => { throw new Error('the wrong port'); });
        setTimeout(() => openPoster(port.share()).post(7, i), i % 3);
        await watched;
        if (port.dequeue(batch, 0) !== 1 || batch[0].bytes !== i) throw new Error('not what was posted');
      }
      other.unwatch();
      // The loop itself has slept.
      const asleep = performance.eventLoopUtilization(before).utilization < 0.9;
      release();
      port.destroy();
      other.destroy();
      console.log(asleep ? 'served' : 'served, without sleep');`;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(out).toBe('served\n');
  });

  it('more watched ports than Node has pool threads are all served', async () => {
    const ports = Array.from({ length: 12 }, open);
    for (let round = 0; round < 3; round++) {
      const called = ports.map((port) => new Promise<void>((resolve) => port.watch(resolve)));
      for (const port of ports) openPoster(port.share()).post(1, round);
      await Promise.all(called);
      const batch = createBatch(1);
      for (const port of ports) {
        expect(port.dequeue(batch, 5000)).toBe(1);
        expect(batch[0]!.bytes).toBe(round);
      }
    }
    for (const port of ports) port.destroy();
  });

  it('the memory of a terminated thread is freed when the kernel owes nothing any more', async () => {
    const owner = (await Owner.open('iocp', false)).start();
    // Its accepts are in flight.
    await owner.terminate();
    const blocks = recordsOf(owner.ledger).filter(({ kind }) => kind === Owned.Block);
    expect(blocks.length).toBeGreaterThan(0);
    reap(owner.ledger, owner.token);
    for (const { value, detail } of blocks) {
      expect(win32.VirtualAlloc(value, detail, win32.MEM_RESERVE, win32.PAGE_READWRITE)).toBe(value);
      expect(win32.VirtualFree(value, 0, win32.MEM_RELEASE)).not.toBe(0);
    }
  });

  it('what a named pipe lacks is refused, and it stays good', async () => {
    const r = new Rig(open());
    const at = { path: localPath() };
    await expect(r.listen({ detached: true }, at)).rejects.toMatchObject({ code: 'ENOTSUP' });
    await expect(r.listen({}, { path: 'C:\\a.sock' })).rejects.toMatchObject({ code: 'EINVAL' });
    const listener = await r.listen({}, at);
    const { server, client } = await r.dial(listener, {}, at);
    r.port.shutdown(server);
    expect((await r.pump.next('Shutdown', server)).error?.code).toBe('ENOTSUP');
    const event = r.event();
    r.port.sendFile(client, event, 0, 0, 1);
    expect((await r.pump.next('Send', event)).error?.code).toBe('ENOTSUP');
    await r.sent(client, 'good');
    expect(String(await r.read(r.receive(server), 4))).toBe('good');
  });

  it('a handle that has a port cannot be adopted, and is closed', () => {
    const port = open();
    const other = win32.CreateIoCompletionPort(win32.INVALID_HANDLE_VALUE, 0, 0, 1);
    const handle = win32.WSASocketW(win32.AF_INET, win32.SOCK_STREAM, win32.IPPROTO_TCP, null, 0, 1);
    expect(win32.CreateIoCompletionPort(handle, other, 1, 0)).toBe(other);
    expect(() => port.adopt(handle)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => port.adopt(handle)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(port.stats.sockets).toBe(0);
    expect(win32.CloseHandle(other)).not.toBe(0);
    port.destroy();
  });

  it('process.exit() ends a process whose port is watched', () => {
    const script = `import { openPort } from ${JSON.stringify(library)};
      openPort().watch(() => {});
      setImmediate(() => process.exit(7));`;
    expect(() => execFileSync(process.execPath, ['--input-type=module', '-e', script])).toThrow(
      expect.objectContaining({ status: 7 }),
    );
  });
});
