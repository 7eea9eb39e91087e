// echo-bun: the echo server as one writes it for Bun.
//
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

function write(socket, data) {
  const written = Math.max(socket.write(data), 0);
  return written === data.length ? undefined : data.subarray(written);
}

const { port } = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.setNoDelay(true);
      // What could not be written yet, in order.
      socket.data = [];
    },
    data(socket, data) {
      const rest = socket.data.length > 0 ? data : write(socket, data);
      if (rest !== undefined) socket.data.push(rest);
    },
    drain(socket) {
      while (socket.data.length > 0) {
        const rest = write(socket, socket.data[0]);
        if (rest !== undefined) {
          socket.data[0] = rest;
          return;
        }
        socket.data.shift();
      }
    },
    // A client that resets its connection is no error of ours.
    error() {},
  },
});

process.stdin.on('end', () => process.exit()).resume();
console.log(port);
