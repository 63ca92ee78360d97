//! Which of a provider's models are used: those that are wanted, those built in, and what the provider lists.
//!
//! Lists go in, a [`Stock`] comes out, and [`limits`](crate::limits) picks from it. Models have ranks: the wanted ones,
//! the built-in ones, and the best guesses from the lists. A rank is used when nothing of the ranks before it is left,
//! whether a list or an answer has said so; so one that comes back takes over again by itself.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::OnceLock;

use crate::providers::Provider;

/// How many guesses from a list are used at once: a wrong one costs a call, and the first few are the good ones.
const MAX_GUESSES: usize = 4;

/// How many guesses are ever made: providers retire a model every few weeks, not every few hours.
const MAX_GUESSES_EVER: usize = 64;

/// What stands at the beginning of a word in the ids of models that do not chat, or not with everybody: they hear,
/// speak, draw, film, act, search, judge or compare texts.
///
/// Sources: the lists of Groq and Google as documented in November 2026.
const NO_CHAT: &[&str] = &[
    "aqa",
    "asr",
    "audio",
    "compound",
    "computer-use",
    "deep-research",
    "embed",
    "guard",
    "image",
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
    "speech",
    "transcri",
    "tts",
    "veo",
    "whisper",
];

/// The same in the ids of models that may be gone tomorrow, or be another model under the same name.
const UNSTABLE: &[&str] = &["alpha", "beta", "exp", "latest", "nightly", "preview", "test"];

/// A provider's models by their numbers. A number means the same model as long as the process lives, so whoever is
/// under way with one keeps it.
#[derive(Debug)]
pub struct Names(Box<[OnceLock<String>]>);

impl Names {
    /// The models of `catalogue` have the first numbers, the wanted ones from 0.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut known: Vec<&str> = catalogue.wanted.iter().map(String::as_str).collect();
        known.extend(&catalogue.built_in);
        let names = Self((0..known.len() + MAX_GUESSES_EVER).map(|_| OnceLock::new()).collect());
        for id in known {
            names.number(id);
        }
        names
    }

    /// The model of this number.
    pub fn get(&self, number: usize) -> Option<&str> {
        self.0.get(number)?.get().map(String::as_str)
    }

    /// The number of a model, if it has one.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|name| name.get().is_some_and(|known| known == id))
    }

    /// The number of a model, a new one if it has none; none if there is no room for it.
    fn number(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|name| name.get_or_init(|| id.to_owned()) == id)
    }
}

/// Which models of a provider may be used, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Those of the first rank are used, in their order; those of a later one when all before them are gone.
    pub ranks: Vec<Vec<usize>>,
    /// For each key, which of them its list has; none if there is no list.
    pub listed: Vec<Option<HashSet<usize>>>,
}

impl Stock {
    /// Models from 0, all of one rank, of which nothing is known.
    pub fn unlisted(keys: usize, models: usize) -> Self {
        Self { ranks: vec![(0..models).collect()], listed: vec![None; keys] }
    }

    /// Whether the key's list has this model; `None` if there is no list.
    pub fn lists(&self, key: usize, model: usize) -> Option<bool> {
        self.listed.get(key)?.as_ref().map(|listed| listed.contains(&model))
    }
}

/// What is known of a provider's models.
#[derive(Debug)]
pub struct Catalogue {
    provider: Provider,
    wanted: Vec<String>,
    /// Those that are not wanted anyway.
    built_in: Vec<&'static str>,
    /// For each key, the last list of any use.
    lists: Vec<Option<Vec<String>>>,
}

impl Catalogue {
    /// `wanted` models, best first, of a provider with so many keys; no lists yet.
    pub fn new(provider: Provider, wanted: &[String], keys: usize) -> Self {
        let mut known = HashSet::new();
        let wanted = wanted.iter().filter(|id| known.insert(id.as_str())).cloned().collect();
        let built_in = provider.default_models().filter(|id| !known.contains(id)).collect();
        Self { provider, wanted, built_in, lists: vec![None; keys] }
    }

    /// Whether the user wants the model of this number.
    pub fn is_wanted(&self, number: usize) -> bool {
        number < self.wanted.len()
    }

    /// Takes in the list of one key. One that has nothing to use in it is believed to be a mistake, and changes nothing:
    /// false.
    pub fn learn(&mut self, key: usize, list: Vec<String>) -> bool {
        let is_of_use = list.iter().any(|id| self.is_known(id) || can_chat(id));
        match self.lists.get_mut(key) {
            Some(known) if is_of_use => *known = Some(list),
            _ => return false,
        }
        true
    }

