// What the Windows backend decides where Wine shows no difference, or has none: which arguments the system is given, and
// what is made of its answers. Its functions are replaced, so this runs anywhere.

import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { applyOptions, SOCKET_OPTIONS } from '../src/contract/options.js';
import { createBatch, type Endpoint, Operation } from '../src/contract/port.js';
import type { MemorySource } from '../src/native/memory.js';
import { readSockaddr, SOCKADDR_SIZE, writeSockaddr } from '../src/native/sockaddr.js';
import * as c from '../src/win32/constants.js';
import { PAGE } from '../src/win32/layout.js';
import type { Win32Socket } from '../src/win32/socket.js';
import { isLoopback, reachSelf } from '../src/win32/target.js';
import type { FakeWin32 } from './support/fake-win32.js';

const fake = await vi.hoisted(async () => new (await import('./support/fake-win32.js')).FakeWin32());
vi.mock(import('../src/win32/kernel32.js'), async (original) => fake.replace(await original()));
vi.mock(import('../src/win32/ws2_32.js'), async (original) => fake.replace(await original()));

vi.mock(import('../src/win32/ntdll.js'), async (original) => fake.replace(await original()));
vi.mock(import('../src/win32/file.js'), () => ({ handleOf: (descriptor: number) => descriptor }));
vi.mock(import('../src/win32/system.js'), () => ({ isWine: vi.fn(() => false), isClientEdition: vi.fn(() => false) }));

// The suites share a process: others have loaded these modules with the real functions, and will again.
vi.resetModules();
afterAll(() => vi.resetModules());
const { BlockStore, plainMemory } = await import('../src/native/memory.js');
const { GatherList } = await import('../src/contract/gather-list.js');
const { FakeKernel } = await import('./support/fake-kernel.js');
const { Port } = await import('../src/port/port.js');
const { IocpDriver } = await import('../src/win32/driver.js');
const { endOfStream } = await import('../src/win32/datagrams.js');
const { ENTRIES_SIZE, KernelQueue } = await import('../src/win32/kernel-queue.js');
const { win32Error } = await import('../src/win32/errors.js');
const { createInstance } = await import('../src/win32/pipe.js');
const { applyOption } = await import('../src/win32/socket-options.js');
const { backlogOf, createConnector, createListener } = await import('../src/win32/winsock.js');
const { isClientEdition, isWine } = await import('../src/win32/system.js');

const PORT = 77;
const WAIT = c.WAIT_TIMEOUT;

/** The operations of a connection are pending unless a test says otherwise. */
const PENDING = { CreateIoCompletionPort: PORT, WSASend: -1, WSARecv: -1, WSAGetLastError: c.ERROR_IO_PENDING };

function openOver(memory: MemorySource) {
  return new Port<Win32Socket>(
    { backend: 'iocp', native: true, blocks: new BlockStore(memory), driver: (port) => new IocpDriver(port) },
    { concurrency: 1, receiveBuffers: { count: 2, size: 1024 } },
  );
}

function open(answers: FakeWin32['answers'] = PENDING) {
  const kernel = new FakeKernel();
  fake.reset({ ...answers, GetQueuedCompletionStatusEx: kernel.dequeue, GetLastError: answers.GetLastError ?? WAIT });
  const port = openOver(kernel.memory);
  const block = port.allocate(4096);
  const pieces = new GatherList();
  pieces.add(block, 2048, 10);
  let events = 0;
  return {
    kernel,
    port,
    pieces,
    event: () => ({ block, offset: 512 * events++, tag: events, pending: false }),
    /** The packets of one dequeue(). */
    dequeue: () => {
      const batch = createBatch(8);
      return batch.slice(0, port.dequeue(batch, 0));
    },
  };
}

beforeEach(() => fake.reset({ CreateIoCompletionPort: PORT }));
afterEach(() => fake.reset());

describe('a port', () => {
  it('whose memory cannot be had is not made in the kernel', () => {
    fake.reset(PENDING);
    // The receive buffers, the port's page, the entries, and the sink of datagrams.
    for (let failing = 0; failing < 4; failing++) {
      let maps = 0;
      const map = (size: number) => {
        if (maps++ === failing) throw win32Error('map', 'VirtualAlloc', 8);
        return plainMemory.map(size);
      };
      expect(() => openOver({ ...plainMemory, map })).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    }
    expect(fake.of('CreateIoCompletionPort')).toEqual([]);
  });

  it('that one thread reads has no limit of threads in the kernel', () => {
    expect(open().port.share().handle).toBe(PORT);
    expect(fake.of('CreateIoCompletionPort')).toEqual([[c.INVALID_HANDLE_VALUE, 0, 0, 0xffffffff]]);
  });
});

