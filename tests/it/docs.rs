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

/// The documents of a topic: English, Spanish.
fn in_both_languages(topic: &str) -> [(String, String); 2] {
    [format!("{topic}.md"), format!("{topic}.es.md")].map(|name| {
        let text = read(&name);
        (name, text)
    })
}

/// The first two cells of the row of a table that begins with this variable, alone or with others.
fn settings_row<'t>(text: &'t str, variable: &str) -> Option<[&'t str; 2]> {
    let quoted = format!("`{variable}`");
    text.lines().find_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (names, default) = (cells.next()?, cells.next()?);
        names.contains(&quoted).then_some([names, default])
    })
}

#[test]
fn every_variable_has_its_row_in_both_languages_and_its_line_in_the_example() {
    for (name, text) in in_both_languages("docs/settings") {
        for variable in variables() {
            assert!(settings_row(&text, &variable).is_some(), "{name} has no row for {variable}");
        }
    }
    let example = read(".env.example");
    for variable in variables() {
        assert!(example.lines().any(|line| line.starts_with(&format!("{variable}="))), "{variable}");
    }
}

#[test]
fn every_default_is_the_programs_own_in_both_languages_and_in_the_example() {
    let numbers = config::NUMBERS.map(|number| (number.name, number.default.to_string()));
    let words = [
        ("HOST", config::DEFAULT_HOST.to_owned()),
        ("PORT", config::DEFAULT_PORT.to_string()),
        ("CORS_ORIGINS", "*".to_owned()),
        ("STATE_FILE", "ai-proxy-free.state".to_owned()),
        ("LOG_FORMAT", "text".to_owned()),
        ("RUST_LOG", "info".to_owned()),
    ];
    let example = read(".env.example");
    for (variable, default) in numbers.into_iter().chain(words) {
        for (name, text) in in_both_languages("docs/settings") {
            let [_, told] = settings_row(&text, variable).expect("a row");
            let told = told.split('`').nth(1).unwrap_or_default();
            assert_eq!(told, default, "{name}: {variable}");
        }
        let line = format!("{variable}={default}");
        assert!(example.lines().any(|it| it == line), ".env.example lacks {line}");
    }
}

#[test]
fn every_default_model_is_in_its_row_in_both_languages_and_in_order() {
    for (name, text) in in_both_languages("docs/settings") {
        for provider in Directory::built_in() {
            let variable = provider.profile().models_variable;
            let [_, told] = settings_row(&text, variable).expect("a row");
            let models: Vec<String> = provider.default_models().map(|model| format!("`{model}`")).collect();
            let expected = if models.is_empty() { "–".to_owned() } else { models.join(", ") };
            assert_eq!(told, expected, "{name}: {variable}");
        }
    }
}

/// The documents for people who use the program: in English, and the same in Spanish.
fn topics() -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = std::fs::read_dir(docs).expect("docs/").map(|entry| entry.expect("an entry").file_name());
    let names = files.map(|name| name.into_string().expect("a plain name"));
    let topics: BTreeSet<String> = names
        .filter(|name| name.ends_with(".md") && name != "README.md")
        .map(|name| name.trim_end_matches(".md").trim_end_matches(".es").to_owned())
        .collect();
    topics.into_iter().map(|topic| format!("docs/{topic}")).chain(["README".to_owned()]).collect()
}

/// Words in backticks outside of blocks, with those in the reader's language in English.
fn code_words(text: &str) -> BTreeSet<String> {
    let outside: String = text.split("```").step_by(2).collect();
    let words = outside.split('`').skip(1).step_by(2).map(|word| {
        let word = word.replace("<frase>", "<sentence>").replace("NOMBRE=valor", "NAME=value");
        word.replace("ARCHIVO", "FILE").replace('\n', " ")
    });
    words.collect()
}

#[test]
fn every_document_names_the_same_things_in_both_languages() {
    for topic in topics() {
        let [(_, english), (name, spanish)] = in_both_languages(&topic);
        assert_eq!(code_words(&spanish), code_words(&english), "{name}");
        let headings = |text: &str| {
            let outside: String = text.split("```").step_by(2).collect();
            outside
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(|line| line.find(' '))
                .collect::<Vec<_>>()
        };
        assert_eq!(headings(&spanish), headings(&english), "{name}");
        let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).count();
        assert_eq!(rows(&spanish), rows(&english), "{name}");
    }
}

#[test]
fn the_index_and_both_readmes_lead_to_every_document() {
    let [(_, readme), (_, readme_es)] = in_both_languages("README");
    let index = read("docs/README.md");
    for topic in topics().iter().filter_map(|topic| topic.strip_prefix("docs/")) {
        for name in [format!("({topic}.md)"), format!("({topic}.es.md)")] {
            assert!(index.contains(&name), "docs/README.md does not lead to {name}");
        }
        assert!(readme.contains(&format!("(docs/{topic}.md")), "README.md does not lead to {topic}");
        assert!(readme_es.contains(&format!("(docs/{topic}.es.md")), "README.es.md does not lead to {topic}");
    }
}

