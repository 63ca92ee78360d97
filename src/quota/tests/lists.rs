//! Which models are in use, given the lists of the accounts.

use super::*;

/// Which of a provider's models are in use, by id, after the lists of its accounts have been read in turn.
struct Shop {
    quota: Arc<Quota>,
}

impl Shop {
    fn new(provider: Provider, wanted: &str, accounts: usize) -> Self {
        let offer =
            Offer { is_second_tier: false, provider, accounts, models: ids(wanted), limits: Vec::new() };
        let clock: Clock = Arc::new(|| Moment::at(Timestamp::UNIX_EPOCH));
        Self { quota: Arc::new(Quota::new(vec![offer], clock, fastrand::Rng::with_seed(7))) }
    }

    fn learn(&mut self, account: usize, list: &str) -> &mut Self {
        let mut lists = vec![None; account];
        lists.push(Some(ids(list)));
        self.quota.learn_lists(0, lists);
        self
    }

    fn used(&self) -> Vec<String> {
        self.quota.in_use(0).iter().map(|id| id.to_string()).collect()
    }

    /// The first model for this account.
    fn first(&self, account: usize) -> String {
        let others = (0..3).filter(|other| *other != account);
        let others: Vec<_> = others.map(|other| RuledOut::Place(Place::Account(0, other))).collect();
        let target = Target::new(vec![Wanted { provider: 0, model: None }], true);
        let pick = self.quota.pick(&Criteria {
            target: &target,
            needs: &Needs::default(),
            ruled_out: &others,
            demand: Demand::default(),
            can_wait: false,
        });
        pick.reservation.expect("somebody can serve").model().to_string()
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
        // The newest ones have prices, and nobody has seen a free quota of theirs.
        (
            Provider::GEMINI,
            "gemini-4-carbon gemini-4-neon gemini-omni-1.2-flash gemini-3.9-pro",
            "gemini-3.9-pro",
        ),
        (Provider::GROQ, "allam-2-7b llama-5-8b openai/gpt-oss-2", "openai/gpt-oss-2 llama-5-8b allam-2-7b"),
        (Provider::CEREBRAS, "zai-glm-5 qwen-4-27b", "qwen-4-27b zai-glm-5"),
    ];
    for (provider, list, used) in cases {
        let mut shop = Shop::new(provider, "gone", 1);
        assert_eq!(shop.learn(0, list).used(), ids(used), "{list}");
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
    /// Whatever lists come, for whichever keys: every model in use exists, and every key keeps one to serve with.
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
