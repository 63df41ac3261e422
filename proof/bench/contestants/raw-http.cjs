// node:http alone, for comparison. It is required, because an import would also load fetch (Node 26).
const http = require('node:http');

const answer = { name: 'poort', version: '0.1.0', docs: '/docs', health: '/health/ready' };

http
  .createServer((_request, response) => {
    const body = JSON.stringify(answer);
    response.setHeader('content-type', 'application/json; charset=utf-8');
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
