// Work that computes for long runs in a JobPool, so that it delays no connection: primes.js has the jobs. Run
// `node examples/jobs.js`, then type a number such as 3000000 into `nc 127.0.0.1 7005`.

import { JobPool } from '@overlapped/jobs';
import { framed, IocpCore, Listener, lines } from '@overlapped/session';

const pool = new JobPool({ module: new URL('./primes.js', import.meta.url) });
const core = new IocpCore();
const { endpoint } = await Listener.listen(core, {
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7005),
  session: framed(lines({ maxFrameLength: 100 }), {
    async onPacket(session, line) {
      const below = Number(line.toString());
      // One request of a session at a time: so answers keep the order of the requests.
      session.pause();
      try {
        const count = await pool.run('countPrimes', [below], { signal: AbortSignal.timeout(10_000) });
        session.sendPacket(`${count} primes below ${below}`);
      } catch (error) {
        session.sendPacket(`failed: ${/** @type {Error} */ (error).message}`);
      }
      session.resume();
    },
  }),
});
console.log(`jobs on port ${endpoint.port}`);

process.once('SIGINT', async () => {
  await core.stop();
  await pool.stop();
});
