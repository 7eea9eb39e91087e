// The event: one record per operation, which starts with an OVERLAPPED, goes to the kernel and comes back in a packet.
import { createBatch, EVENT_SIZE, endpoint, GatherList, Operation, openPort } from '@overlapped/iocp-native';
import { type IocpEvent, IocpEventPool } from '@overlapped/object-pool';

const port = openPort(); // CreateIoCompletionPort
const events = new IocpEventPool<string>(port.allocate(4 * EVENT_SIZE), 4);
const text = port.allocate(64);
const hello = new GatherList(); // WSABUF[]
hello.add(text, 0, text.bytes.write('hello'));

const listener = await port.listen(endpoint('127.0.0.1', 0));
port.accept(listener, events.acquire('listener', Operation.Accept)!); // AcceptEx
port.connect(events.acquire('client', Operation.Connect)!, listener.localEndpoint(), 'key of the client'); // ConnectEx

const names = new Map(Object.entries(Operation).map(([name, value]) => [value, name]));
const batch = createBatch(8);
for (let done = false; !done; await new Promise((resolve) => setImmediate(resolve))) {
  for (const packet of batch.slice(0, port.dequeue(batch, 0))) {
    const event = packet.event as IocpEvent<string>; // In C++: CONTAINING_RECORD(overlapped, IocpEvent, ...)
    const record = `record ${event.index}, use ${event.generation + 1}`;
    console.log(`${names.get(event.operation)!.padEnd(8)} for the ${event.owner}: ${record}, ${packet.bytes} bytes`);
    if (!event.pending) events.release(event); // The kernel is done with it: it may serve the next operation.
    if (packet.operation === Operation.Accept) {
      port.receive(packet.socket!, events.acquire('session', Operation.Receive)!); // WSARecv
    } else if (packet.operation === Operation.Connect) {
      port.send(packet.socket!, events.acquire('client', Operation.Send)!, hello); // WSASend
    } else if (packet.data !== null) {
      console.log(`The session got "${packet.data}".`);
      port.release(packet.buffer);
      done = true;
    }
  }
}
port.destroy();
