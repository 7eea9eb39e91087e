// ObjectPool: objects are reused, and a double release, a leak or the release of an event in flight is caught.
import { EVENT_SIZE, endpoint, Operation, openPort } from '@overlapped/iocp-native';
import { IocpEventPool, ObjectPool } from '@overlapped/object-pool';

function attempt(what: string, action: () => void): void {
  try {
    action();
    console.log(`${what}: not noticed`);
  } catch (error) {
    console.log(`${what}: ${error}`);
  }
}

const pool = new ObjectPool({ create: () => ({ hp: 100 }), capacity: 2 });
const player = pool.acquire()!; // Pop()
pool.release(player); // Push()
console.log(`acquire() after release() gives the same object: ${pool.acquire() === player}`);
pool.release(player);
attempt('A double release', () => pool.release(player));
pool.acquire();
attempt('A leak', () => pool.assertEmpty());

const port = openPort();
const events = new IocpEventPool(port.allocate(EVENT_SIZE), 1);
const listener = await port.listen(endpoint('127.0.0.1', 0));
const event = events.acquire('listener', Operation.Accept)!;
port.accept(listener, event); // From now on the kernel may write to the record.
attempt('The release of an event in flight', () => events.release(event));
port.destroy(); // Cancels the accept, and waits until the kernel is done with it.
