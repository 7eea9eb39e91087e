// What the sessions of worker threads do.

export default { onReceive: (session, data) => session.send(data) };
