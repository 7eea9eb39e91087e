// Checks of all public options: types and ranges. The compiler reports an option that has no line here. Classes check only what
// depends on several options.

import { BlockList } from 'node:net';
import type { PipeEndpoint } from '@overlapped/iocp-native';
import {
  above,
  atLeast,
  bool,
  type Check,
  type Checks,
  callback,
  checkGiven,
  checkHandlers,
  checkOptions,
  datagramOptionChecks,
  group,
  object,
  oneOf,
  outOfRange,
  socketOptionChecks,
  text,
  whole,
  wrongType,
} from '@overlapped/iocp-native/internal';
import type { AcceptLimits, AddressList, ProxyOptions } from './accept/accept-filter.js';
import type { ListenOptions, SharedListenerOptions } from './accept/listener.js';
import type { ClientServiceOptions } from './connect/client-service.js';
import type { ConnectOptions } from './connect/connecting.js';
import type { ConnectorOptions, ConnectTarget } from './connect/connector.js';
import type { DatagramBindOptions, DatagramConnectOptions } from './datagram/datagram-session.js';
import type { QueueLimitOptions } from './session/queue-limit.js';
import type { SessionLimits } from './session/session-set.js';
import type { Timeouts } from './session/timeout-rules.js';
import { TICKET_KEYS } from './tls/context.js';
import type { TlsClientOptions, TlsCredentials, TlsOptions, TlsServerOptions } from './tls/options.js';

const INT = 2 ** 31 - 1;
/** Any value: it is checked elsewhere, with a better message. */
const any: Check = () => {};

const timeouts: Checks<Timeouts> = { read: above(0), write: above(0), firstByte: above(0), frame: above(0) };
const queueLimit: Checks<QueueLimitOptions> = {
  perSession: above(0),
  inAll: above(0),
  beyond: oneOf('close', 'drop', 'pause'),
};
const session: Checks<SessionLimits> = {
  highWatermark: atLeast(0),
  lowWatermark: atLeast(0),
  linger: atLeast(0),
  allowHalfOpen: bool,
  timeouts: group(timeouts),
  slowMembers: oneOf('skip', 'close'),
  queueLimit: group(queueLimit),
};

const pem: Check = (value, name) => {
  const all = Array.isArray(value) ? value : [value];
  for (const each of all) {
    if (typeof each !== 'string' && !(each instanceof Uint8Array))
      throw wrongType(name, 'PEM: a text or its bytes', each);
  }
};
const texts: Check = (value, name) => {
  const right = Array.isArray(value) && value.every((each) => typeof each === 'string');
  if (!right) throw wrongType(name, 'an array of texts', value);
};
const pfx: Check = (value, name) => {
  for (const each of Array.isArray(value) ? value : [value]) {
    if (!(each instanceof Uint8Array)) throw wrongType(name, 'the bytes of a PFX', each);
  }
};
const credentials: Checks<TlsCredentials> = { cert: pem, key: pem, passphrase: text, pfx };
const tlsBoth: Checks<TlsOptions> = {
  ...credentials,
  ca: pem,
  crl: pem,
  ecdhCurve: text,
  sigalgs: text,
  ciphers: text,
  minVersion: oneOf('TLSv1.2', 'TLSv1.3'),
  maxVersion: oneOf('TLSv1.2', 'TLSv1.3'),
  ALPNProtocols: texts,
  rejectUnauthorized: bool,
  handshakeTimeout: above(0),
};
const tlsServer: Checks<TlsServerOptions> = {
  ...tlsBoth,
  contexts: (value, name) => {
    object(value, name);
    for (const [host, each] of Object.entries(value as object)) checkOptions(each, credentials, `${name}.${host}`);
  },
  dhparam: (value, name) => {
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) throw wrongType(name, 'auto, or PEM', value);
  },
  requestCert: bool,
  sessionTimeout: whole(1, INT),
  ticketKeys: (value, name) => {
    if (!(value instanceof Uint8Array)) throw wrongType(name, 'bytes', value);
    if (value.length !== TICKET_KEYS) throw outOfRange(name, `${TICKET_KEYS} bytes`, value.length);
  },
};
const tlsClient: Checks<TlsClientOptions> = { ...tlsBoth, servername: text };

/** A BlockList, or an array that addressList() converts to one. */
const list: Check = (value, name) => void addressList(value as AddressList, name);
const proxy: Checks<ProxyOptions> = { trusted: list, timeout: above(0) };
const limits: Checks<AcceptLimits> = {
  maxSessions: atLeast(1),
  maxSessionsPerAddress: atLeast(1),
  rate: group<NonNullable<AcceptLimits['rate']>>({ perSecond: above(0), burst: atLeast(1) }),
  whenFull: oneOf('refuse', 'wait'),
  allow: list,
  deny: list,
  proxy: group(proxy),
};

const PORT = whole(0, 65535);
const kind = { session: any, module: any, reusePort: bool };
const listen: Checks<ListenOptions & SessionLimits> & Checks<typeof kind> = {
  ...socketOptionChecks,
  ...session,
  ...limits,
  port: PORT,
  host: text,
  ipv6Only: bool,
  backlog: whole(0, INT),
  tls: group(tlsServer),
  ...kind,
};
const { host: _host, port: _port, ipv6Only: _ipv6Only, ...local } = listen;
const shared: Checks<SharedListenerOptions> = {
  ...socketOptionChecks,
  port: PORT,
  host: text,
  ipv6Only: bool,
  backlog: whole(0, INT),
  shared: any,
  highWatermark: whole(0, INT),
  lowWatermark: whole(0, INT),
  timeouts: group(timeouts),
  linger: atLeast(0),
  allowHalfOpen: bool,
  slowMembers: session.slowMembers,
  queueLimit: group<QueueLimitOptions>({ ...queueLimit, perSession: whole(1, INT), inAll: whole(1, INT) }),
  maxSessions: limits.maxSessions,
  maxSessionsPerAddress: limits.maxSessionsPerAddress,
  rate: limits.rate,
  whenFull: limits.whenFull,
  allow: list,
  deny: list,
  proxy: limits.proxy,
};
const connector: Checks<ConnectorOptions> = { ...socketOptionChecks, ...session, session: any, tls: group(tlsClient) };
const target: Checks<ConnectTarget> = { host: text, port: PORT };