    /// What follows from all this; guesses that are new get a number in `names`.
    pub fn stock(&self, names: &Names) -> Stock {
        let numbers =
            |ids: &mut dyn Iterator<Item = &str>| ids.filter_map(|id| names.number(id)).collect::<Vec<_>>();
        let ranks = vec![
            numbers(&mut self.wanted.iter().map(String::as_str)),
            numbers(&mut self.built_in.iter().copied()),
            numbers(&mut self.guesses().into_iter()),
        ];
        let has = |list: &Vec<String>, number: usize| {
            names.get(number).is_some_and(|id| list.iter().any(|listed| listed == id))
        };
        let listed = self.lists.iter().map(|list| {
            let list = list.as_ref()?;
            let its: HashSet<usize> =
                ranks.iter().flatten().copied().filter(|&number| has(list, number)).collect();
            // All it has may be guesses that others are preferred to: as good as no list.
            (!its.is_empty()).then_some(its)
        });
        Stock { listed: listed.collect(), ranks }
    }

    /// Whether it is wanted or built in.
    fn is_known(&self, id: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted == id) || self.built_in.contains(&id)
    }

    /// The best of what the lists have besides, best first: of the families that are free and quick, stable names
    /// before previews, the provider's preferred family before the others, newer versions before older ones.
    fn guesses(&self) -> Vec<&str> {
        let listed = self.lists.iter().flatten().flatten().map(String::as_str);
        let mut guesses: Vec<&str> = listed.filter(|id| !self.is_known(id) && can_chat(id)).collect();
        let families = self.provider.profile().preferred_families;
        let family =
            |id: &str| families.iter().position(|family| has_word(id, family)).unwrap_or(families.len());
        guesses.sort_by_cached_key(|id| {
            let is_unstable = UNSTABLE.iter().any(|word| has_word(id, word));
            (family(id) == families.len(), is_unstable, family(id), Reverse(version(id)), id.to_owned())
        });
        guesses.dedup();
        guesses.truncate(MAX_GUESSES);
        guesses
    }
}

