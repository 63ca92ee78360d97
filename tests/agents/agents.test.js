// What every program does: it gets an answer, calls its own tools, and notices nothing of a provider that is limited.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { PIXEL } from '../clients/node/support.js';
import { CLAUDE_CODE, CODEX, GEMINI_CLI, SECRET, settle } from './programs.js';
import { assertSaid, Faults, ROOMY, startCounting, sum } from './support.js';

test('Claude Code shows the model a picture that it has read', async (t) => {
  const proxy = await startCounting(t, { env: ROOMY });
  const { ask, folder } = await settle(t, CLAUDE_CODE, proxy);
  const picture = join(folder, 'picture.png');
  await writeFile(picture, Buffer.from(PIXEL, 'base64'));
  assertSaid(await ask(`Please do Read(${JSON.stringify({ file_path: picture })}) for me`), /image\/png/);
  assert.deepEqual(Object.keys(await proxy.answered(CLAUDE_CODE)), ['200']);
});

for (const program of [CLAUDE_CODE, CODEX, GEMINI_CLI]) {
  test(`${program.name} shows the answer to a question`, async (t) => {
    const proxy = await startCounting(t, { env: ROOMY });
    const { ask } = await settle(t, program, proxy);
    assertSaid(await ask('Good morning, proxy'), /You said: [^]*Good morning, proxy\nThis answer comes word by word/);
    const answered = await proxy.answered(program);
    assert.deepEqual(Object.keys(answered), ['200']);
    assert.equal(sum(await proxy.called()), answered[200], 'one call for each request');
  });

  test(`${program.name} calls its tool and tells the model what came of it`, async (t) => {
    const proxy = await startCounting(t, { env: ROOMY });
    const { ask, folder } = await settle(t, program, proxy);
    const ran = await ask(`Please do ${program.reading(folder)} for me`);
    assertSaid(ran, new RegExp(`Tool said: [^]*${SECRET}`));
    assert.deepEqual(Object.keys(await proxy.answered(program)), ['200']);
  });

  test(`${program.name} notices nothing of a provider that is limited`, async (t) => {
    // Google's program names models that Gemini has, and they are preferred.
    const limited = program === GEMINI_CLI ? 'Gemini' : 'Groq';
    const proxy = await startCounting(t, { env: ROOMY, faults: new Faults({ [limited]: 'rate_limited' }) });
    const { ask } = await settle(t, program, proxy);
    const ran = await ask('Good morning, proxy');
    assertSaid(ran, /\[simulated \w+\] You said: /);
    assert.doesNotMatch(ran.stdout, new RegExp(`simulated ${limited}`));
    assert.deepEqual(Object.keys(await proxy.answered(program)), ['200']);
    assert.ok((await proxy.called())[limited] > 0, 'it was asked');
  });
}