#[test]
fn a_readme_can_be_finished() {
    for (name, text) in in_both_languages("README") {
        let count = text.lines().count();
        assert!(count <= 120, "{name} has {count} lines: what is looked up belongs into docs/");
    }
}

/// What follows `](`, outside of blocks of code.
fn links(text: &str) -> Vec<String> {
    let outside: String = text.split("```").step_by(2).collect();
    let targets = outside.split("](").skip(1).filter_map(|rest| rest.split(')').next().map(str::to_owned));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors that GitHub gives to the headings of a document.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside: String = text.split("```").step_by(2).collect();
    let headings = outside.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    let mut count = 0;
    for directory in ["", "docs"] {
        for entry in std::fs::read_dir(root.join(directory)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a document");
            for link in links(&text) {
                // The one place that is not in the repository but beside it, on GitHub.
                if link == "../../../releases" && directory == "docs" {
                    continue;
                }
                count += 1;
                let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
                let leads = target.exists()
                    && (anchor.is_empty()
                        || std::fs::read_to_string(&target)
                            .is_ok_and(|text| anchors(&text).contains(anchor)));
                if !leads {
                    broken.push(format!("{}: {link}", path.display()));
                }
            }
        }
    }
    assert!(count > 50, "the documents have links: {count}");
    assert!(broken.is_empty(), "{broken:#?}");
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
fn the_compose_files_are_for_a_small_old_server_too() {
    for name in ["docker-compose.yml", "docker-compose.several.yml"] {
        let text = read(name);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for line in
            ["env_file: .env", "mem_limit: 512m", "driver: json-file", "max-size: 10m", "max-file: \"3\""]
        {
            assert!(lines.contains(&line), "{name} lacks {line}");
        }
        for newer in ["path:", "required:", "deploy:", "develop:", "include:", "name:", "format:"] {
            let has_it = lines.iter().any(|line| line.trim_start_matches("- ").starts_with(newer));
            assert!(!has_it, "{name} has {newer}");
        }
    }
}

/// The number behind `before` in a file.
fn number_in(name: &str, before: &str) -> u64 {
    let text = read(name);
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("{name} lacks {before}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{name}: no number behind {before}"))
}

#[test]
fn whoever_stops_an_instance_waits_for_its_streams() {
    let grace = config::SHUTDOWN_GRACE_SECONDS.default;
    for name in ["docker-compose.yml", "docker-compose.several.yml"] {
        assert!(number_in(name, "stop_grace_period: ") > grace, "{name}");
    }
    let name = "packaging/kubernetes/proxy.yaml";
    let pause = number_in(name, "sleep: { seconds: ");
    let its_grace = number_in(name, "SHUTDOWN_GRACE_SECONDS, value: \"");
    assert!(number_in(name, "terminationGracePeriodSeconds: ") > pause + its_grace, "{name}");
    let silence_ms = config::REQUEST_TIMEOUT_MS.default;
    for side in ["timeout server ", "timeout client "] {
        assert!(number_in("packaging/haproxy.cfg", side) * 1_000 > silence_ms, "{side}");
    }
}

#[test]
fn the_systemd_unit_keeps_its_state_where_it_may_write_and_lets_streams_finish() {
    let unit = read("packaging/ai-proxy-free.service");
    let value = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("the unit has no {name}"))
    };
    let state = value("StateDirectory=");
    assert!(value("Environment=STATE_FILE=").starts_with(&format!("%S/{state}/")), "{unit}");
    assert_eq!(value("WorkingDirectory="), format!("%S/{state}"), "a relative STATE_FILE ends up there, too");
    let patience_seconds: u64 = value("TimeoutStopSec=").parse().expect("seconds");
    assert!(patience_seconds > config::SHUTDOWN_GRACE_SECONDS.default, "{unit}");
    for (name, text) in in_both_languages("docs/install") {
        for word in [value("EnvironmentFile="), value("ExecStart=").trim_end_matches("ai-proxy-free"), state]
        {
            assert!(text.contains(word), "{name} lacks {word}");
        }
    }
}

#[test]
fn the_documents_name_the_files_that_a_release_makes() {
    let workflow = read(".github/workflows/release.yml");
    let names = workflow.lines().filter_map(|line| line.trim().strip_prefix("- { name: ")?.split(',').next());
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for (document, text) in in_both_languages("docs/install") {
        let told = text.lines().filter(|line| line.contains("| `ai-proxy-free-")).count();
        assert_eq!(told, names.len(), "{document}");
        for name in &names {
            let ending = if name.starts_with("windows") { "zip" } else { "tar.gz" };
            let file = format!("| `ai-proxy-free-{name}.{ending}` |");
            assert!(text.contains(&file), "{document} lacks {file}");
        }
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
async fn the_line_for_windows_is_answered_in_both_languages() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for (name, text) in in_both_languages("docs/clients") {
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