/// Whether `id` looks like that of a model that one can talk with.
fn can_chat(id: &str) -> bool {
    !NO_CHAT.iter().any(|word| has_word(id, word))
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
    use proptest::prelude::*;

    use crate::quota::{Limits, Offer, Turn};

    fn ids(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What is used of a provider's models, by name, once the lists of its keys have been read in turn.
    struct Shop {
        catalogue: Catalogue,
        names: Names,
        limits: Limits,
    }

    impl Shop {
        fn new(provider: Provider, wanted: &str, keys: usize) -> Self {
            let catalogue = Catalogue::new(provider, &ids(wanted), keys);
            let names = Names::of(&catalogue);
            let limits = Limits::new(vec![Offer { provider, keys, models: 0 }], fastrand::Rng::with_seed(7));
            let shop = Self { catalogue, names, limits };
            shop.restock();
            shop
        }

        fn restock(&self) {
            let stock = self.catalogue.stock(&self.names);
            self.limits.restock(self.catalogue.provider, stock, jiff::Timestamp::UNIX_EPOCH);
        }

        fn learn(&mut self, key: usize, list: &str) -> &mut Self {
            self.catalogue.learn(key, ids(list));
            self.restock();
            self
        }

        fn used(&self) -> Vec<&str> {
            let numbers = self.limits.in_use(self.catalogue.provider, jiff::Timestamp::UNIX_EPOCH);
            numbers.into_iter().map(|number| self.names.get(number).expect("a model")).collect()
        }

        /// The first model for this key.
        fn first(&self, key: usize) -> &str {
            let epoch = jiff::Timestamp::UNIX_EPOCH;
            let pick = self.limits.pick(|candidate| candidate.key == key, Turn::Untouched, epoch);
            self.names.get(pick.admission.expect("somebody can serve").candidate.model).expect("a model")
        }
    }

    #[test]
    fn lists_decide_what_is_used() {
        let cases = [
            ("no list", "openai/gpt-oss-120b mine", None, "openai/gpt-oss-120b mine"),
            ("all are there", "b a", Some("a b c"), "b a"),
            ("some are gone", "mixtral-8x7b-32768 a b", Some("b a"), "a b"),
            (
                "none is left: the built-in ones in their order",
                "mixtral-8x7b-32768",
                Some("qwen/qwen3.8-27b other openai/gpt-oss-20b"),
                "openai/gpt-oss-20b qwen/qwen3.8-27b",
            ),
            (
                "none of these either: the best of the rest",
                "x",
                Some("whisper-9 qwen/qwen9-1b z"),
                "qwen/qwen9-1b z",
            ),
            ("an empty list is no list", "x", Some(""), "x"),
            ("nor is one without anything to chat with", "x", Some("whisper-9 llama-guard-9"), "x"),
            ("what is wanted may be anything", "whisper-9", Some("whisper-9 a"), "whisper-9"),
        ];
        for (case, wanted, list, used) in cases {
            let mut shop = Shop::new(Provider::GROQ, wanted, 1);
            if let Some(list) = list {
                shop.learn(0, list);
            }
            assert_eq!(shop.used(), ids(used), "{case}");
        }
    }

    #[test]
    fn guesses_are_free_stable_and_new() {
        let cases = [
            (
                Provider::GEMINI,
                "gemini-3.9-pro gemini-flash-latest gemini-4-flash-lite-preview-09-2026 gemini-3.9-flash \
                 gemini-3.10-flash-lite gemini-3.9-flash-lite gemma-5-9b-it",
                "gemini-3.10-flash-lite gemini-3.9-flash-lite gemini-3.9-flash gemma-5-9b-it",
            ),
            (Provider::GEMINI, "gemini-9-pro gemini-flash-latest", "gemini-flash-latest gemini-9-pro"),
            (Provider::GEMINI, "gemini-9-pro", "gemini-9-pro"),
            (
                Provider::GROQ,
                "allam-2-7b llama-5-8b openai/gpt-oss-2",
                "openai/gpt-oss-2 llama-5-8b allam-2-7b",
            ),
            (Provider::CEREBRAS, "zai-glm-5 qwen-4-27b", "qwen-4-27b zai-glm-5"),
        ];
        for (provider, list, used) in cases {
            let mut shop = Shop::new(provider, "gone", 1);
            assert_eq!(shop.learn(0, list).used(), ids(used), "{list}");
        }
    }

    #[test]
    fn what_does_not_chat_is_never_guessed() {
        let listed = "whisper-large-v3-turbo playai-tts canopylabs/orpheus-v1-english meta-llama/llama-guard-4-12b \
                      meta-llama/llama-prompt-guard-2-22m openai/gpt-oss-safeguard-20b groq/compound groq/compound-mini \
                      gemini-embedding-001 text-embedding-004 imagen-4.0-generate-001 veo-3.1-generate-preview aqa \
                      gemini-3.1-flash-image-preview gemini-3.1-flash-tts-preview nano-banana-pro-preview \
                      gemini-2.5-flash-native-audio-preview-12-2025 gemini-3.1-flash-live-preview lyria-realtime-exp \
                      gemini-robotics-er-1.5-preview gemini-2.5-computer-use-preview-10-2025 \
                      deep-research-pro-preview-12-2025 mistral-ocr-4 omni-moderation-latest";
        for id in ids(listed) {
            assert!(!can_chat(&id), "{id}");
        }
        for id in
            ids("gemini-3.8-flash openai/gpt-oss-20b olive-2 liveness thesaurus-1 deepseek-r2 safeguarded")
        {
            assert_eq!(can_chat(&id), !id.starts_with("live") && !id.starts_with("safeguard"), "{id}");
        }
    }

    #[test]
    fn each_key_goes_by_its_own_list() {
        let mut shop = Shop::new(Provider::GROQ, "a b", 3);
        shop.learn(0, "b openai/gpt-oss-20b").learn(1, "a b");
        assert_eq!(shop.used(), ["a", "b"]);
        assert_eq!([0, 1, 2].map(|key| shop.first(key)), ["b", "a", "a"]);
        shop.learn(0, "openai/gpt-oss-20b").learn(1, "openai/gpt-oss-20b b");
        assert_eq!([0, 1, 2].map(|key| shop.first(key)), ["openai/gpt-oss-20b", "b", "a"]);
    }

    #[test]
    fn what_comes_back_takes_over_again() {
        let mut shop = Shop::new(Provider::CEREBRAS, "a", 1);
        assert_eq!(shop.learn(0, "new gpt-oss-120b").used(), ["gpt-oss-120b"]);
        assert_eq!(shop.learn(0, "new").used(), ["new"]);
        assert_eq!(shop.learn(0, "").used(), ["new"]);
        assert_eq!(shop.learn(0, "gpt-oss-120b a").used(), ["a"]);
    }

    proptest! {
        /// Whatever lists come, for whichever keys: every model that is used exists, and every key keeps one to serve
        /// with.
        #[test]
        fn nobody_is_ever_left_without_a_model(
            lists in prop::collection::vec((0usize..3, prop::collection::vec("[a-c]|whisper|gpt-oss-120b|x[0-9]{1,2}", 0..8)), 1..60)
        ) {
            let mut shop = Shop::new(Provider::CEREBRAS, "a b", 3);
            for (key, list) in lists {
                shop.learn(key, &list.join(" "));
                prop_assert!(!shop.used().is_empty());
                prop_assert!((0..3).all(|key| !shop.first(key).is_empty()));
            }
        }
    }
}
