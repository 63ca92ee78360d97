//! The providers that there are, built in and of the user's own, and the accounts with which they are asked.

use super::asked::Asked;
use super::reader::{Reader, accounts};
use super::settings::{Account, ProviderConfig};
use super::variables::{
    ENV_CUSTOM_PROVIDERS, ENV_KEYLESS_PROVIDERS, ENV_PROXY_API_KEY, ENV_TIER_2, MOST_CUSTOM_PROVIDERS,
};
use crate::providers::{AskedBy, Directory, KeyNeed, Provider};

impl Reader<'_> {
    /// Every provider, with or without an account, in rotation order: the built-in ones, then the user's own.
    pub(super) fn providers(&mut self) -> Vec<ProviderConfig> {
        let custom = self.custom_providers();
        let all: Directory = Directory::built_in().into_iter().chain(custom).collect();
        let may_be_keyless = |it: &Provider| it.profile().asked_by == AskedBy::Name;
        let keyless = self.named(ENV_KEYLESS_PROVIDERS, &all.iter().filter(may_be_keyless).collect());
        let is_tier_set = self.get(ENV_TIER_2).is_some();
        let second_tier = self.named(ENV_TIER_2, &all);
        let asked = Asked { keyless, second_tier: is_tier_set.then_some(second_tier) };
        all.iter().map(|provider| self.provider(provider, &asked)).collect()
    }

    /// The providers that a variable names.
    fn named(&mut self, variable: &str, known: &Directory) -> Vec<Provider> {
        let mut named = Vec::new();
        for name in self.list(variable) {
            match known.find(&name) {
                Some(provider) => named.push(provider),
                None => self.mistaken_item(variable, &name, &format!("some of {}", known.names().join(", "))),
            }
        }
        named
    }

    /// The user's own providers.
    fn custom_providers(&mut self) -> Vec<Provider> {
        let mut custom: Vec<Provider> = Vec::new();
        for name in self.list(ENV_CUSTOM_PROVIDERS) {
            if !is_fit(&name) || custom.len() >= MOST_CUSTOM_PROVIDERS {
                let form = format!(
                    "at most {MOST_CUSTOM_PROVIDERS} names of letters, digits, - and _, which begin with a letter"
                );
                self.mistaken_item(ENV_CUSTOM_PROVIDERS, &name, &form);
                continue;
            }
            let provider = Provider::custom(&name);
            // Else somebody's key would be sent to somebody else.
            let others = Directory::built_in().into_iter().chain(custom.iter().copied());
            let mut taken = others.flat_map(Provider::variables).chain([ENV_PROXY_API_KEY]);
            if taken.any(|variable| provider.variables().any(|its| its == variable)) {
                self.mistaken_item(ENV_CUSTOM_PROVIDERS, &name, "a name whose variables nobody else has");
                continue;
            }
            let variable = provider.profile().base_url_variable;
            if self.get(variable).is_none() {
                self.mistakes.push(format!("{variable} is not set, and {ENV_CUSTOM_PROVIDERS} names {name}"));
            }
            custom.push(provider);
        }
        custom
    }

    /// The accounts with which a provider is asked; none if it is not.
    pub(super) fn accounts(&mut self, provider: Provider, asked: &Asked) -> Vec<Account> {
        let profile = provider.profile();
        let set = profile.key_variables.iter().find(|name| self.get(name).is_some());
        let keys = set.map(|name| self.keys(name)).unwrap_or_default();
        let is_asked = match profile.asked_by {
            AskedBy::Key => !keys.is_empty(),
            AskedBy::Name => !keys.is_empty() || asked.keyless.contains(&provider),
            AskedBy::BaseUrl => self.get(profile.base_url_variable).is_some(),
        };
        match profile.key {
            _ if !is_asked => Vec::new(),
            KeyNeed::Optional | KeyNeed::Never if keys.is_empty() => {
                vec![Account { key: None, path: String::new(), label: "no key".to_owned() }]
            }
            _ => accounts(keys),
        }
    }
}

/// Whether a name can be a provider's, and the beginning of a variable's.
fn is_fit(name: &str) -> bool {
    const MOST_BYTES: usize = 32;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_plain && name.len() <= MOST_BYTES && name.starts_with(|first: char| first.is_ascii_alphabetic())
}
