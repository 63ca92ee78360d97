// Claude Code, Codex and Gemini CLI: where npm has put them, and how each is told to ask the proxy and nobody else.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { PROGRAMS } = process.env;
const PLATFORM = `${process.platform}-${process.arch}`;

/** A program that has not ended by then hangs. */
const PATIENCE_MS = 90_000;

/** What stands in the file that the programs are to read. */
export const SECRET = 'The word of the day is marmalade.';
export const SECRET_FILE = 'note.txt';

/** One of Codex's own programs: its package keeps them in a folder that is named after the compiler's target. */
function inCodex(name) {
  const vendor = join(PROGRAMS, `node_modules/@openai/codex-${PLATFORM}/vendor`);
  const targets = { 'linux-x64': 'x86_64-unknown-linux-musl', 'linux-arm64': 'aarch64-unknown-linux-musl' };
  return join(vendor, targets[PLATFORM] ?? '', 'bin', name);
}

const CODEX_SETTINGS = (origin) => `
model = "auto"
model_provider = "proxy"
approval_policy = "never"
# The simulated model calls only what a test has written out, and where tests run there may be no other sandbox.
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.proxy]
name = "AI Proxy Free"
base_url = "${origin}/v1"
env_key = "PROXY_KEY"
wire_api = "responses"
`;

const GEMINI_SETTINGS = {
  privacy: { usageStatisticsEnabled: false },
  telemetry: { enabled: false },
  // Of its ten tries a test can wait for two.
  general: { enableAutoUpdate: false, enableAutoUpdateNotification: false, maxAttempts: 2 },
  security: { auth: { selectedType: 'gemini-api-key' }, folderTrust: { enabled: false } },
};

/**
 * Each program: its surface's name in the proxy's metrics, its command line for one question, its environment and its
 * files, and the call with which it reads a file in its folder.
 */
export const CLAUDE_CODE = {
  name: 'Claude Code',
  surface: 'anthropic',
  command: [join(PROGRAMS, `node_modules/@anthropic-ai/claude-code-${PLATFORM}/claude`), '-p'],
  env: (origin) => ({
    ANTHROPIC_BASE_URL: origin,
    ANTHROPIC_AUTH_TOKEN: 'a-key',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    DISABLE_TELEMETRY: '1',
  }),
  files: () => ({}),
  reading: (folder) => `Read(${JSON.stringify({ file_path: join(folder, SECRET_FILE) })})`,
};

export const CODEX = {
  name: 'Codex',
  surface: 'responses',
  command: [inCodex('codex'), 'exec', '--skip-git-repo-check'],
  env: () => ({ PROXY_KEY: 'a-key' }),
  files: (origin) => ({ '.codex/config.toml': CODEX_SETTINGS(origin) }),
  reading: () => `exec_command(${JSON.stringify({ cmd: `cat ${SECRET_FILE}` })})`,
};

export const GEMINI_CLI = {
  name: 'Gemini CLI',
  surface: 'gemini',
  command: [process.execPath, join(PROGRAMS, 'node_modules/@google/gemini-cli/bundle/gemini.js'), '-p'],
  env: (origin) => ({ GEMINI_API_KEY: 'a-key', GOOGLE_GEMINI_BASE_URL: origin }),
  files: () => ({ '.gemini/settings.json': JSON.stringify(GEMINI_SETTINGS) }),
  reading: () => `read_file(${JSON.stringify({ file_path: SECRET_FILE })})`,
};

for (const { name, command } of [CLAUDE_CODE, CODEX, GEMINI_CLI]) {
  assert.ok(command.slice(0, 2).filter((word) => word.startsWith('/')).every(existsSync), `${name} is not installed`);
}

/** An empty folder that ends with the test. */
async function newFolder(test, parent) {
  const folder = await mkdtemp(join(parent, 'agent-'));
  test.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A program with a home and a folder of its own, which end with the test, and a proxy to ask. */
export async function settle(test, program, { origin }) {
  // Codex wants its home elsewhere than below /tmp, and Claude Code tells the model of a repository that its folder is in.
  const home = await newFolder(test, PROGRAMS);
  const folder = await newFolder(test, tmpdir());
  const temporary = await newFolder(test, tmpdir());
  await writeFile(join(folder, SECRET_FILE), SECRET);
  for (const [path, text] of Object.entries(program.files(origin))) {
    await mkdir(join(home, path, '..'), { recursive: true });
    await writeFile(join(home, path), text);
  }
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: temporary, ...program.env(origin) };
  const ask = (question, { variables, ...more } = {}) =>
    run(program.command, question, { cwd: folder, env: { ...env, ...variables }, ...more });
  return { folder, ask };
}

/** Runs a command to its end: how it ended and what it has written. */
async function run([command, ...words], question, { cwd, env, options = [], input = '', patience = PATIENCE_MS }) {
  const child = spawn(command, [...words, question, ...options], { cwd, env, timeout: patience, killSignal: 'SIGKILL' });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => (written[name] += text));
  }
  child.stdin.on('error', () => {}).end(input);
  const [status, signal] = await once(child, 'close');
  return { status, signal, ...written };
}
