//! Which of a provider's models are used: the ones the user wants, the built-in ones, and those that the provider
//! lists.
//!
//! Lists go in, a [`Stock`] comes out, and `quota` picks from it. Models have ranks: the wanted ones, the built-in
//! ones, and the best guesses from the lists. A rank is used when no model of an earlier rank is left, whether a list
//! or an answer has said so. So a model that comes back takes over again by itself.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::stock::Stock;
use crate::providers::{Guesses, Profile, Provider};

/// How many guesses from a list are used at once: a wrong guess costs a call, and the first few are the good ones.
const MAX_GUESSES: usize = 4;

/// How many guesses are made in total: providers retire a model every few weeks, not every few hours.
const MAX_GUESSES_EVER: usize = 64;

/// How words begin in the ids of models that are not for general chat: they hear, speak, draw, film, act, search, judge
/// or compare texts.
///
/// Sources: the lists of Groq and Google as documented in November 2026.
const NO_CHAT: &[&str] = &[
    "aqa",
    "asr",
    "audio",
    "classif",
    "compound",
    "computer-use",
    "decider",
    "diffusion",
    "deep-research",
    "embed",
    "guard",
    "image",
    "lite-judge",
    "live",
    "lyria",
    "moderation",
    "nano-banana",
    "ocr",
    "orpheus",
    "playai",
    "rerank",
    "robotics",
    "safeguard",
    "safety",
    "speech",
    "transcri",
    "tts",
    "veo",
    "whisper",
];

/// The same for models that may be gone tomorrow, or become another model under the same name.
const UNSTABLE: &[&str] = &["alpha", "beta", "exp", "latest", "nightly", "preview", "test"];

/// What is known of a provider's models.
///
/// A model's number is its place in [`ids`](Self::ids). It never changes, so an attempt in progress keeps its model
/// whatever the lists say meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    provider: Provider,
    /// The wanted models, then the other built-in ones, then the guesses made so far.
    ids: Vec<Arc<str>>,
    wanted: usize,
    built_in: usize,
    /// For each account, the last list that had a usable model.
    lists: Vec<Option<Arc<[String]>>>,
}

impl Catalogue {
    /// A catalogue of the `wanted` models, best first, of a provider with this many accounts. It has no lists yet.
    pub(crate) fn new(provider: Provider, wanted: &[String], accounts: usize) -> Self {
        let mut known = HashSet::new();
        let mut ids: Vec<Arc<str>> =
            wanted.iter().filter(|id| known.insert(id.as_str())).map(|id| id.as_str().into()).collect();
        let wanted = ids.len();
        ids.extend(provider.default_models().filter(|id| known.insert(id)).map(Arc::from));
        let built_in = ids.len() - wanted;
        Self { provider, ids, wanted, built_in, lists: vec![None; accounts] }
    }

    /// The ids of all models that have a number, in the order of their numbers.
    pub(crate) fn ids(&self) -> &[Arc<str>] {
        &self.ids
    }