describe('a connect', () => {
  const endpoint = (address: string): Endpoint => ({ address, family: address.includes(':') ? 6 : 4, port: 80 });
  const sockaddr = (at: Endpoint) => {
    const bytes = Buffer.alloc(SOCKADDR_SIZE);
    writeSockaddr(at, bytes, 0, c.AF_INET6);
    return bytes;
  };

  it.each([
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['127.0.0.2', '127.0.0.2'],
    ['10.0.0.0', '10.0.0.0'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['fe80::', 'fe80::'],
  ])('to %s goes to %s', (from, to) => {
    const bytes = sockaddr(endpoint(from));
    reachSelf(bytes, 0, endpoint(from).family);
    expect(readSockaddr(bytes, 0)).toEqual(readSockaddr(sockaddr(endpoint(to)), 0));
  });

  it('is sent once to this machine, which refuses at once', () => {
    fake.reset({ CreateIoCompletionPort: PORT, WSASocketW: 9 });
    for (const address of ['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1', '0.0.0.0']) {
      createConnector(4, {}, reached(address), 'connect');
      expect(fake.of('WSAIoctl').pop()?.slice(0, 4)).toEqual([9, 0x98000011, Buffer.from([255, 255, 254, 0]), 4]);
    }
    fake.reset({ CreateIoCompletionPort: PORT, WSASocketW: 9 });
    for (const address of ['128.0.0.1', '::2', '::ffff:126.0.0.1']) createConnector(4, {}, reached(address), 'connect');
    expect(fake.of('WSAIoctl')).toEqual([]);

    function reached(address: string): boolean {
      const { family } = endpoint(address);
      const bytes = sockaddr(endpoint(address));
      reachSelf(bytes, 0, family);
      return isLoopback(bytes, 0, family);
    }
  });

  it('fails as it would anyway where a SYN cannot be sent once only', () => {
    fake.reset({ WSASocketW: 9, WSAIoctl: -1, WSAGetLastError: 10045 });
    expect(createConnector(4, {}, true, 'connect')).toBe(9);
  });
});

describe('a listener', () => {
  it('asks for a backlog above 200 as SOMAXCONN_HINT', () => {
    expect([1, 200, 201, 4096, 65_535, 1_000_000].map(backlogOf)).toEqual([1, 200, -201, -4096, -65_535, -65_535]);
    fake.reset({ WSASocketW: 9 });
    createListener({ address: '127.0.0.1', family: 4, port: 0 }, {});
    expect(fake.of('listen')).toEqual([[9, -4096]]);
  });

  it('neither shares its port nor keeps out a server that starts again', () => {
    fake.reset({ WSASocketW: 9 });
    createListener({ address: '::', family: 6, port: 0 }, {});
    const names = fake.of('setsockopt').map(([, level, name]) => [level, name]);
    expect(names).toEqual([
      [c.IPPROTO_IPV6, c.IPV6_V6ONLY],
      [c.IPPROTO_TCP, c.TCP_NODELAY],
    ]);
  });
});

describe('keep-alive', () => {
  const vals = (...numbers: number[]) => Buffer.from(new Uint32Array(numbers).buffer);
  const old = (handle: number, level: number, name: number) =>
    level === c.IPPROTO_TCP && name !== c.TCP_NODELAY ? -handle : 0;

  it('with an interval and a count, where Windows has these options', () => {
    applyOptions(applyOption, 9, { keepAlive: { idle: 60, interval: 5, count: 3 } }, SOCKET_OPTIONS, 'test');
    expect(fake.of('setsockopt').map(([, , name, value]) => [name, (value as Buffer).readInt32LE()])).toEqual([
      [c.TCP_NODELAY, 1],
      [c.SO_KEEPALIVE, 1],
      [c.TCP_KEEPALIVE, 60],
      [c.TCP_KEEPINTVL, 5],
      [c.TCP_KEEPCNT, 3],
    ]);
    expect(fake.of('WSAIoctl')).toEqual([]);
  });

  it('on a Windows without them is set by SIO_KEEPALIVE_VALS', () => {
    fake.reset({ setsockopt: old, WSAGetLastError: 10042 });
    applyOption(9, 'keepAlive', { idle: 60, interval: 5, count: 3 }, 'test');
    applyOption(9, 'keepAlive', 7, 'test');
    expect(fake.of('WSAIoctl').map(([, code, input]) => [code, input])).toEqual([
      [0x98000004, vals(1, 60_000, 5000)],
      [0x98000004, vals(1, 7000, 1000)],
    ]);
  });

  it('that is refused otherwise is an error', () => {
    fake.reset({ setsockopt: old, WSAGetLastError: 10022 });
    expect(() => applyOption(9, 'keepAlive', 7, 'test')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

describe('a datagram socket', () => {
  const socket = (connected: boolean) => ({ datagrams: { connected } }) as Parameters<typeof endOfStream>[0];
  const [hopLimit, portUnreachable, hostUnreachable, netUnreachable] = [0xc000a012, 0xc000023f, 0xc000023d, 0xc000023c];

  it('goes on when a router says that a packet was on its way too long', () => {
    expect(endOfStream(socket(false), hopLimit)).toBeNull();
    expect(endOfStream(socket(true), hopLimit)).toBeNull();
    expect(endOfStream(socket(true), 10052)).toBeNull();
  });

  it('asks to be told nothing of it, where Windows can be asked', async () => {
    const { port } = open({
      CreateIoCompletionPort: PORT,
      WSASocketW: 9,
      WSAIoctl: (_: number, code: number) => (code === c.SIO_UDP_NETRESET ? -1 : 0),
    });
    const codes = () => fake.of('WSAIoctl').map(([, code]) => code);
    await port.bind({ address: '127.0.0.1', family: 4, port: 0 });
    expect(codes()).toEqual([c.SIO_UDP_CONNRESET, c.SIO_UDP_NETRESET]);
    fake.calls = [];
    const remote: Endpoint = { address: '127.0.0.1', family: 4, port: 1 };
    await port.bind({ address: '127.0.0.1', family: 4, port: 0 }, { remote });
    expect(codes()).toEqual([c.SIO_UDP_NETRESET]);
  });

  it('that is not connected ends for nothing that a host or a router says; a connected one does', () => {
    for (const status of [portUnreachable, hostUnreachable, netUnreachable, 10054, 10065, 10051]) {
      expect(endOfStream(socket(false), status)).toBeNull();
    }
    const ends = [portUnreachable, hostUnreachable, netUnreachable].map((s) => endOfStream(socket(true), s)?.code);
    expect(ends).toEqual(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);
    expect(endOfStream(socket(false), 10050)?.code).toBe('ENETDOWN');
  });
});

describe('the outcome of a call', () => {
  const [done, pending, failed] = [0, c.ERROR_IO_PENDING, 10054];

  it.each([
    ['a success with a packet', done, false, pending, 1],
    ['a success without one', done, true, done, 0],
    ['pending', pending, false, pending, 1],
    ['pending, where a success has no packet', pending, true, pending, 1],
    ['a failure', failed, false, failed, 0],
    ['a failure, where a success has no packet', failed, true, failed, 0],
  ])('%s', (_, errno, skips, outcome, pendingPackets) => {
    const memory = new BlockStore(plainMemory);
    const queue = new KernelQueue(memory.take(PAGE.size), memory.take(ENTRIES_SIZE));
    queue.prepare({ block: memory.take(4096), offset: 0, tag: 1, pending: false });
    expect([queue.outcome(errno, skips), queue.pendingPackets]).toEqual([outcome, pendingPackets]);
  });
});

describe('a cancel', () => {
  it('is asked for once on Windows, and again under Wine while the status says that it was overlooked', () => {
    for (const wine of [false, true]) {
      vi.mocked(isWine).mockReturnValue(wine);
      const { port, pieces, event } = open({ ...PENDING, CancelIoEx: 0, GetLastError: c.ERROR_NOT_FOUND });
      const socket = port.adopt(5);
      const sending = event();
      port.send(socket, sending, pieces);
      sending.block.words[sending.offset >> 2] = c.STATUS_PENDING;
      port.cancel(socket, sending);
      expect(fake.of('CancelIoEx').length).toBe(wine ? 1000 : 1);
    }
  });

  it('that the provider does not know is no bug', () => {
    const { port, event } = open({ ...PENDING, CancelIoEx: 0, GetLastError: c.ERROR_INVALID_HANDLE });
    const socket = port.adopt(5);
    const receiving = event();
    port.receive(socket, receiving);
    expect(() => port.cancel(socket, receiving)).not.toThrow();
    expect(receiving.pending).toBe(true);
  });
});

describe('a close', () => {
  it('with a reset does not wait for what a cancel promises, and the slot stays taken until the packet has come', () => {
    const { kernel, port, pieces, event, dequeue } = open();
    const socket = port.adopt(5) as Win32Socket;
    const sending = event();
    port.send(socket, sending, pieces);
    fake.calls = [];
    port.close(socket, true);
    expect(fake.calls.filter(([name]) => name === 'closesocket' || name === 'setsockopt')).toEqual([
      ['setsockopt', 5, c.SOL_SOCKET, c.SO_LINGER, Buffer.from([1, 0, 0, 0]), 4],
      ['closesocket', 5],
    ]);
    expect([socket.handle, port.sockets.at(0) === socket, dequeue().length]).toEqual([-1, true, 0]);
    kernel.complete(socket, sending, 0xc0000120, 0);
    expect(dequeue().map(({ operation }) => operation)).toEqual([Operation.Send, Operation.Close]);
    expect([port.sockets.at(0), port.stats.sockets]).toEqual([null, 0]);
    expect(fake.of('closesocket').length).toBe(1);
  });

  it('without one waits, and closes the handle over what does not come', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { kernel, port, event, dequeue } = open();
    const socket = port.adopt(5);
    const receiving = event();
    port.receive(socket, receiving);
    port.close(socket);
    vi.advanceTimersByTime(900);
    expect(fake.of('closesocket')).toEqual([]);
    vi.advanceTimersByTime(1200);
    expect(fake.of('closesocket')).toEqual([[5]]);
    expect(fake.of('setsockopt').filter(([, , name]) => name === c.SO_LINGER)).toEqual([]);
    kernel.complete(socket, receiving, 0xc0000120, 0);
    expect(dequeue().map(({ operation }) => operation)).toEqual([Operation.Receive, Operation.Close]);
  });

  it('that cuts a send short is a reset', () => {
    const { kernel, port, pieces, event, dequeue } = open();
    const socket = port.adopt(5);
    const sending = event();
    port.send(socket, sending, pieces);
    port.close(socket);
    kernel.complete(socket, sending, 0xc0000120, 0);
    expect(dequeue().map(({ operation }) => operation)).toEqual([Operation.Send, Operation.Close]);
    expect(fake.of('setsockopt').filter(([, , name]) => name === c.SO_LINGER).length).toBe(1);
  });

  it('that the system fails is no bug', () => {
    const { port, dequeue } = open({ ...PENDING, closesocket: -1, WSAGetLastError: 10050 });
    const socket = port.adopt(5);
    expect(() => port.close(socket)).not.toThrow();
    expect(dequeue().map(({ operation }) => operation)).toEqual([Operation.Close]);
  });

  it('leaves a late packet no socket: the slot has another one', () => {
    const { kernel, port, event, dequeue } = open();
    const gone = port.adopt(5);
    port.close(gone);
    dequeue();
    const socket = port.adopt(5) as Win32Socket;
    expect([socket.index, socket.generation]).toEqual([0, 1]);
    const receiving = event();
    port.receive(socket, receiving);
    kernel.complete({ ...gone, index: 0, generation: 0 } as unknown as Win32Socket, receiving, 0, 0);
    expect([dequeue().length, port.stats.dropped, receiving.pending]).toEqual([0, 1, true]);
  });
});

describe('a receive stream', () => {
  it('has no buffer while it waits, and goes on when its data has been dequeued', () => {
    const { kernel, port, event, dequeue } = open({
      ...PENDING,
      SetFileCompletionNotificationModes: 1,
      // XP1_IFS_HANDLES: a success at once has no packet.
      getsockopt: (_socket: number, _level: number, _name: number, info: Buffer) => {
        info.writeUInt32LE(c.XP1_IFS_HANDLES, 0);
        return 0;
      },
    });
    const socket = port.adopt(5);
    const receiving = event();
    const lengths: number[] = [];
    let data = false;
    fake.answers.WSARecv = (_: number, list: number, _count: number, received: number) => {
      const { block } = receiving;
      lengths.push(block.words[(list - block.address) >> 2]!);
      if (!data) return -1;
      kernel.wordsAt(received)[0] = 5;
      return 0;
    };
    port.receive(socket, receiving);
    expect([lengths, port.stats.buffersOut]).toEqual([[0], 0]);
    data = true;
    kernel.complete(socket, receiving, 0, 0);
    // The second batch asks the kernel, and has no room for the data.
    for (let batch = 0; batch < 2; batch++) {
      for (let i = 0; i < 8; i++) port.post(1, i);
      expect(dequeue().map(({ operation }) => operation)).toEqual(new Array(8).fill(Operation.Post));
    }
    expect(dequeue().map(({ bytes, event: of }) => [bytes, of === receiving])).toEqual([[5, true]]);
    // One WSARecv with a buffer, and none behind it: the user has not seen this data yet.
    expect([lengths, port.stats.buffersOut, receiving.pending]).toEqual([[0, 1024], 1, true]);
    data = false;
    expect(dequeue()).toEqual([]);
    expect(lengths).toEqual([0, 1024, 0]);
  });
});

describe('a file', () => {
  it('canceled under TransmitFile says so, and not that the connection was aborted', () => {
    vi.mocked(isClientEdition).mockReturnValue(false);
    const { kernel, port, event, dequeue } = open({ ...PENDING, TransmitFile: 0 });
    const socket = port.adopt(5);
    const sending = event();
    const codes: unknown[] = [];
    for (const cancel of [true, false]) {
      port.sendFile(socket, sending, 3, 0, 1000);
      if (cancel) port.cancel(socket, sending);
      kernel.complete(socket, sending, 0xc0000241, 0);
      codes.push(...dequeue().map(({ error }) => error?.code));
    }
    expect(codes).toEqual(['ECANCELED', 'ECONNABORTED']);
  });

  it('goes by reads and sends on an edition for clients, and by TransmitFile on a server', () => {
    for (const client of [true, false]) {
      vi.mocked(isClientEdition).mockReturnValue(client);
      const { port, event } = open({ ...PENDING, ReOpenFile: 8, GetLastError: c.ERROR_IO_PENDING });
      port.sendFile(port.adopt(5), event(), 3, 5, 1000);
      const names = ['TransmitFile', 'ReOpenFile', 'ReadFile'].filter((name) => fake.of(name).length > 0);
      expect(names).toEqual(client ? ['ReOpenFile', 'ReadFile'] : ['TransmitFile']);
    }
  });
});

describe('an error', () => {
  it.each([
    ['ENETUNREACH', 0xc000023e, 0xc00000be],
    ['ECONNREFUSED', 0xc00000bc, 1234],
    ['ECONNABORTED', 0xc0000240, 0xc000020f, 1235, 0xc00704d4],
    ['EADDRINUSE', 0xc0000209],
    ['ENOTCONN', 0xc0000140],
    ['EAGAIN', 0xc00000a3, 0xc00000d0],
    ['EADDRNOTAVAIL', 0xc0000018],
    ['ENETDOWN', 0xc00000c4, 10093],
    ['ECONNRESET', 0xc000013e, 0xc0072746],
    ['ETIMEDOUT', 0xc000013f],
    ['ENOBUFS', 0xc000013d],
    ['EFAULT', 0xc0000023],
    ['ENOPROTOOPT', 10042],
    ['ENETRESET', 0xc000a012],
  ])('%s has all of its numbers', (code, ...numbers) => {
    for (const number of numbers as number[]) expect(win32Error('test', 'call', number).code).toBe(code);
  });

  it('EADDRINUSE also when the server that has a pipe allows no more instances', () => {
    const errorOf = (errno: number, first: boolean) => {
      fake.reset({ CreateNamedPipeW: -1, GetLastError: errno });
      try {
        createInstance('\\\\.\\pipe\\a', {}, first, 'listen');
        return null;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect([errorOf(231, true), errorOf(5, true), errorOf(231, false)]).toEqual(['EADDRINUSE', 'EADDRINUSE', 'EBUSY']);
  });
});

describe('an edition', () => {
  it.each([
    [1, true],
    [2, false],
    [3, false],
  ])('of product type %i: for clients %s', async (type, client) => {
    vi.resetModules();
    const { isClientEdition: ask } =
      await vi.importActual<typeof import('../src/win32/system.js')>('../src/win32/system.js');
    fake.reset({
      RtlGetVersion: (info: Buffer) => {
        info[282] = type;
        return 0;
      },
    });
    expect(ask()).toBe(client);
    expect((fake.of('RtlGetVersion')[0]![0] as Buffer).readUInt32LE(0)).toBe(284);
  });
});
