//! The documents say what the program does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use ai_proxy_free::internals::config;
use ai_proxy_free::internals::providers::Directory;

use crate::support::{TestProxy, http_client};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every variable that the program reads.
fn variables() -> BTreeSet<String> {
    let read = RefCell::new(BTreeSet::new());
    let defaults = config::Config::from_lookup(|name| {
        read.borrow_mut().insert(name.to_owned());
        None
    });
    assert!(defaults.is_ok(), "{defaults:?}");
    read.into_inner()
}

#[test]
fn every_variable_is_in_both_readmes_and_in_the_example() {
    for name in ["README.md", "README.es.md", ".env.example"] {
        let text = read(name);
        for variable in variables() {
            assert!(text.contains(&variable), "{name} lacks {variable}");
        }
    }
}

#[test]
fn every_number_is_in_both_readmes() {
    let numbers = [
        config::CONNECT_TIMEOUT_MS,
        config::FIRST_TOKEN_TIMEOUT_MS,
        config::IDLE_TIMEOUT_MS,
        config::REQUEST_TIMEOUT_MS,
        config::MAX_BODY_BYTES,
        config::MAX_BODY_MEMORY_BYTES,
        config::MAX_CONCURRENT_REQUESTS,
        config::HEADER_READ_TIMEOUT_MS,
        config::KEEP_ALIVE_TIMEOUT_MS,
        config::BODY_READ_TIMEOUT_MS,
        config::CLIENT_STALL_TIMEOUT_MS,
        config::SHUTDOWN_GRACE_SECONDS,
    ];
    for name in ["README.md", "README.es.md"] {
        let text = read(name);
        for number in numbers {
            let row = format!("| `{}` | `{}` |", number.name, number.default);
            assert!(text.contains(&row), "{name} lacks {row}");
        }
    }
    let example = read(".env.example");
    for number in numbers {
        assert!(example.contains(&format!("{}={}", number.name, number.default)), "{}", number.name);
    }
}

#[test]
fn every_default_model_is_in_both_readmes() {
    for name in ["README.md", "README.es.md"] {
        let text = read(name);
        for provider in Directory::built_in() {
            for model in provider.default_models() {
                assert!(text.contains(&format!("`{model}`")), "{name} lacks {model}");
            }
        }
    }
}

#[test]
fn the_example_settings_are_good_settings() {
    let example = read(".env.example");
    let file = config::DotEnv::parse(example.as_bytes());
    assert_eq!(file.mistakes, [""; 0]);
    config::Config::from_lookup(|name| file.variables.get(name).cloned()).expect("good settings");
}

/// Debian 12's docker-compose 1.29 reads only the short forms, and no other key limits memory there. `.ci/run` has it
/// read the file; this needs no network.
#[test]
fn the_compose_file_is_for_a_small_old_server_too() {
    let text = read("docker-compose.yml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for line in ["env_file: .env", "mem_limit: 512m", "driver: json-file", "max-size: 10m", "max-file: \"3\""]
    {
        assert!(lines.contains(&line), "docker-compose.yml lacks {line}");
    }
    for newer in ["path:", "required:", "deploy:", "develop:", "include:", "name:", "format:"] {
        let has_it = lines.iter().any(|line| line.trim_start_matches("- ").starts_with(newer));
        assert!(!has_it, "docker-compose.yml has {newer}");
    }
}

/// The words of a line of cmd.exe as a program gets them: only `"` quotes, and `\"` is a quote within.
fn words_in_cmd(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'"') => {
                words.last_mut().expect("one at least").extend(characters.next())
            }
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            character => words.last_mut().expect("one at least").push(character),
        }
    }
    words
}

