// Datagram sockets as Linux has them: creating, binding and connecting, by ordinary system calls.

import { endpointText } from '../contract/endpoint.js';
import { applyOptions, DATAGRAM_OPTIONS } from '../contract/options.js';
import type { DatagramOptions, Endpoint } from '../contract/port.js';
import { SOCKADDR_SIZE, writeSockaddr } from '../native/sockaddr.js';
import { inFamily } from '../port/datagrams.js';
import { EAFNOSUPPORT, linuxError } from './errors.js';
import * as abi from './layout.js';
import { bindSocket, check, connectSocket } from './libc.js';
import { applyOption, setOption } from './socket-options.js';
import { discardHandle, openSocket } from './sockets.js';
import { linuxZones } from './zones.js';

/** A bound datagram socket. `flags` are SOCK_NONBLOCK or 0. Throws an IocpError. */
export function createDatagramSocket(local: Endpoint, options: DatagramOptions, flags: number): number {
  const action = `bind to ${endpointText(local)}`;
  const { remote, ipv6Only } = options;
  const fd = openSocket(local, abi.SOCK_DGRAM | flags, action);
  try {
    if (local.family === 6) setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, ipv6Only ? 1 : 0, action);
    applyOptions(applyOption, fd, options, DATAGRAM_OPTIONS, action);
    const address = Buffer.alloc(SOCKADDR_SIZE);
    check(bindSocket(fd, address, writeSockaddr(local, address, 0, abi.AF_INET6, linuxZones)), action, 'bind');
    if (remote) connectTo(fd, remote, local.family);
    return fd;
  } catch (error) {
    discardHandle(fd);
    throw error;
  }
}

function connectTo(fd: number, remote: Endpoint, family: 4 | 6): void {
  const action = `connect to ${endpointText(remote)}`;
  const target = inFamily(remote, family);
  if (target === null) throw linuxError(action, 'connect', EAFNOSUPPORT);
  const address = Buffer.alloc(SOCKADDR_SIZE);
  check(connectSocket(fd, address, writeSockaddr(target, address, 0, abi.AF_INET6, linuxZones)), action, 'connect');
}
