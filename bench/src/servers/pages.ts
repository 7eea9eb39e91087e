// What the http servers under measurement answer.

import http from 'node:http';

const PAGE = Buffer.alloc(65_536, 'page ');

/** A line, or a page at /page. */
export function createServer(): http.Server {
  return http.createServer((request, response) => {
    response.end(request.url === '/page' ? PAGE : 'hello world');
  });
}
