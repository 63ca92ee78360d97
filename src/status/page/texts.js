// Every sentence of the page, in English and in Spanish, and the choice between them.

const LANGUAGES = ['en', 'es'];
const TEXTS = {
  tab_playground: ['Playground', 'Probar'],
  tab_providers: ['Providers', 'Proveedores'],
  tab_connect: ['Connect', 'Conectar'],
  language: ['Language', 'Idioma'],
  conversation: ['Conversation', 'Conversación'],
  question: ['Your message', 'Tu mensaje'],
  question_hint: ['Ask anything…', 'Pregunta lo que quieras…'],
  who: ['Who answers', 'Quién responde'],
  keys_hint: ['Enter sends, Shift+Enter starts a new line', 'Intro envía, Mayús+Intro hace otra línea'],
  send: ['Send', 'Enviar'],
  stop: ['Stop', 'Detener'],
  clear: ['Clear', 'Vaciar'],
  copy: ['Copy', 'Copiar'],
  copied: ['Copied', 'Copiado'],
  retry: ['Retry', 'Reintentar'],
  later: ['Not now', 'Ahora no'],
  loading: ['Loading…', 'Cargando…'],
  auto: ['Automatic: whoever is free', 'Automático: el que esté libre'],
  best_of: ['{provider}: its best model', '{provider}: su mejor modelo'],
  welcome: ['Ask something. A free provider answers.', 'Pregunta algo. Un proveedor gratuito responde.'],
  welcome_more: [
    'The proxy takes turns among your free tiers. If one is at its limit or fails, the next one answers.',
    'El proxy se turna entre tus planes gratuitos. Si uno llega a su límite o falla, responde el siguiente.',
  ],
  try_1: ['Explain recursion with an example from the kitchen', 'Explica la recursividad con un ejemplo de cocina'],
  try_2: ['Write a Python function that finds primes', 'Escribe una función en Python que encuentre primos'],
  try_3: ['Three ideas for a weekend project', 'Tres ideas para un proyecto de fin de semana'],
  first_title: ['First steps: one free key is enough', 'Primeros pasos: basta con una clave gratuita'],
  first_1: ['Get a key. Groq’s is free and needs no credit card.', 'Consigue una clave. La de Groq es gratis y no pide tarjeta.'],
  first_2: ['Write it into a file named .env beside the program:', 'Escríbela en un archivo llamado .env junto al programa:'],
  first_3: ['Restart the proxy. This page notices it by itself.', 'Reinicia el proxy. Esta página se da cuenta sola.'],
  first_demo: ['Only want to look? This simulates three providers, without a key or a network:', '¿Solo quieres mirar? Esto simula tres proveedores, sin clave y sin red:'],
  get_key: ['Get a key from {provider}', 'Consigue una clave de {provider}'],
  trial_only: ['trial credit only', 'solo crédito de prueba'],
  your_key: ['your-key', 'tu-clave'],
  pulse_ready: ['{ready} of {all} ready', '{ready} de {all} listos'],
  pulse_away: ['Proxy unreachable', 'El proxy no responde'],
  pulse_locked: ['Key needed', 'Hace falta una clave'],
  pulse_none: ['No key set up', 'Sin claves'],
  away: ['The proxy does not answer. Is it running? This page keeps trying.', 'El proxy no responde. ¿Está en marcha? Esta página lo sigue intentando.'],
  enter_key: ['Enter the key', 'Escribir la clave'],
  key_title: ['This proxy wants a key', 'Este proxy pide una clave'],
  key_why: ['Enter one of the keys that were set in PROXY_API_KEY.', 'Escribe una de las claves definidas en PROXY_API_KEY.'],
  key_label: ['Client key', 'Clave de cliente'],
  key_where: ['It stays in this tab and is forgotten when you close it.', 'Se queda en esta pestaña y se olvida al cerrarla.'],
  key_use: ['Use this key', 'Usar esta clave'],
  key_wrong: ['That key is wrong: the proxy refused it.', 'Esa clave no es correcta: el proxy la rechazó.'],
  asking: ['Waiting for the first word…', 'Esperando la primera palabra…'],
  waiting: ['Waiting for a free provider…', 'Esperando a que un proveedor quede libre…'],
  seconds: ['{count} s'],
  milliseconds: ['{count} ms'],
  minutes: ['{minutes} min {seconds} s'],
  hours: ['{hours} h {minutes} min'],
  answering: ['{provider} is answering.', '{provider} está respondiendo.'],
  answered: ['{provider} answered:', '{provider} respondió:'],
  empty: ['(The answer is empty.)', '(La respuesta está vacía.)'],
  first_word: ['first word after {time}', 'primera palabra en {time}'],
  speed: ['{count} tokens/s'],
  speed_guess: ['about {count} tokens/s (estimated)', 'unos {count} tokens/s (estimado)'],
  tokens: ['{count} tokens'],
  cut_to: ['The free plan has room for {count} tokens, so no more were asked for.', 'En el plan gratuito caben {count} tokens, así que no se pidieron más.'],
  note_length: ['The answer reached its longest length. Ask the model to continue.', 'La respuesta llegó a su longitud máxima. Pídele al modelo que continúe.'],
  note_content_filter: ['The provider’s safety filter stopped this answer.', 'El filtro de seguridad del proveedor detuvo esta respuesta.'],
  note_stopped: ['You stopped this answer.', 'Detuviste esta respuesta.'],
  note_broken: ['The connection ended early. What you see is only a part.', 'La conexión terminó antes de tiempo. Lo que ves es solo una parte.'],
  note_late: ['{provider} failed in the middle of its answer. What you see is only a part.', '{provider} falló a mitad de su respuesta. Lo que ves es solo una parte.'],
  note_long: ['The answer was too long to show, so it was stopped here.', 'La respuesta era demasiado larga para mostrarla y se detuvo aquí.'],
  passed_over: ['{provider} was passed over: it is resting or at its limit.', 'A {provider} no se le preguntó: está en pausa o en su límite.'],
  provider_is: ['{provider} {reason}.'],
  fell_back: ['{provider} answered instead.', 'En su lugar respondió {provider}.'],
  reason_rate_limited: ['is at its limit', 'está en su límite'],
  reason_quota_exhausted: ['has no quota left for today', 'ya no tiene cuota para hoy'],
  reason_cooling_down: ['is resting', 'está en pausa'],
  reason_bad_key: ['refuses the key', 'rechaza la clave'],
  reason_no_credit: ['says the account has no credit', 'dice que la cuenta no tiene saldo'],
  reason_not_in_plan: ['does not include this model in the plan', 'no incluye este modelo en el plan'],
  reason_model_gone: ['no longer has this model', 'ya no tiene este modelo'],
  reason_too_large: ['finds the request too large for the plan', 'considera la petición demasiado grande para el plan'],
  reason_context_too_long: ['finds the conversation too long', 'considera la conversación demasiado larga'],
  reason_bad_request: ['refuses the request', 'rechaza la petición'],
  reason_overloaded: ['is overloaded', 'está saturado'],
  reason_timeout: ['did not answer in time', 'no respondió a tiempo'],
  reason_connect_failed: ['could not be reached', 'no respondió a la conexión'],
  reason_broken_stream: ['broke off in the middle', 'se cortó a la mitad'],
  reason_empty_answer: ['gave an empty answer', 'dio una respuesta vacía'],
  reason_upstream_error: ['failed', 'falló'],
  error_400: ['The request was refused', 'La petición fue rechazada'],
  error_400_do: ['Change the message and send it again.', 'Cambia el mensaje y envíalo otra vez.'],
  error_401: ['The key is missing or wrong', 'Falta la clave o no es correcta'],
  error_403: ['This page may not call the proxy', 'Esta página no puede llamar al proxy'],
  error_403_do: ['Open it as http://localhost, or set PROXY_API_KEY on the server.', 'Ábrela como http://localhost o define PROXY_API_KEY en el servidor.'],
  error_413: ['The conversation is too large', 'La conversación es demasiado grande'],
  error_413_do: ['Clear it, or send a shorter message.', 'Vacíala o envía un mensaje más corto.'],
  error_429: ['Every provider is at its limit', 'Todos los proveedores están en su límite'],
  error_429_do: ['Free limits come back by themselves. Retry then, or add another provider’s key.', 'Los límites gratuitos se recuperan solos. Reintenta entonces o añade una clave de otro proveedor.'],
  free_in: ['Somebody is free again in {time}.', 'Habrá alguien libre en {time}.'],
  free_now: ['Somebody should be free again now.', 'Ya debería haber alguien libre.'],
  error_502: ['No provider could answer', 'Ningún proveedor pudo responder'],
  error_503: ['The proxy cannot take this request now', 'El proxy no puede atender esta petición ahora'],
  error_504: ['No provider answered in time', 'Ningún proveedor respondió a tiempo'],
  error_network: ['The proxy cannot be reached', 'No se puede contactar con el proxy'],
  error_network_do: ['Check that it is running at {origin}, then retry.', 'Comprueba que está en marcha en {origin} y reintenta.'],
  error_other: ['Something went wrong ({status})', 'Algo salió mal ({status})'],
  error_other_do: ['Retry in a moment. The tab Providers and the proxy’s log say more.', 'Reintenta en un momento. La pestaña Proveedores y el registro del proxy dicen más.'],
  details: ['What the proxy said', 'Lo que dijo el proxy'],
  request_id: ['Request {id}', 'Petición {id}'],
  providers_more: ['Live, every two seconds. No provider is called for it.', 'En vivo, cada dos segundos. No se llama a ningún proveedor para ello.'],
  shared_by: ['Instances that share the limits: {count}, as of {time} ago', 'Instancias que comparten los límites: {count}, hace {time}'],
  alone: ['STATE_URL is of no use now: this instance goes on alone', 'STATE_URL no sirve ahora: esta instancia sigue sola'],
  waiting_now: ['Waiting requests', 'Peticiones en espera'],
  up_for: ['Running for', 'En marcha desde hace'],
  state_ready: ['Ready', 'Disponible'],
  state_cooling_down: ['Resting', 'En pausa'],
  state_exhausted: ['Used up', 'Agotado'],
  state_disabled: ['Needs you', 'Te necesita'],
  state_no_key: ['No key', 'Sin clave'],
  act_bad_key: ['Replace the key.', 'Cambia la clave.'],
  act_no_credit: ['Add credit, or use a free model.', 'Añade saldo o usa un modelo gratuito.'],
  act_model_gone: ['Choose another model.', 'Elige otro modelo.'],
  keys_count: ['{count} keys', '{count} claves'],
  unit_requests: ['Requests', 'Peticiones'],
  unit_tokens: ['Tokens'],
  unit_neurons: ['Neurons', 'Neuronas'],
  window_second: ['a second', 'por segundo'],
  window_minute: ['a minute', 'por minuto'],
  window_hour: ['an hour', 'por hora'],
  window_day: ['a day', 'al día'],
  window_month: ['a month', 'al mes'],
  window_at_once: ['at once', 'a la vez'],
  limit_left: ['{left} of {limit} left', 'quedan {left} de {limit}'],
  limit_most: ['{limit} at most', '{limit} como máximo'],
  limit_open: ['{used} used, limit unknown', '{used} usados, límite desconocido'],
  resets: ['more in {time}', 'más en {time}'],
  source_header: ['from the provider’s headers', 'según las cabeceras del proveedor'],
  source_error_body: ['from a refusal', 'según un rechazo'],
  source_config: ['from your settings', 'según tu configuración'],
  source_observed: ['observed', 'observado'],
  source_default: ['documented (a guess)', 'documentado (una suposición)'],
  outcome_ok: ['answered', 'respondidas'],
  outcome_failed: ['because it {reason}', 'porque {reason}'],
  outcome_cancelled: ['client left', 'el cliente se fue'],
  no_calls: ['Not called yet.', 'Aún no se le ha llamado.'],
  outcomes: ['Answers and failures', 'Respuestas y fallos'],
  first_token: ['First word', 'Primera palabra'],
  typical: ['typical {p50}, slowest {p99}', 'normal {p50}, la más lenta {p99}'],
  spark: ['Last minutes: now {now}, lowest {low}, highest {high}', 'Últimos minutos: ahora {now}, mínimo {low}, máximo {high}'],
  may_log_prompts: ['May log prompts.', 'Puede registrar los prompts.'],
  first_keyless: ['Without a key (may log prompts), or on your machine:', 'Sin clave (pueden registrar prompts), o en tu máquina:'],
  set_variable: ['Set {variable} and restart the proxy.', 'Define {variable} y reinicia el proxy.'],
  connect_title: ['Connect your tools', 'Conecta tus herramientas'],
  connect_more: ['The proxy speaks OpenAI’s API, so most tools can use it. They need three things:', 'El proxy habla la API de OpenAI, así que casi todas las herramientas pueden usarlo. Necesitan tres datos:'],
  base_url: ['Base URL', 'URL base'],
  api_key: ['API key', 'Clave de API'],
  model: ['Model', 'Modelo'],
  key_note_open: ['No key is needed here. Tools that insist on one take any word.', 'Aquí no hace falta clave. Si una herramienta exige una, vale cualquier palabra.'],
  key_note_locked: ['Replace your-client-key by one of the keys in PROXY_API_KEY.', 'Cambia your-client-key por una de las claves de PROXY_API_KEY.'],
  lines_title: ['Lines to copy', 'Líneas para copiar'],
  apps_title: ['Settings of popular programs', 'Ajustes de programas conocidos'],
  apps_more: [
    'From their documentation; we have not tried them. In a container, localhost is host.docker.internal.',
    'Según su documentación; no los hemos probado. En un contenedor, localhost es host.docker.internal.',
  ],
  tried: ['tried', 'probado'],
  tried_more: ['Our own tests run these lines.', 'Nuestras pruebas ejecutan estas líneas.'],
};