const abortSignal: Check = (value, name) => {
  const signal = value as AbortSignal;
  if (typeof signal?.addEventListener !== 'function' || typeof signal.aborted !== 'boolean')
    throw wrongType(name, 'an AbortSignal', value);
};
const connect: Checks<ConnectOptions> = { timeout: above(0), signal: abortSignal, session: callback };

const service: Checks<ClientServiceOptions> = {
  ...connector,
  target: any,
  count: whole(1, INT),
  connectTimeout: above(0),
  backOff: group<NonNullable<ClientServiceOptions['backOff']>>({ first: above(0), most: above(0) }),
  onReconnecting: callback,
};

const bind: Checks<DatagramBindOptions> = { ...datagramOptionChecks, port: PORT, host: text, session: any };
const { broadcast: _broadcast, ...connected } = datagramOptionChecks;
const datagramTarget: Checks<DatagramConnectOptions> = { ...connected, port: PORT, host: text, session: any };

/** Checks the options of listen(). Returns those that are given, with address lists as BlockLists. */
export function checkListen<Options extends AcceptLimits>(options: Options): Options {
  object(options, 'the options');
  const {
    path,
    session,
    module,
    shared: sharedModule,
  } = options as Partial<Record<'path' | 'session' | 'module' | 'shared', unknown>>;
  if (sharedModule !== undefined) {
    checkOptions(options as Options & SharedListenerOptions, shared);
    checkGiven(options as Options & SharedListenerOptions, 'port');
    return withLists(options);
  }
  if (path === undefined) {
    checkOptions(options, listen);
    checkGiven(options as Options & { port: number }, 'port');
  } else {
    checkOptions(options, { ...local, path: text });
  }
  if (session !== undefined && module !== undefined) {
    throw wrongType('module', 'absent where there is a session', module);
  }
  if (session === undefined && module === undefined) {
    throw wrongType('session, module or shared', 'given', undefined);
  }
  return withLists(options);
}

export function checkTls(options: TlsServerOptions): void {
  checkOptions(options, tlsServer);
}

export function checkConnector(options: ConnectorOptions): void {
  checkOptions(options, connector);
  checkGiven(options, 'session');
}

export function checkService(options: ClientServiceOptions): void {
  checkOptions(options, service);
  checkGiven(options, 'session', 'target');
  checkTarget(options.target, 'target');
}

/** Checks a target: a host and a port, or a path. */
export function checkTarget<To extends ConnectTarget | PipeEndpoint>(to: To, name = ''): To {
  object(to, name || 'the target');
  if ('path' in to && to.path !== undefined) {
    checkOptions<PipeEndpoint>(to, { path: text }, name);
  } else {
    checkOptions(to, target, name);
    checkGiven(to as ConnectTarget, 'host', 'port');
  }
  return given(to);
}

/** The options that are given, with address lists as BlockLists. */
function withLists<Options extends AcceptLimits>(options: Options): Options {
  const { allow, deny, proxy: by } = options;
  return {
    ...given(options),
    ...(allow && { allow: addressList(allow, 'allow') }),
    ...(deny && { deny: addressList(deny, 'deny') }),
    ...(by && { proxy: { ...by, trusted: addressList(by.trusted, 'proxy.trusted') } }),
  };
}

/** The options that are not undefined. */
function given<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

export function checkConnect(options: ConnectOptions): void {
  checkOptions(options, connect);
}

export function checkBind(options: DatagramBindOptions): void {
  checkOptions(options, bind);
  checkGiven(options, 'port', 'session');
}

export function checkDatagramTarget(options: DatagramConnectOptions): void {
  checkOptions(options, datagramTarget);
  checkGiven(options, 'host', 'port', 'session');
}

/** Throws a TypeError unless `given` is a subclass of `base` or an object of handlers. */
export function checkKind(given: unknown, base: abstract new () => unknown, handlers: readonly string[]): void {
  if (typeof given === 'function') {
    // A subclass of another copy of this package is refused: its sessions would not work here.
    if (given === base || given.prototype instanceof base) return;
    const what = `a subclass of ${base.name}, or an object of handlers`;
    throw wrongType('session', what, given);
  }
  object(given, 'session');
  checkHandlers(given as object, handlers, 'session');
}

/** The BlockList itself, or one made of addresses and ranges (`10.0.0.0/8`). Throws a RangeError for an invalid address. */
function addressList(given: AddressList, name: string): BlockList {
  if (given instanceof BlockList) return given;
  if (!Array.isArray(given)) throw wrongType(name, 'a BlockList, or an array of addresses and ranges', given);
  const made = new BlockList();
  for (const each of given) {
    try {
      const [address, bits, ...rest] = (each as string).split('/');
      const family = address!.includes(':') ? 'ipv6' : 'ipv4';
      if (bits === undefined) made.addAddress(address!, family);
      else if (/^\d{1,3}$/.test(bits) && rest.length === 0) made.addSubnet(address!, Number(bits), family);
      else throw new RangeError(bits);
    } catch {
      throw outOfRange(name, 'a BlockList, or an array of addresses and ranges like "10.0.0.0/8"', each);
    }
  }
  return made;
}
