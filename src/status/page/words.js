// Times, reasons and names as people say them.

import { hasText, number, t } from './texts.js';

/** A time span; whole seconds from a second on. */
export function span(milliseconds) {
  if (milliseconds < 1000) return t('milliseconds', { count: Math.max(0, Math.round(milliseconds)) });
  return wholeSpan(Math.round(milliseconds / 1000));
}

/** The same for a short time that somebody looks at: tenths of a second. */
export const shortSpan = (milliseconds) =>
  milliseconds < 1000 || milliseconds >= 60_000
    ? span(milliseconds)
    : t('seconds', { count: number(Math.round(milliseconds / 100) / 10) });

function wholeSpan(seconds) {
  if (seconds < 60) return t('seconds', { count: seconds });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return t('minutes', { minutes, seconds: seconds % 60 });
  return t('hours', { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** How long it is until then, rounded up to seconds; `null` if it is over or unknown. */
export function until(timeStamp, now) {
  const milliseconds = Date.parse(timeStamp) - now;
  return milliseconds > 0 ? wholeSpan(Math.ceil(milliseconds / 1000)) : null;
}

/** A countdown of whole seconds. */
export const countdown = (milliseconds) => wholeSpan(Math.max(0, Math.ceil(milliseconds / 1000)));

/** What has happened, so that it completes "Groq …". */
export const reason = (word) => (hasText(`reason_${word}`) ? t(`reason_${word}`) : word.replaceAll('_', ' '));

/** `Groq:rate_limited, Cerebras:ok` as a list. */
export const attempts = (header) =>
  (header ?? '').split(',').map((it) => it.trim().split(':')).filter(([provider, word]) => provider && word);

/** One attempt that was no answer, as a sentence. */
export const attemptSentence = (provider, word) =>
  word === 'cooling_down' ? t('passed_over', { provider }) : t('failed_because', { provider, reason: reason(word) });

/** Where keys come from; of other providers only the variable is known. */
const KEYS = {
  Groq: { variable: 'GROQ_API_KEY', address: 'https://console.groq.com/keys' },
  Gemini: { variable: 'GOOGLE_API_KEY', address: 'https://aistudio.google.com/apikey' },
  Cerebras: { variable: 'CEREBRAS_API_KEY', address: 'https://cloud.cerebras.ai', isTrial: true },
};

/** The variable of a provider's key and where to get one. */
export const keyOf = (provider) =>
  KEYS[provider] ?? { variable: `${provider.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}_API_KEY` };

/** The providers that newcomers are shown. */
export const FIRST_PROVIDERS = Object.keys(KEYS);