#[tokio::test]
async fn the_line_for_windows_in_both_readmes_is_answered() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for name in ["README.md", "README.es.md"] {
        let text = read(name);
        let line = text.lines().find(|line| line.starts_with("curl") && line.contains("-d \"{\\\""));
        let words = words_in_cmd(line.unwrap_or_else(|| panic!("{name} has no line for cmd.exe")));
        let behind = |option: &str| {
            let at = words.iter().position(|word| word == option).expect("the option");
            words[at + 1].clone()
        };
        assert_eq!(words[2], "http://127.0.0.1:3001/chat", "{name}");
        assert_eq!(behind("-H"), "Content-Type: application/json", "{name}");
        let request = http_client()?.post(proxy.url("/chat")).header("content-type", "application/json");
        let reply = request.body(behind("-d")).send().await?;
        assert_eq!(reply.status(), 200, "{name}");
        // PowerShell's own command; its single quotes hold the double ones.
        let line = text.lines().find(|line| line.starts_with("Invoke-RestMethod "));
        let line = line.unwrap_or_else(|| panic!("{name} has no line for PowerShell"));
        let quoted: Vec<&str> = line.split('\'').collect();
        let [before, content_type, between, body, ""] = quoted.as_slice() else { panic!("{name}: {line}") };
        assert_eq!(*before, "Invoke-RestMethod http://127.0.0.1:3001/chat -Method Post -ContentType ");
        assert_eq!((*content_type, *between), ("application/json; charset=utf-8", " -Body "), "{name}");
        let request = http_client()?.post(proxy.url("/chat")).header("content-type", *content_type);
        let reply = request.body((*body).to_owned()).send().await?;
        assert_eq!(reply.status(), 200, "{name}");
        assert!(reply.json::<serde_json::Value>().await?["content"].is_string(), "{name}");
        let asks = |line: &&str| line.contains("/chat") && line.contains(r#"\"content\":"#);
        assert_eq!(text.lines().filter(asks).count(), 1, "{name} says it once to cmd.exe");
        let asks = |line: &&str| line.starts_with("Invoke-RestMethod") || line.contains("curl.exe");
        assert_eq!(text.lines().filter(asks).count(), 1, "{name} says it once to PowerShell");
    }
    Ok(())
}

/// The names of all tests that begin with the number of a fault.
fn row_tests(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(row_tests(&path));
        } else {
            let text = std::fs::read_to_string(&path).expect("source");
            let names_in_it = text.split("fn row_").skip(1).filter_map(|rest| rest.split('(').next());
            let is_number = |name: &&str| name.starts_with(|first: char| first.is_ascii_digit());
            names.extend(names_in_it.filter(is_number).map(|name| format!("row_{name}")));
        }
    }
    names
}

#[test]
fn every_fault_stands_in_the_table_with_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written: BTreeSet<String> =
        ["src", "tests/it"].into_iter().flat_map(|directory| row_tests(&root.join(directory))).collect();
    let mut named = BTreeSet::new();
    for line in read("FAULTS.md").lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let Some(number) = cells.next().and_then(|cell| cell.parse::<u32>().ok()) else { continue };
        let tests: Vec<&str> = line.split('`').filter(|word| word.starts_with("row_")).collect();
        assert!(!tests.is_empty(), "no test for fault {number}");
        for test in tests {
            assert!(test.starts_with(&format!("row_{number:03}_")), "{test} stands at fault {number}");
            assert!(written.contains(test), "there is no test {test}");
            named.insert(test.to_owned());
        }
    }
    let unnamed: Vec<&String> = written.difference(&named).collect();
    assert!(unnamed.is_empty(), "not in FAULTS.md: {unnamed:?}");
}

/// `file.rs::name` in SECURITY.md is a test there; a word in quotes behind "fuzz target" is one.
#[test]
fn every_test_that_security_names_exists() {
    let text = read("SECURITY.md");
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter_map(|word| word.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs"))
        .collect();
    assert!(named.len() > 20, "the table names its tests: {named:?}");
    for (file, name) in named {
        let text = read(file);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let declaration = format!("fn {name}(");
        let at = lines.iter().position(|line| line.contains(&declaration));
        let before = at.map(|at| &lines[..at]).unwrap_or_default();
        let mut attributes = before.iter().rev().take_while(|line| line.starts_with("#["));
        let is_test = attributes.any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"));
        assert!(is_test, "{file} has no test {name}");
    }
    let targets = read("fuzz/Cargo.toml");
    for part in text.split("fuzz target").skip(1) {
        let names = part.split('|').next().unwrap_or_default();
        for name in names.split('`').skip(1).step_by(2) {
            assert!(targets.contains(&format!("name = \"{name}\"")), "there is no fuzz target {name}");
        }
    }
}
