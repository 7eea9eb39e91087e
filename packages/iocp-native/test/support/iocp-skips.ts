// The rules that the Windows backend does not follow, and those that Wine does not, in which it is tested on Linux; and why.

const notDirect = 'Windows reads the memory until the send completes';

const everywhere = {
  'a direct send takes bytes at once: they may change or go when it has returned': notDirect,
  'a direct send to a peer that does not read takes what there is room for, and completes when there is more':
    notDirect,
  'a direct send takes several arrays behind its pieces, in order': notDirect,
  'a direct send of several arrays to a peer that does not read stops in the middle of them': notDirect,
  'a direct send refuses more than 16 pieces and arrays': notDirect,
  'a direct send whose pieces have to wait takes nothing else': notDirect,
  'a direct send that waits ends with its socket, and with a reset': notDirect,
  'a direct send without a packet takes what there is room for, and other sends go on behind it': notDirect,
  'a direct send without a packet throws when the peer has reset the connection': notDirect,
  'a direct send to a peer that has reset the connection fails': notDirect,
  'a direct send reads no memory but that of its array': notDirect,
  'packets have the type of service asked for, at the start and later':
    'Windows marks packets by its QoS policies only',
  'datagrams have the type of service asked for, at the start and later':
    'Windows marks packets by its QoS policies only',
  'listeners with reusePort share an address, and take every connection between them': 'Windows has no SO_REUSEPORT',
  'a half-closed local socket still receives': 'a named pipe has no half-close',
  'the file of a dead listener refuses clients, and is in the way of listeners': 'a named pipe has no file',
  'a file goes over a local socket': 'TransmitFile wants a socket',
  'an abstract name works as a path does, without a file': 'names of pipes are abstract',
  'node:net finds an abstract name, and is found by it, whatever bytes it has': 'names of pipes are abstract',
  'a detached accept on a path brings a handle, which a port adopts': 'a pipe is with its port before its client comes',
  'a thread that ended in the middle of a post is recovered from':
    "the queue is the kernel's, and has no lock in shared memory",
  "a program's own thread that ends, whatever ends it, leaves no listener, connection or descriptor":
    'it needs a ledger there',
  'a port that cannot wait does not host the loop: ENOTSUP': 'it can wait',
  'a broadcast needs the option: EACCES': 'it depends on the addresses of the interfaces',
  'a port that is not native moves no connection: ENOTSUP': 'it is native',
  'an option that node:net lacks is refused: ENOTSUP': 'it has these options',
};
const windows = {
  ...everywhere,
  'a send of a file can be canceled, and the socket stays good':
    'Windows breaks the connection when a send is canceled; see contract.ts',
};
const wine = {
  ...everywhere,
  'listening on a path in use rejects with EADDRINUSE, and leaves it alone':
    'Wine takes no notice of FILE_FLAG_FIRST_PIPE_INSTANCE',
  'a pause holds the peer back': 'Wine tells node:net at once that any write is done; see win32.test.ts',
  'after ECONNREFUSED a connected datagram socket goes on': 'Wine sees no datagram on a socket that had an error',
};

export const iocpSkips: Readonly<Record<string, string>> = process.env.WINEPREFIX ? wine : windows;