    /// The number of a model, if it has one.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| **known == *id)
    }

    /// How many models the user wants; they have the first numbers.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Records the list of one account. Returns false and changes nothing if the list has no usable model: such a list
    /// is taken for a mistake.
    pub(crate) fn learn(&mut self, account: usize, list: Vec<String>) -> bool {
        let is_of_use = list.iter().any(|id| self.is_known(id) || can_chat(id));
        match self.lists.get_mut(account) {
            Some(known) if is_of_use => *known = Some(list.into()),
            _ => return false,
        }
        true
    }

    /// The models to pick from, given all lists. New guesses get a number.
    pub(crate) fn stock(&mut self) -> Stock {
        let known = self.wanted + self.built_in;
        let guesses: Vec<String> = self.guesses().into_iter().map(str::to_owned).collect();
        let guesses = guesses.iter().filter_map(|id| self.number(id)).collect();
        let ranks = vec![(0..self.wanted).collect(), (self.wanted..known).collect(), guesses];
        let has = |list: &[String], number: usize| {
            self.ids.get(number).is_some_and(|id| list.iter().any(|listed| **listed == **id))
        };
        let listed = self.lists.iter().map(|list| {
            let list = list.as_ref()?;
            let its: HashSet<usize> =
                ranks.iter().flatten().copied().filter(|&number| has(list, number)).collect();
            // The list may have only guesses that rank below others: that is like having no list.
            (!its.is_empty()).then_some(its)
        });
        Stock { listed: listed.collect(), ranks }
    }

    /// The number of a model, a new one if it has none; `None` if too many guesses have been made.
    fn number(&mut self, id: &str) -> Option<usize> {
        if let Some(number) = self.find(id) {
            return Some(number);
        }
        if self.ids.len() >= self.wanted + self.built_in + MAX_GUESSES_EVER {
            return None;
        }
        self.ids.push(id.into());
        Some(self.ids.len() - 1)
    }

    /// Whether the model is wanted or built in.
    fn is_known(&self, id: &str) -> bool {
        self.find(id).is_some_and(|number| number < self.wanted + self.built_in)
    }

    /// The best of the other models on the lists, best first: preferred families before all others, stable names before
    /// previews, the more preferred family before the less preferred, newer versions before older ones.
    fn guesses(&self) -> Vec<&str> {
        let listed = self.lists.iter().flatten().flat_map(|list| list.iter()).map(String::as_str);
        let Profile { preferred_families: families, guesses, .. } = self.provider.profile();
        let family =
            |id: &str| families.iter().position(|family| has_word(id, family)).unwrap_or(families.len());
        let is_guessable = |id: &str| match guesses {
            Guesses::Any => true,
            Guesses::Only { with, without } => {
                let has_one_of = |words: &[&str]| words.iter().any(|word| has_word(id, word));
                has_one_of(with) && !has_one_of(without)
            }
        };
        let mut guesses: Vec<&str> =
            listed.filter(|id| !self.is_known(id) && can_chat(id) && is_guessable(id)).collect();
        guesses.sort_by_cached_key(|id| {
            let is_unstable = UNSTABLE.iter().any(|word| has_word(id, word));
            (family(id) == families.len(), is_unstable, family(id), Reverse(version(id)), id.to_owned())
        });
        guesses.dedup();
        guesses.truncate(MAX_GUESSES);
        guesses
    }
}

/// Whether `id` looks like the id of a chat model. Only its last part counts: an id may be a path, whose folders say
/// nothing of the model.
fn can_chat(id: &str) -> bool {
    let name = id.rsplit(['/', '\\']).next().unwrap_or(id);
    !NO_CHAT.iter().any(|word| has_word(name, word))
}

/// Whether a word of `id` begins with `beginning`.
fn has_word(id: &str, beginning: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let mut places = id.match_indices(beginning);
    places.any(|(at, _)| !id.get(..at).unwrap_or_default().ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The numbers in `id`, for comparing.
fn version(id: &str) -> Vec<u64> {
    let numbers = id.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    numbers.map(|digits| digits.parse().unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_chat_is_never_guessed() {
        let listed = "whisper-large-v3-turbo playai-tts canopylabs/orpheus-v1-english meta-llama/llama-guard-4-12b \
                      meta-llama/llama-prompt-guard-2-22m openai/gpt-oss-safeguard-20b groq/compound groq/compound-mini \
                      gemini-embedding-001 text-embedding-004 imagen-4.0-generate-001 veo-3.1-generate-preview aqa \
                      gemini-3.1-flash-image-preview gemini-3.1-flash-tts-preview nano-banana-pro-preview \
                      gemini-2.5-flash-native-audio-preview-12-2025 gemini-3.1-flash-live-preview lyria-realtime-exp \
                      gemini-robotics-er-1.5-preview gemini-2.5-computer-use-preview-10-2025 \
                      deep-research-pro-preview-12-2025 mistral-ocr-4 omni-moderation-latest";
        for id in listed.split_whitespace() {
            assert!(!can_chat(id), "{id}");
        }
        for id in "gemini-3.8-flash openai/gpt-oss-20b olive-2 liveness thesaurus-1 deepseek-r2 safeguarded"
            .split_whitespace()
        {
            assert_eq!(can_chat(id), !id.starts_with("live") && !id.starts_with("safeguard"), "{id}");
        }
        assert!(can_chat("/home/ana/images/qwen.gguf") && can_chat(r"C:\audio\qwen.gguf"));
        assert!(!can_chat("/home/ana/qwen/whisper.gguf") && !can_chat(r"C:\qwen\whisper.gguf"));
    }
}
