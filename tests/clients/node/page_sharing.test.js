// The page of one of several instances, over a real Valkey or Redis server: with how many the limits are shared, and
// what it says when the server is away.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { PHONE, answerOf, eventually, inspect, launch, pageTest, startOver, stream, upstream, visit } from './page_support.js';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** A server on a socket of its own; it ends with the test. */
async function startServer(test) {
  const folder = await mkdtemp(join(tmpdir(), 'sharing-'));
  const socket = join(folder, 'socket');
  const arguments_ = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder];
  const server = spawn(process.env.STATE_SERVER, arguments_, { stdio: 'ignore' });
  const stop = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  test.after(async () => {
    await stop();
    await rm(folder, { recursive: true });
  });
  await eventually('the server', () => existsSync(socket));
  return { url: `unix://${socket}`, stop };
}

pageTest('the page says with how many instances the limits are shared, and that the server is away', async (t) => {
  const server = await startServer(t);
  const groq = await upstream(t, (_, response) => stream(response, answerOf(['Hi.'])) ?? response.end());
  const settings = { STATE_URL: server.url };
  const first = await startOver(t, groq, settings);
  await startOver(t, groq, settings);
  const page = await visit(t, browser, first, { path: '/#providers' });
  await page.getByText(/^Instances that share the limits: 2, as of \d+(\.\d)? m?s ago$/).waitFor();
  await inspect(page, 'sharing');
  await page.getByRole('button', { name: 'ES', exact: true }).click();
  await page.getByText(/^Instancias que comparten los límites: 2, hace \d+(,\d)? m?s$/).waitFor();
  await server.stop();
  await page.getByText(/^STATE_URL no sirve ahora: esta instancia sigue sola · .+$/).waitFor();
  await page.getByRole('button', { name: 'EN', exact: true }).click();
  await page.setViewportSize(PHONE);
  await page.getByText(/^STATE_URL is of no use now: this instance goes on alone · it cannot be reached: .+$/).waitFor();
  await inspect(page, 'alone-phone');
});

pageTest('an instance that shares with nobody says nothing of it', async (t) => {
  const groq = await upstream(t, (_, response) => response.end());
  const page = await visit(t, browser, await startOver(t, groq), { path: '/#providers' });
  await page.getByText('Waiting requests').waitFor();
  assert.equal(await page.getByText(/share the limits|STATE_URL/).count(), 0);
});
