// The back plane: texts of one server go through a Redis to the others. Each server tells its own clients first, so rooms go on
// while Redis is away; texts of that time do not reach the other servers, then or later.

import { randomUUID } from 'node:crypto';
import { broadcast, type IocpCore } from '@overlapped/session';
import { createClient } from 'redis';
import { encode, parse, parseRoomNotice } from './protocol.js';
import { openRelay } from './relay.js';

const CHANNEL = 'overlapped-chat';
/** Messages that wait for a Redis that does not answer; more are dropped. */
const MOST_WAITING = 1000;
/** Milliseconds until the first try to connect again, and at most. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1000;

/** Joins in the background, again and again until the core stops. `report` is told, in a line, when it is joined or lost. */
export function joinBackPlane(core: IocpCore, url: string, report: (line: string) => void): void {
  const self = randomUUID();
  const relay = openRelay();
  const client = createClient({
    url,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MOST_WAITING,
    socket: { reconnectStrategy: (retries) => Math.min(FIRST_PAUSE * 2 ** retries, LONGEST_PAUSE) },
  });
  let subscribed = false;
  let away = false;
  let dropped = 0;

  const deliver = (json: string) => {
    const { from, notice } = parse(json);
    const known = from === self ? undefined : parseRoomNotice(notice);
    // If the threads have too many messages for each other, the members on this server miss it.
    if (known) broadcast(core, encode(known), known.room);
  };
  const joined = async () => {
    // After the first time, the client subscribes again by itself.
    if (!subscribed) await client.subscribe(CHANNEL, deliver);
    subscribed = true;
    away = false;
    report(
      dropped === 0 ? 'back plane joined' : `back plane joined; other servers may have missed messages: ${dropped}`,
    );
    dropped = 0;
  };
  const lost = (error: Error) => {
    if (!away) report(`back plane lost: ${error.message}`);
    away = true;
  };

  client.on('ready', () => joined().catch(lost));
  client.on('error', lost);
  relay.onmessage = ({ data: notice }) => {
    client.publish(CHANNEL, JSON.stringify({ from: self, notice })).catch(() => {
      if (notice.type === 'said') dropped++;
    });
  };
  // Rejects when the core stops before it has connected.
  client.connect().catch(() => {});
  core.attach({
    async stop() {
      relay.close();
      client.destroy();
    },
  });
}
