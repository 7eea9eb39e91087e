// tsup.config.ts
import { defineConfig } from 'tsup';

// ../tsup.base.ts
function options(entry, more = {}) {
  return {
    entry,
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    removeNodeProtocol: false,
    splitting: true,
    sourcemap: true,
    // The maps name the files of src, which are published beside them.
    esbuildOptions: (esbuild) => {
      esbuild.sourcesContent = false;
    },
    clean: true,
    ...more,
  };
}

// tsup.config.ts
var tsup_config_default = defineConfig(
  options(
    {
      'commands/session': 'src/commands/session.ts',
      'commands/http': 'src/commands/http.ts',
      'load/cannon-process': 'src/load/cannon-process.ts',
      'commands/idle': 'src/commands/idle.ts',
      'commands/dedicated': 'src/commands/dedicated.ts',
      'commands/broadcast': 'src/commands/broadcast.ts',
      'commands/threads': 'src/commands/threads.ts',
      'commands/jobs': 'src/commands/jobs.ts',
      'commands/kv': 'src/commands/kv.ts',
      'commands/life': 'src/commands/life.ts',
      'commands/starts': 'src/commands/starts.ts',
      'commands/udp': 'src/commands/udp.ts',
      'jobs/work': 'src/jobs/work.ts',
      'servers/overlapped': 'src/servers/overlapped.ts',
      'servers/node-net': 'src/servers/node-net.ts',
      'servers/datagrams': 'src/servers/datagrams.ts',
      'servers/node-dgram': 'src/servers/node-dgram.ts',
      'servers/http-sessions': 'src/servers/http-sessions.ts',
      'servers/http-net': 'src/servers/http-net.ts',
      'servers/dedicated': 'src/servers/dedicated.ts',
      'servers/echo-session': 'src/servers/echo-session.ts',
      'servers/burn-session': 'src/servers/burn-session.ts',
      'servers/life-session': 'src/servers/life-session.ts',
    },
    // They find their own workers by where they lie.
    { external: ['autocannon', 'piscina', 'tinypool'] },
  ),
);

