// A client: its connection's state, and the loop that serves its requests. Another object carries the bytes: a
// session here, a socket of node:net in the bench.

import { wrongArity } from './commands/command.js';
import { arityFits, find, unknownCommand } from './commands/table.js';
import type { Kv } from './kv.js';
import { RequestParser } from './resp/parser.js';
import type { Output, Protocol, ReplyWriter } from './resp/reply.js';
import type { Request } from './resp/request.js';
import type { Store } from './store.js';

/** A client's connection, as its server uses it. */
export interface Transport extends Output {
  /** Hands no more to receive(). When most of the queued bytes are sent, drained() is called. */
  pause(): void;
  resume(): void;
  /** Sends the queued bytes, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export class Client {
  readonly kv: Kv;
  readonly store: Store;
  readonly reply: ReplyWriter;
  readonly request: Request;
  readonly id: number;
  /** Which version of the protocol it asked for. */
  protocol: Protocol = 2;
  name = '';
  /** It gets no more replies: it has quit, or broken the protocol. */
  closing = false;
  readonly #transport: Transport;
  /** The rest of a reply that was put off: values, the next of which is at `#rest`. */
  #values: readonly (Buffer | undefined)[] | null = null;
  #rest = 0;
  /** It speaks HTTP. A page of any site can have a browser send us a request whose body is commands: it is cut off, as by Redis. */
  #isBrowser = false;
  readonly #parser = new RequestParser();

  constructor(kv: Kv, transport: Transport) {
    this.kv = kv;
    this.store = kv.store;
    this.reply = kv.reply;
    this.request = this.#parser.request;
    this.#transport = transport;
    this.id = ++kv.stats.connections;
    kv.stats.clients++;
  }

  /** Serves received bytes. `data` is borrowed until this returns. */
  receive(data: Buffer): void {
    if (this.closing) return;
    this.#parser.push(data);
    this.#serve();
  }

  /** The transport has sent the bytes for which it returned false: goes on. */
  drained(): void {
    if (this.closing || this.#serve()) this.#transport.resume();
  }

  /** For a command: its client is congested. These values follow when it has read enough, before anything else is served. */
  putOff(values: readonly (Buffer | undefined)[]): void {
    this.#values = values;
    this.#rest = 0;
    this.store.hold();
  }

  /** The connection is over. */
  closed(): void {
    this.closing = true;
    if (this.#values !== null) this.#replied();
    this.kv.stats.clients--;
  }

  /** Serves the requests that are there. False when the client is to read its replies before it gets more. */
  #serve(): boolean {
    const { reply } = this;
    const parser = this.#parser;
    reply.begin(this.#transport, this.protocol);
    this.#replyRest();
    while (!this.closing && !reply.congested && parser.next()) this.#run();
    if (this.#isBrowser) {
      this.#transport.destroy();
      return true;
    }
    if (parser.error !== null) this.closing = true;
    if (parser.error) reply.error(`ERR ${parser.error}`);
    reply.flush();
    if (this.closing) {
      if (parser.error === '') this.#transport.destroy();
      else this.#transport.end();
      return true;
    }
    if (!reply.congested) return true;
    parser.keep();
    this.#transport.pause();
    return false;
  }

  /** Goes on with a reply that was put off. */
  #replyRest(): void {
    const { reply } = this;
    const values = this.#values;
    if (values === null) return;
    while (this.#rest < values.length && !reply.congested) {
      const value = values[this.#rest++];
      if (value === undefined) reply.null();
      else reply.encoded(value);
    }
    if (this.#rest === values.length) this.#replied();
  }

  #replied(): void {
    this.#values = null;
    this.store.release();
  }

  #run(): void {
    const { request } = this;
    this.kv.stats.commands++;
    const command = find(request);
    if (command === undefined && (request.is(0, 'POST') || request.is(0, 'HOST:'))) {
      this.#isBrowser = true;
      this.closing = true;
    } else if (command === undefined) this.reply.error(unknownCommand(request));
    else if (!arityFits(command, request.count)) this.reply.error(wrongArity(command.name));
    else command.run(this);
  }
}
