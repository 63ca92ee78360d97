//! The settings as `--help` lists them: name, default, and a few words for those that have no number.

use super::variables::*;
use crate::providers::{Directory, Profile};

/// The column at which the words begin.
const INDENT: usize = 24;
/// The widest line.
const WIDTH: usize = 100;

/// Every variable, for people in a terminal.
pub(crate) fn listing() -> String {
    let directory = Directory::built_in();
    let of_all = |name: fn(&Profile) -> String| {
        let names = directory.iter().map(|provider| name(provider.profile()));
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
    };
    let keys = of_all(|it| {
        let id = it.account_id.map(|id| format!(", {}", id.variable));
        it.key_variables.join(" or ") + &id.unwrap_or_default()
    });
    let models = of_all(|it| it.models_variable.to_owned());
    let limits = of_all(|it| it.limits_variable.to_owned());
    let base_urls = of_all(|it| it.base_url_variable.to_owned());
    let keyless = directory.keyless_names().join(", ");
    let default = |name: &str, value: &str| format!("{name}={value}");
    let numbers: Vec<String> =
        NUMBERS.iter().map(|number| format!("{}={}", number.name, number.default)).collect();
    [
        row(&keys, "keys of the providers: one is enough; several, comma-separated, are several accounts"),
        row(&default(ENV_HOST, DEFAULT_HOST), "address to listen on"),
        row(&default(ENV_PORT, &DEFAULT_PORT.to_string()), "port; 0 picks a free one"),
        row(ENV_KEYLESS_PROVIDERS, &format!("{keyless}: they need no key, and may log prompts")),
        row(ENV_CUSTOM_PROVIDERS, "names of your own: NAME_BASE_URL, NAME_API_KEY, NAME_MODEL say the rest"),
        row(ENV_TIER_2, "who is asked only when nobody else can serve; your own servers if not set"),
        row(ENV_PROXY_API_KEY, "keys that clients must show; set one before you listen on any other address"),
        row(&default(ENV_CORS_ORIGINS, "*"), "web pages that may call"),
        row(&models, "models, best first; built-in lists if not set"),
        row(ENV_MODEL_ALIASES, "your names for models, such as claude-*haiku*=groq/openai/gpt-oss-20b"),
        row(&limits, "your plans, such as rpm=30,rpd=1000,tpm=8000; the free ones if not set"),
        row(&base_urls, "other hosts with the same API"),
        row(
            &default(ENV_STATE_FILE, DEFAULT_STATE_FILE),
            "what was used of the free limits; empty: not kept",
        ),
        row(ENV_STATE_URL, "a Valkey or Redis server through which several instances share their quotas"),
        row(&default(ENV_LOG_FORMAT, "text"), "or json"),
        row(&default(ENV_RUST_LOG, DEFAULT_RUST_LOG), "off, error, warn, info, debug or trace"),
        "  Times and numbers:\n".to_owned(),
        wrapped(&numbers, 4),
    ]
    .concat()
}

/// The names, and the words behind them or, if the names are long, below them.
fn row(names: &str, words: &str) -> String {
    let first = format!("  {names}");
    if first.len() > WIDTH {
        let names: Vec<String> = names.split(", ").map(|name| format!("{name},")).collect();
        format!("{}\n{:INDENT$}{words}\n", wrapped(&names, 2).trim_end_matches(','), "")
    } else if first.len() < INDENT {
        format!("{first:INDENT$}{words}\n")
    } else {
        format!("{first}\n{:INDENT$}{words}\n", "")
    }
}

/// The items in lines behind so many blanks.
fn wrapped(items: &[String], indent: usize) -> String {
    let blanks = " ".repeat(indent.saturating_sub(1));
    let mut lines = vec![blanks.clone()];
    for item in items {
        if lines.last().is_some_and(|line| line.len() + 1 + item.len() > WIDTH) {
            lines.push(blanks.clone());
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(item);
        }
    }
    lines.join("\n")
}
