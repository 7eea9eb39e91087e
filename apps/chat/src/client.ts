// The client for the terminal: it says each typed line in the room, and shows the texts of the room.

import { clearScreenDown, createInterface, cursorTo, moveCursor } from 'node:readline';
import { type BackendName, Connector, framed, IocpCore, IocpError } from '@overlapped/session';
import { encode, framer, isText, LONGEST_TEXT, type Notice, parse, printable } from './protocol.js';

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
    if (text === '') return;
    if (!isText(text)) show(`(a text has at most ${LONGEST_TEXT} characters)`);
    else if (!session.send(encode({ type: 'say', text }))) lines.pause();
  });
  lines.on('close', () => {
    left = true;
    // A line that was half typed stays above the shell's prompt.
    if (isTTY && lines.line !== '') output.write('\n');
    session.end();
  });
  /** Rows of the terminal that a text takes besides its first one: readline measures the prompt. */
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

/** A line that is safe for the terminal. */
function describe(notice: Notice): string {
  if (notice.type === 'joined') return `(you are in ${printable(notice.room)})`;
  if (notice.type === 'said') return `${printable(notice.name)}: ${printable(notice.text)}`;
  if (notice.type === 'entered') return `(${printable(notice.name)} has entered)`;
  if (notice.type === 'left') return `(${printable(notice.name)} has left)`;
  if (notice.type === 'refused') return `(refused: ${printable(notice.reason)})`;
  return '(the server sent a message that this client does not know)';
}
