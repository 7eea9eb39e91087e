// Rules about guards and statistics that a port of its own does not follow. A driver of the one port does: it skips none of them.

const reason = 'its port is not the one of port/port.ts yet, which has these guards';

export const unconverted: Readonly<Record<string, string>> = {
  'every operation refuses a socket of another port, and what is no socket': reason,
  'a listener accepts, and does nothing else': reason,
  'a datagram socket neither accepts, sends files, nor shuts down': reason,
  'what a destroyed port had is in its stats no more': reason,
};