const KEPT = 'language';
const listeners = [];
let language = LANGUAGES.find((it) => it === kept()) ?? preferred();

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** The first of the browser's languages that there is. */
function preferred() {
  const wanted = navigator.languages.map((it) => it.toLowerCase().split('-')[0]);
  return wanted.find((it) => LANGUAGES.includes(it)) ?? LANGUAGES[0];
}

/** The text of this name, with `values` where it has their names in braces. */
export function t(name, values = {}) {
  const [text, translated = text] = TEXTS[name];
  return (language === LANGUAGES[0] ? text : translated).replace(/\{(\w+)\}/g, (_, it) => values[it]);
}

/** Whether there is a text of this name. */
export const hasText = (name) => Object.hasOwn(TEXTS, name);

/** A number as people write it here. */
export const number = (value) => new Intl.NumberFormat(language).format(value);

/** Does this now, and again for each change of the language. */
export function inEachLanguage(listener) {
  listeners.push(listener);
  listener();
}

/** Shows the page in this language from now on. */
export function speak(wanted) {
  language = wanted;
  try {
    localStorage.setItem(KEPT, wanted);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
  listeners.forEach((listener) => listener());
}

/** Puts the texts into the fixed parts of the page. */
export function translate() {
  document.documentElement.lang = language;
  const each = (name, change) => document.querySelectorAll(`[data-${name}]`).forEach((it) => change(it, it.dataset[name]));
  each('text', (it, name) => (it.textContent = t(name)));
  each('label', (it, name) => it.setAttribute('aria-label', t(name)));
  each('hint', (it, name) => (it.placeholder = t(name)));
  each('language', (it, name) => it.setAttribute('aria-pressed', name === language));
}

/** Tells for a moment on a button that it was done. */
export function flash(target, name) {
  target.dataset.flash = name;
  target.textContent = t(name);
  setTimeout(() => {
    delete target.dataset.flash;
    target.textContent = t(target.dataset.text);
  }, 1500);
}
