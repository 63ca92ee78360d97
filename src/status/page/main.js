// The page as a whole: tabs, language, the client key.

import { startConnect } from './connect.js';
import { button, el, on, show } from './dom.js';
import { startPlayground } from './playground.js';
import { startProviders } from './providers.js';
import { configured, onNews, proxy, useKey, watch } from './proxy.js';
import { inEachLanguage, speak, t, translate } from './texts.js';

const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll('[role="tab"]')];
const panelOf = (tab) => tab.getAttribute('aria-controls');

function openTab(tab) {
  for (const it of tabs) {
    it.setAttribute('aria-selected', it === tab);
    it.tabIndex = it === tab ? 0 : -1;
    byId(panelOf(it)).hidden = it !== tab;
  }
  history.replaceState(null, '', `#${panelOf(tab)}`);
  window.scrollTo(0, 0);
}

function startTabs() {
  for (const tab of tabs) tab.addEventListener('click', () => openTab(tab));
  byId('tabs').addEventListener('keydown', (event) => {
    const at = tabs.indexOf(document.activeElement);
    const next = { ArrowRight: (at + 1) % tabs.length, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    openTab(tabs.at(next));
    tabs.at(next).focus();
  });
  const openNamed = () => {
    const named = tabs.find((it) => `#${panelOf(it)}` === location.hash);
    if (named) openTab(named);
  };
  window.addEventListener('hashchange', openNamed);
  openNamed();
}

// The client key.

let isLater = false;

function askForKey() {
  byId('key-wrong').textContent = proxy.isKeyWrong ? t('key_wrong') : '';
  if (!byId('key').open) byId('key').showModal();
  byId('key-value').select();
}

function startKey() {
  on('key', askForKey);
  on('key-later', () => byId('key').close());
  byId('key').addEventListener('close', () => (isLater = proxy.state === 'locked'));
  byId('key-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    await useKey(byId('key-value').value.trim());
    if (proxy.state === 'locked') return askForKey();
    byId('key-value').value = '';
    byId('key').close();
  });
  onNews(() => proxy.state === 'locked' && !isLater && !byId('key').open && askForKey());
}

// What is said above everything.

function pulse() {
  const all = configured();
  const ready = all.filter(({ models }) => models.some((it) => it.state === 'ready')).length;
  const known = all.length ? [ready ? 'ready' : 'cooling_down', t('pulse_ready', { ready, all: all.length })] : ['disabled', t('pulse_none')];
  const others = { loading: ['asking', t('loading')], known, locked: ['cooling_down', t('pulse_locked')] };
  return others[proxy.state] ?? ['disabled', t('pulse_away')];
}

function notice() {
  if (proxy.state === 'locked') return el('p', { class: 'notice' }, `${t(proxy.isKeyWrong ? 'key_wrong' : 'key_title')} `, button(t('enter_key'), 'key'));
  const sentences = { away: t('away'), forbidden: `${t('error_403')}. ${t('error_403_do')}` };
  return proxy.state in sentences && el('p', { class: 'notice bad' }, sentences[proxy.state]);
}

function drawTop() {
  const [state, text] = pulse();
  show(byId('pulse'), el('span', { class: `dot ${state}` }), text);
  show(byId('notices'), notice());
}

on('language', (target) => speak(target.dataset.language));
inEachLanguage(translate);
inEachLanguage(drawTop);
onNews(drawTop);
startTabs();
startKey();
startPlayground();
startProviders();
startConnect();
watch();
