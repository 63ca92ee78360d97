// Row 94 of the fault table: whoever uploads too much sees why, with fetch and with Node's own client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { startOverSimulator } from './support.js';

const TOO_MANY = 30_000_000;
const POST = { method: 'POST', headers: { 'content-type': 'application/json' } };

/** The upload as a client sends it that does not know its length. */
function* inPieces() {
  for (let sent = 0; sent < TOO_MANY; sent += 65_536) yield Buffer.alloc(65_536, 'x');
}

/** The answer to a request of Node's own client, when that has sent everything. */
async function read(asked) {
  const sent = once(asked, 'close');
  const [response] = await once(asked, 'response');
  let body = '';
  for await (const piece of response) body += piece;
  await sent;
  return { status: response.statusCode, body: JSON.parse(body) };
}

const CLIENTS = {
  'fetch, announced': async (url) => {
    const response = await fetch(url, { ...POST, body: 'x'.repeat(TOO_MANY) });
    return { status: response.status, body: await response.json() };
  },
  'fetch, in chunks': async (url) => {
    const response = await fetch(url, { ...POST, body: Readable.toWeb(Readable.from(inPieces())), duplex: 'half' });
    return { status: response.status, body: await response.json() };
  },
  'http, announced': async (url) => {
    const asked = request(url, { ...POST, headers: { ...POST.headers, 'content-length': TOO_MANY }, agent: false });
    asked.end('x'.repeat(TOO_MANY));
    return read(asked);
  },
  'http, in chunks': async (url) => {
    const asked = request(url, { ...POST, agent: false });
    Readable.from(inPieces()).pipe(asked);
    return read(asked);
  },
};

for (const [name, upload] of Object.entries(CLIENTS)) {
  for (const path of ['/chat', '/v1/chat/completions']) {
    test(`row 94: an upload that is too large is told so: ${name} to ${path}`, async (t) => {
      const { origin } = await startOverSimulator(t);
      for (let time = 0; time < 3; time += 1) {
        const { status, body } = await upload(origin + path);
        assert.equal(status, 413);
        assert.match(body.error.message ?? body.error, /MAX_BODY_BYTES/);
      }
      const question = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], stream: false });
      assert.equal((await fetch(origin + path, { ...POST, body: question })).status, 200);
    });
  }
}
