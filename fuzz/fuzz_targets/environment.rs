//! Any environment is good or bad for a reason that is named, and no key is ever shown. An input is like
//! `/proc/self/environ`: `NAME=value`, each with a NUL after it. The same bytes are read as a `.env`, and what stands in
//! the environment reads the same from a `.env`.
#![no_main]

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use ai_proxy_free::internals::config::{Config, DotEnv, ENV_PROXY_API_KEY};
use ai_proxy_free::internals::providers::Directory;
use libfuzzer_sys::fuzz_target;

/// Stands in every key and nowhere else.
const CANARY: &str = "k3yCanary";

fuzz_target!(|input: &[u8]| {
    let file = DotEnv::parse(input);
    for mistake in &file.mistakes {
        assert!(mistake.starts_with(".env line ") && !mistake.contains(['\n', '$', '"']), "{mistake}");
    }
    let text = String::from_utf8_lossy(input);
    if text.contains(CANARY) {
        return;
    }
    let mut environment: HashMap<&str, String> = HashMap::new();
    for (name, value) in text.split('\0').filter_map(|entry| entry.split_once('=')) {
        let value = if is_key(name) { with_canaries(value) } else { value.to_owned() };
        environment.insert(name, value);
    }
    // Of these a `.env` can hold each on a line, in quotes.
    let quotable = |(name, value): &(&&str, &String)| {
        let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        name.starts_with(|it: char| it.is_ascii_alphabetic())
            && name.chars().all(is_name)
            && !value.contains(['\'', '\r'])
            // A further line that sets a variable tells of a quote that was forgotten.
            && !value.split('\n').skip(1).any(|line| line.contains('='))
    };
    let quoted: Vec<(&&str, &String)> = environment.iter().filter(quotable).collect();
    let lines: String =
        quoted.iter().map(|(name, value)| format!("export {name}='{value}' # '\r\n")).collect();
    let file = DotEnv::parse(lines.as_bytes());
    assert!(file.mistakes.is_empty(), "{lines}: {:?}", file.mistakes);
    for (name, value) in quoted {
        assert_eq!(file.variables.get(*name), Some(value), "{lines}");
    }
    let read = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        environment.get(name).cloned()
    };
    let shown = match Config::from_lookup(lookup) {
        Ok(config) => {
            for provider in &config.providers {
                let can_be_sent = |key| provider.provider.headers(Some(key)).is_ok();
                assert!(
                    provider.accounts.iter().filter_map(|account| account.key.as_ref()).all(can_be_sent),
                    "{environment:?}"
                );
            }
            format!("{config:?}")
        }
        Err(error) => {
            assert!(!error.0.is_empty(), "refused without a word: {environment:?}");
            for mistake in &error.0 {
                let is_named = read.borrow().iter().any(|name| mistake.starts_with(name));
                assert!(is_named, "no variable is named: {mistake}");
            }
            error.to_string()
        }
    };
    assert!(!shown.contains(CANARY), "{shown}");
});

fn is_key(name: &str) -> bool {
    name == ENV_PROXY_API_KEY
        || Directory::built_in().iter().any(|it| it.profile().key_variables.contains(&name))
}

fn with_canaries(keys: &str) -> String {
    keys.split(',').map(|key| format!("{key}{CANARY}")).collect::<Vec<_>>().join(",")
}
