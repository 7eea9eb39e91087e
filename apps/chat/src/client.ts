// The client for the terminal: what is typed is said, and what is said in the room is shown.

import { clearScreenDown, createInterface, cursorTo, moveCursor } from 'node:readline';
import { type BackendName, Connector, framed, IocpCore, IocpError } from '@overlapped/session';
import { encode, framer, isText, type Notice, parse, printable } from './protocol.js';

export interface JoinOptions {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly backend?: BackendName;
}

/** Stays until the input ends. Rejects with an IocpError when the server cannot be reached, or ends it. */
export async function join(room: string, { host, port, name, backend }: JoinOptions): Promise<void> {
  await using core = new IocpCore({ threads: 0, maxSessions: 1, ...(backend && { backend }) });
  const { stdin: input, stdout: output } = process;
  const { isTTY } = output;
  let left = false;
  let end = (_error?: Error) => {};
  const over = new Promise<Error | undefined>((resolve) => {
    end = resolve;
  });
  const connector = new Connector(core, {
    session: framed(framer, {
      onPacket: (_, packet) => show(describe(parse(packet.toString()) as Notice)),
      onDrain: () => lines.resume(),
      onDisconnected: (_, error) => end(error),
    }),
  });
  const session = await connector.connect({ host, port });
  session.send(encode({ type: 'join', room, name }));

  const lines = createInterface({ input, prompt: '', ...(isTTY && { output }) });
  lines.on('line', (text) => {
    // The server says it again, with the name.
    if (isTTY) {
      moveCursor(output, 0, -1 - rowsOf(text));
      clearScreenDown(output);
    }
    if (!isText(text)) show('(too short, or too long, to be said)');
    else if (!session.send(encode({ type: 'say', text }))) lines.pause();
  });
  lines.on('close', () => {
    left = true;
    session.end();
  });
  /** Rows of the terminal that a text takes besides its first one: the prompt is what readline measures. */
  function rowsOf(text: string): number {
    lines.setPrompt(text);
    const { rows } = lines.getCursorPos();
    lines.setPrompt('');
    return rows;
  }
  function show(line: string): void {
    if (isTTY) {
      moveCursor(output, 0, -lines.getCursorPos().rows);
      cursorTo(output, 0);
      clearScreenDown(output);
    }
    console.log(line);
    if (isTTY && !left) lines.prompt(true);
  }

  const error = await over;
  const ended = !left;
  lines.close();
  if (error) throw error;
  if (ended) throw new IocpError('stay in the room', 'the server ended the connection', 'ECONNRESET', 'receive');
}

/** In a line that does nothing to the terminal. */
function describe(notice: Notice): string {
  if (notice.type === 'joined') return `(you are in ${printable(notice.room)})`;
  if (notice.type === 'said') return `${printable(notice.name)}: ${printable(notice.text)}`;
  if (notice.type === 'refused') return `(refused: ${printable(notice.reason)})`;
  return '(the server said what this client does not know)';
}
