// Times, reasons and names as people say them.

import { hasText, number, t } from './texts.js';

/** A time span of whole seconds. */
function wholeSpan(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return t('seconds', { count: seconds });
  if (minutes < 60) return t('minutes', { minutes, seconds: seconds % 60 });
  return t('hours', { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** A time span, exact enough for its length. */
export function span(milliseconds) {
  if (milliseconds < 1_000) return t('milliseconds', { count: Math.round(milliseconds) });
  if (milliseconds < 60_000) return t('seconds', { count: number(Math.round(milliseconds / 100) / 10) });
  return wholeSpan(Math.round(milliseconds / 1_000));
}

/** How long it is until `at`, in whole seconds; `null` if that is over or unknown. */
export const left = (at, now) => (at > now ? wholeSpan(Math.ceil((at - now) / 1_000)) : null);

/** Why a provider did not answer, so that it completes "Groq …". */
export const reason = (word) => (hasText(`reason_${word}`) ? t(`reason_${word}`) : word.replaceAll('_', ' '));

/** `Groq:rate_limited, Cerebras:ok` as a list of pairs. */
export const attempts = (header) => (header ?? '').split(',').map((it) => it.trim().split(':')).filter((it) => it[1]);

/** Where keys come from; of other providers only the variable is known. */
const KEYS = {
  Groq: { variable: 'GROQ_API_KEY', address: 'https://console.groq.com/keys' },
  Gemini: { variable: 'GOOGLE_API_KEY', address: 'https://aistudio.google.com/apikey' },
  Cerebras: { variable: 'CEREBRAS_API_KEY', address: 'https://cloud.cerebras.ai', isTrial: true },
};

/** The variable of a provider's key, and where to get one. */
export const keyOf = (provider) =>
  KEYS[provider] ?? { variable: `${provider.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}_API_KEY` };

/** The providers that a newcomer is shown. */
export const FIRST_PROVIDERS = Object.keys(KEYS);
