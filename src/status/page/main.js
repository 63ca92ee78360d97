// The page as a whole: tabs, language, the client key, and what is said above everything.

import { button, el, on, show } from './dom.js';
import { startConnect } from './connect.js';
import { startPlayground } from './playground.js';
import { startProviders } from './providers.js';
import { configured, onNews, proxy, useKey, watch } from './proxy.js';
import { inEachLanguage, speak, t, translate } from './texts.js';

const byId = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll('[role="tab"]')];

function openTab(tab) {
  for (const it of tabs) {
    const isOpen = it === tab;
    it.setAttribute('aria-selected', isOpen);
    it.tabIndex = isOpen ? 0 : -1;
    byId(it.getAttribute('aria-controls')).hidden = !isOpen;
  }
  history.replaceState(null, '', `#${tab.getAttribute('aria-controls')}`);
  window.scrollTo(0, 0);
}

function startTabs() {
  const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  for (const tab of tabs) tab.addEventListener('click', () => openTab(tab));
  byId('tabs').addEventListener('keydown', (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.indexOf(document.activeElement) + step;
    const tab = Number.isFinite(at) ? tabs[(at + tabs.length) % tabs.length] : tabs.at(at > 0 ? -1 : 0);
    tab.focus();
    openTab(tab);
  });
  const openNamed = () => {
    const named = tabs.find((it) => `#${it.getAttribute('aria-controls')}` === location.hash);
    if (named) openTab(named);
  };
  window.addEventListener('hashchange', openNamed);
  openNamed();
}

// The client key.

let isKeyLater = false;

function askForKey() {
  const dialog = byId('key');
  byId('key-wrong').hidden = !proxy.isKeyWrong;
  byId('key-wrong').textContent = proxy.isKeyWrong ? t('key_wrong') : '';
  byId('key-value').setAttribute('aria-invalid', proxy.isKeyWrong);
  if (!dialog.open) dialog.showModal();
  byId('key-value').select();
}

function startKey() {
  on('key', askForKey);
  on('key-later', () => {
    isKeyLater = true;
    byId('key').close();
  });
  byId('key').addEventListener('cancel', () => (isKeyLater = true));
  byId('key-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    await useKey(byId('key-value').value.trim());
    if (proxy.state === 'locked') return askForKey();
    byId('key-value').value = '';
    byId('key').close();
  });
  onNews(() => {
    const isWanted = proxy.state === 'locked' && !isKeyLater;
    if (isWanted && !byId('key').open) askForKey();
  });
}

// What is said above everything.

function pulse() {
  const all = configured();
  const ready = all.filter(({ models }) => models.some(({ state }) => state === 'ready')).length;
  switch (proxy.state) {
    case 'loading':
      return ['asking', t('loading')];
    case 'known':
      return all.length ? [ready ? 'ready' : 'cooling_down', t('pulse_ready', { ready, all: all.length })] : ['disabled', t('pulse_none')];
    case 'locked':
      return ['cooling_down', t('pulse_locked')];
    default:
      return ['disabled', t('pulse_away')];
  }
}

function notice() {
  switch (proxy.state) {
    case 'away':
      return el('p', { class: 'notice bad', role: 'status' }, t('away'));
    case 'forbidden':
      return el('p', { class: 'notice bad', role: 'status' }, `${t('error_403')}. ${t('error_403_do')}`);
    case 'locked':
      return el('p', { class: 'notice' }, `${t(proxy.isKeyWrong ? 'key_wrong' : 'locked')} `, button(t('enter_key'), 'key'));
    default:
      return null;
  }
}

function drawTop() {
  const [state, text] = pulse();
  show(byId('pulse'), el('span', { class: `dot ${state}` }), text);
  show(byId('notices'), notice());
}

on('language', (target) => speak(target.dataset.value));
inEachLanguage(translate.bind(null, document));
inEachLanguage(drawTop);
onNews(drawTop);
startTabs();
startKey();
startPlayground();
startProviders();
startConnect();
watch();
