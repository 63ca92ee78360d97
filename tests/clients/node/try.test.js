import { after, before, test } from 'node:test';
import { startProxy } from './support.js';
import { launch, visit, inspect, say, PHONE, lastTurn } from './page_support.js';
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());
test('look', async (t) => {
  const proxy = await startProxy(t);
  const page = await visit(t, browser, proxy);
  await page.getByText('3 of 3').waitFor();
  await inspect(page, 'first-visit');
  await say(page, 'Hello there');
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await inspect(page, 'answer');
  for (let i = 0; i < 9; i++) { await say(page, 'Once more **bold** `code` ' + i); await page.locator('.turn').nth(i+1).getByText('tokens/s').waitFor(); }
  await inspect(page, 'fallback');
  await page.getByRole('tab', { name: 'Providers' }).click();
  await page.waitForTimeout(5000);
  await inspect(page, 'providers');
  await page.getByRole('tab', { name: 'Connect' }).click();
  await inspect(page, 'connect');
});