export { tsup_config_default as default };
//# sourceMappingURL=data:application/json;base64,ewogICJ2ZXJzaW9uIjogMywKICAic291cmNlcyI6IFsidHN1cC5jb25maWcudHMiLCAiLi4vdHN1cC5iYXNlLnRzIl0sCiAgInNvdXJjZXNDb250ZW50IjogWyJjb25zdCBfX2luamVjdGVkX2ZpbGVuYW1lX18gPSBcIi93b3JrL3d0L2pvYnMvYmVuY2gvdHN1cC5jb25maWcudHNcIjtjb25zdCBfX2luamVjdGVkX2Rpcm5hbWVfXyA9IFwiL3dvcmsvd3Qvam9icy9iZW5jaFwiO2NvbnN0IF9faW5qZWN0ZWRfaW1wb3J0X21ldGFfdXJsX18gPSBcImZpbGU6Ly8vd29yay93dC9qb2JzL2JlbmNoL3RzdXAuY29uZmlnLnRzXCI7Ly8gV2hhdCBpcyBidWlsdDogdGhlIGNvbW1hbmRzIGFuZCB0aGUgc2VydmVycyB0aGF0IHRoZXkgbWVhc3VyZS5cbmltcG9ydCB7IGRlZmluZUNvbmZpZyB9IGZyb20gJ3RzdXAnO1xuaW1wb3J0IHsgb3B0aW9ucyB9IGZyb20gJy4uL3RzdXAuYmFzZS5qcyc7XG5cbmV4cG9ydCBkZWZhdWx0IGRlZmluZUNvbmZpZyhcbiAgb3B0aW9ucyhcbiAgICB7XG4gICAgICAnY29tbWFuZHMvc2Vzc2lvbic6ICdzcmMvY29tbWFuZHMvc2Vzc2lvbi50cycsXG4gICAgICAnY29tbWFuZHMvaHR0cCc6ICdzcmMvY29tbWFuZHMvaHR0cC50cycsXG4gICAgICAnbG9hZC9jYW5ub24tcHJvY2Vzcyc6ICdzcmMvbG9hZC9jYW5ub24tcHJvY2Vzcy50cycsXG4gICAgICAnY29tbWFuZHMvaWRsZSc6ICdzcmMvY29tbWFuZHMvaWRsZS50cycsXG4gICAgICAnY29tbWFuZHMvZGVkaWNhdGVkJzogJ3NyYy9jb21tYW5kcy9kZWRpY2F0ZWQudHMnLFxuICAgICAgJ2NvbW1hbmRzL2Jyb2FkY2FzdCc6ICdzcmMvY29tbWFuZHMvYnJvYWRjYXN0LnRzJyxcbiAgICAgICdjb21tYW5kcy90aHJlYWRzJzogJ3NyYy9jb21tYW5kcy90aHJlYWRzLnRzJyxcbiAgICAgICdjb21tYW5kcy9qb2JzJzogJ3NyYy9jb21tYW5kcy9qb2JzLnRzJyxcbiAgICAgICdjb21tYW5kcy9rdic6ICdzcmMvY29tbWFuZHMva3YudHMnLFxuICAgICAgJ2NvbW1hbmRzL2xpZmUnOiAnc3JjL2NvbW1hbmRzL2xpZmUudHMnLFxuICAgICAgJ2NvbW1hbmRzL3N0YXJ0cyc6ICdzcmMvY29tbWFuZHMvc3RhcnRzLnRzJyxcbiAgICAgICdjb21tYW5kcy91ZHAnOiAnc3JjL2NvbW1hbmRzL3VkcC50cycsXG4gICAgICAnam9icy93b3JrJzogJ3NyYy9qb2JzL3dvcmsudHMnLFxuICAgICAgJ3NlcnZlcnMvb3ZlcmxhcHBlZCc6ICdzcmMvc2VydmVycy9vdmVybGFwcGVkLnRzJyxcbiAgICAgICdzZXJ2ZXJzL25vZGUtbmV0JzogJ3NyYy9zZXJ2ZXJzL25vZGUtbmV0LnRzJyxcbiAgICAgICdzZXJ2ZXJzL2RhdGFncmFtcyc6ICdzcmMvc2VydmVycy9kYXRhZ3JhbXMudHMnLFxuICAgICAgJ3NlcnZlcnMvbm9kZS1kZ3JhbSc6ICdzcmMvc2VydmVycy9ub2RlLWRncmFtLnRzJyxcbiAgICAgICdzZXJ2ZXJzL2h0dHAtc2Vzc2lvbnMnOiAnc3JjL3NlcnZlcnMvaHR0cC1zZXNzaW9ucy50cycsXG4gICAgICAnc2VydmVycy9odHRwLW5ldCc6ICdzcmMvc2VydmVycy9odHRwLW5ldC50cycsXG4gICAgICAnc2VydmVycy9kZWRpY2F0ZWQnOiAnc3JjL3NlcnZlcnMvZGVkaWNhdGVkLnRzJyxcbiAgICAgICdzZXJ2ZXJzL2VjaG8tc2Vzc2lvbic6ICdzcmMvc2VydmVycy9lY2hvLXNlc3Npb24udHMnLFxuICAgICAgJ3NlcnZlcnMvYnVybi1zZXNzaW9uJzogJ3NyYy9zZXJ2ZXJzL2J1cm4tc2Vzc2lvbi50cycsXG4gICAgICAnc2VydmVycy9saWZlLXNlc3Npb24nOiAnc3JjL3NlcnZlcnMvbGlmZS1zZXNzaW9uLnRzJyxcbiAgICB9LFxuICAgIC8vIFRoZXkgZmluZCB0aGVpciBvd24gd29ya2VycyBieSB3aGVyZSB0aGV5IGxpZS5cbiAgICB7IGV4dGVybmFsOiBbJ2F1dG9jYW5ub24nLCAncGlzY2luYScsICd0aW55cG9vbCddIH0sXG4gICksXG4pO1xuIiwgImNvbnN0IF9faW5qZWN0ZWRfZmlsZW5hbWVfXyA9IFwiL3dvcmsvd3Qvam9icy90c3VwLmJhc2UudHNcIjtjb25zdCBfX2luamVjdGVkX2Rpcm5hbWVfXyA9IFwiL3dvcmsvd3Qvam9ic1wiO2NvbnN0IF9faW5qZWN0ZWRfaW1wb3J0X21ldGFfdXJsX18gPSBcImZpbGU6Ly8vd29yay93dC9qb2JzL3RzdXAuYmFzZS50c1wiOy8vIFdoYXQgZXZlcnkgcGFja2FnZSdzIGJ1aWxkIGhhcyBpbiBjb21tb247IGEgcGFja2FnZSBhZGRzIGl0cyBlbnRyaWVzLlxuaW1wb3J0IHR5cGUgeyBPcHRpb25zIH0gZnJvbSAndHN1cCc7XG5cbmV4cG9ydCBmdW5jdGlvbiBvcHRpb25zKGVudHJ5OiBSZWNvcmQ8c3RyaW5nLCBzdHJpbmc+LCBtb3JlOiBPcHRpb25zID0ge30pOiBPcHRpb25zIHtcbiAgcmV0dXJuIHtcbiAgICBlbnRyeSxcbiAgICBmb3JtYXQ6IFsnZXNtJ10sXG4gICAgdGFyZ2V0OiAnbm9kZTIwJyxcbiAgICBwbGF0Zm9ybTogJ25vZGUnLFxuICAgIHJlbW92ZU5vZGVQcm90b2NvbDogZmFsc2UsXG4gICAgc3BsaXR0aW5nOiB0cnVlLFxuICAgIHNvdXJjZW1hcDogdHJ1ZSxcbiAgICAvLyBUaGUgbWFwcyBuYW1lIHRoZSBmaWxlcyBvZiBzcmMsIHdoaWNoIGFyZSBwdWJsaXNoZWQgYmVzaWRlIHRoZW0uXG4gICAgZXNidWlsZE9wdGlvbnM6IChlc2J1aWxkKSA9PiB7XG4gICAgICBlc2J1aWxkLnNvdXJjZXNDb250ZW50ID0gZmFsc2U7XG4gICAgfSxcbiAgICBjbGVhbjogdHJ1ZSxcbiAgICAuLi5tb3JlLFxuICB9O1xufVxuIl0sCiAgIm1hcHBpbmdzIjogIjtBQUNBLFNBQVMsb0JBQW9COzs7QUNFdEIsU0FBUyxRQUFRLE9BQStCLE9BQWdCLENBQUMsR0FBWTtBQUNsRixTQUFPO0FBQUEsSUFDTDtBQUFBLElBQ0EsUUFBUSxDQUFDLEtBQUs7QUFBQSxJQUNkLFFBQVE7QUFBQSxJQUNSLFVBQVU7QUFBQSxJQUNWLG9CQUFvQjtBQUFBLElBQ3BCLFdBQVc7QUFBQSxJQUNYLFdBQVc7QUFBQTtBQUFBLElBRVgsZ0JBQWdCLENBQUMsWUFBWTtBQUMzQixjQUFRLGlCQUFpQjtBQUFBLElBQzNCO0FBQUEsSUFDQSxPQUFPO0FBQUEsSUFDUCxHQUFHO0FBQUEsRUFDTDtBQUNGOzs7QURmQSxJQUFPLHNCQUFRO0FBQUEsRUFDYjtBQUFBLElBQ0U7QUFBQSxNQUNFLG9CQUFvQjtBQUFBLE1BQ3BCLGlCQUFpQjtBQUFBLE1BQ2pCLHVCQUF1QjtBQUFBLE1BQ3ZCLGlCQUFpQjtBQUFBLE1BQ2pCLHNCQUFzQjtBQUFBLE1BQ3RCLHNCQUFzQjtBQUFBLE1BQ3RCLG9CQUFvQjtBQUFBLE1BQ3BCLGlCQUFpQjtBQUFBLE1BQ2pCLGVBQWU7QUFBQSxNQUNmLGlCQUFpQjtBQUFBLE1BQ2pCLG1CQUFtQjtBQUFBLE1BQ25CLGdCQUFnQjtBQUFBLE1BQ2hCLGFBQWE7QUFBQSxNQUNiLHNCQUFzQjtBQUFBLE1BQ3RCLG9CQUFvQjtBQUFBLE1BQ3BCLHFCQUFxQjtBQUFBLE1BQ3JCLHNCQUFzQjtBQUFBLE1BQ3RCLHlCQUF5QjtBQUFBLE1BQ3pCLG9CQUFvQjtBQUFBLE1BQ3BCLHFCQUFxQjtBQUFBLE1BQ3JCLHdCQUF3QjtBQUFBLE1BQ3hCLHdCQUF3QjtBQUFBLE1BQ3hCLHdCQUF3QjtBQUFBLElBQzFCO0FBQUE7QUFBQSxJQUVBLEVBQUUsVUFBVSxDQUFDLGNBQWMsV0FBVyxVQUFVLEVBQUU7QUFBQSxFQUNwRDtBQUNGOyIsCiAgIm5hbWVzIjogW10KfQo=
