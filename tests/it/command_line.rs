//! The program as it is started: commands, settings, mistakes, exit codes.

use std::cell::RefCell;
use std::collections::HashMap;

use ai_proxy_free::internals::config;
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Settings, SimulatedProvider};
use ai_proxy_free::internals::time::Moment;

use crate::support::{Binary, http_client, question};

#[tokio::test]
async fn help_and_version_are_as_usual() -> anyhow::Result<()> {
    let (code, out, _) = Binary::run(&["--help"], &[], None).await?;
    assert_eq!(code, Some(0));
    for word in
        ["serve", "demo", "check", "healthcheck", "simulated providers", "spends no quota", "--version"]
    {
        assert!(out.contains(word), "{out}");
    }
    assert!(out.contains("http://127.0.0.1:3001/ is a page"), "{out}");
    assert!(out.contains("docs/settings.md") && out.contains("docs/settings.es.md"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 120), "{out}");
    assert!(!out.contains(", ,"), "a provider without keys has no name among those of keys: {out}");
    let (code, out, _) = Binary::run(&["--version"], &[], None).await?;
    assert_eq!((code, out.as_str()), (Some(0), concat!("ai-proxy-free ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, _, err) = Binary::run(&["nonsense"], &[], None).await?;
    assert!(code == Some(2) && err.contains("nonsense"), "{err}");
    Ok(())
}

#[tokio::test]
async fn help_names_every_setting_and_its_default() -> anyhow::Result<()> {
    let (_, out, _) = Binary::run(&["--help"], &[], None).await?;
    let words: Vec<&str> = out.split([' ', ',', '\n']).collect();
    let named = |name: &str| words.iter().any(|word| word.split('=').next() == Some(name));
    let read = RefCell::new(Vec::new());
    let defaults = config::Config::from_lookup(|name| {
        read.borrow_mut().push(name.to_owned());
        None
    });
    assert!(defaults.is_ok(), "{defaults:?}");
    for name in read.into_inner() {
        assert!(named(&name), "{name} is not in:\n{out}");
    }
    for number in config::NUMBERS {
        let default = format!("{}={}", number.name, number.default);
        assert!(words.contains(&default.as_str()), "{default} is not in:\n{out}");
    }
    for default in ["HOST=127.0.0.1", "PORT=3001", "RUST_LOG=info", "LOG_FORMAT=text", "CORS_ORIGINS=*"] {
        assert!(words.contains(&default), "{default} is not in:\n{out}");
    }
    Ok(())
}

/// To this variable, empty means off. In `.env`, too, unless the environment says otherwise.
#[tokio::test]
async fn an_empty_state_file_is_none() -> anyhow::Result<()> {
    let provider = SimulatedProvider::start(
        Provider::GROQ,
        Settings::new(Provider::GROQ, std::sync::Arc::new(Moment::now)),
    )
    .await?;
    let base_url = provider.base_url();
    let usual = [("PORT", "0"), ("GROQ_API_KEY", "key"), ("GROQ_BASE_URL", base_url.as_str())];
    let cases = [
        ("unset", None, "", true),
        ("empty in the environment", Some(""), "", false),
        ("empty in .env", None, "STATE_FILE=\n", false),
        ("empty in both", Some(""), "STATE_FILE=\n", false),
        ("empty does not hide .env", Some(""), "STATE_FILE=ai-proxy-free.state\n", true),
    ];
    for (case, own, dot_env, is_kept) in cases {
        let variables: Vec<_> = usual.into_iter().chain(own.map(|value| ("STATE_FILE", value))).collect();
        let (binary, address) = Binary::start_with_dot_env(&[], dot_env.as_bytes(), &variables).await?;
        let reply = http_client()?.post(format!("http://{address}/chat")).json(&question()).send().await?;
        assert_eq!(reply.status(), 200, "{case}");
        let file = binary.directory().join("ai-proxy-free.state");
        assert_eq!(file.exists(), is_kept, "{case}");
    }
    Ok(())
}

#[test]
fn empty_means_unset_and_unknown_is_ignored() {
    let empty = config::Config::from_lookup(|_| Some("  ".to_owned())).expect("defaults");
    assert_eq!(empty.server.port, config::DEFAULT_PORT);
    assert_eq!(empty.server.host, config::DEFAULT_HOST);
    assert!(empty.providers.iter().all(|provider| !provider.is_configured() && provider.models.len() > 1));
}

#[test]
fn lists_are_split_trimmed_and_freed_of_duplicates() {
    use secrecy::ExposeSecret as _;
    let config = config::Config::from_lookup(|name| match name {
        "GROQ_API_KEY" => Some(" a, b ,,a".to_owned()),
        "GEMINI_MODEL" => Some("models/x, y".to_owned()),
        "GEMINI_API_KEY" => Some("second".to_owned()),
        "GOOGLE_API_KEY" => Some("first".to_owned()),
        _ => None,
    })
    .expect("good settings");
    let keys = |index: usize| {
        config.providers[index]
            .accounts
            .iter()
            .filter_map(|it| Some(it.key.as_ref()?.expose_secret()))
            .collect::<Vec<_>>()
    };
    assert_eq!((keys(0), keys(1), keys(2)), (vec!["a", "b"], vec![], vec!["first"]));
    assert_eq!(config.providers[2].models, ["x", "y"]);
}

#[tokio::test]
async fn the_start_says_who_is_ready_and_who_lacks_which_variable() -> anyhow::Result<()> {
    let variables = HashMap::from([("GROQ_API_KEY".to_owned(), "a,b".to_owned())]);
    let (binary, address) = Binary::start(&[], variables).await?;
    assert_ne!(address.port(), 0);
    let log = binary.output.clone();
    assert!(log.contains("Groq is ready keys=2"), "{log}");
    assert!(log.contains("Cerebras is off: CEREBRAS_API_KEY is not set"), "{log}");
    assert!(log.contains("Gemini is off: GOOGLE_API_KEY or GEMINI_API_KEY is not set"), "{log}");
    assert!(log.contains(&format!(
        "INFO: ai-proxy-free {} listening on http://{address}",
        env!("CARGO_PKG_VERSION")
    )));
    for line in log.lines() {
        let (time, rest) = line.split_at(26);
        assert!(time.starts_with("[2") && time.ends_with("Z]") && rest.starts_with(' '), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn without_any_key_it_starts_and_says_so() -> anyhow::Result<()> {
    let (binary, address) = Binary::start(&["serve"], HashMap::new()).await?;
    assert!(binary.output.contains("No provider has a key"), "{}", binary.output);
    let response = http_client()?.post(format!("http://{address}/chat")).json(&question()).send().await?;
    assert_eq!(response.status(), 503);
    Ok(())
}

#[tokio::test]
async fn an_open_door_is_warned_about() -> anyhow::Result<()> {
    let open = HashMap::from([("HOST".to_owned(), "0.0.0.0".to_owned())]);
    let (binary, _) = Binary::start(&[], open.clone()).await?;
    assert!(binary.output.contains("PROXY_API_KEY is not set"), "{}", binary.output);
    // Only whoever started a container knows who reaches it.
    assert!(!binary.output.contains("other machines"), "{}", binary.output);
    let mut locked = open;
    locked.insert("PROXY_API_KEY".to_owned(), "k".to_owned());
    let (binary, _) = Binary::start(&[], locked).await?;
    assert!(!binary.output.contains("PROXY_API_KEY"), "{}", binary.output);
    Ok(())
}

#[tokio::test]
async fn memory_for_less_than_the_largest_body_is_warned_about() -> anyhow::Result<()> {
    for (memory, is_warned) in [("20971519", true), ("20971520", false), ("", false)] {
        let variables = HashMap::from([("MAX_BODY_MEMORY_BYTES".to_owned(), memory.to_owned())]);
        let (binary, _) = Binary::start(&[], variables).await?;
        let told = format!("MAX_BODY_MEMORY_BYTES={memory} is less than MAX_BODY_BYTES=20971520");
        assert_eq!(binary.output.contains(&told), is_warned, "{memory}: {}", binary.output);
    }
    Ok(())
}

#[tokio::test]
async fn dot_env_is_read_and_the_real_environment_wins() -> anyhow::Result<()> {
    let mistakes =
        "PORT=from-dot-env\nIDLE_TIMEOUT_MS=\"from dot env\" # a comment\nexport LOG_FORMAT=from-dot-env\n";
    let variables = [("PORT", "from-environment"), ("LOG_FORMAT", "")];
    let (code, _, err) = Binary::run(&[], &variables, Some(mistakes.as_bytes())).await?;
    assert_eq!(code, Some(2));
    for line in ["PORT=from-environment", "IDLE_TIMEOUT_MS=from dot env", "LOG_FORMAT=from-dot-env"] {
        assert!(err.contains(line), "{err}");
    }
    let (code, _, err) = Binary::run(&[], &[], Some(b"GROQ_API_KEY=ok\nCEREBRAS_API_KEY='SECRET\n")).await?;
    assert_eq!(code, Some(2));
    assert!(err.contains(".env line 2: CEREBRAS_API_KEY") && !err.contains("SECRET"), "{err}");
    Ok(())
}

/// PowerShell's and Notepad's encodings, and what comes of PowerShell's `>>`.
#[tokio::test]
async fn dot_env_is_read_in_every_usual_encoding() -> anyhow::Result<()> {
    let text = "# contraseña, año\r\nPORT=\"from dot env\" # señal\r\nexport LOG_FORMAT = ñ$x\r\n";
    let utf16 =
        |unit: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let latin1: Vec<u8> = text.chars().map(|it| u8::try_from(u32::from(it)).expect("Latin-1")).collect();
    let appended = utf16(u16::to_le_bytes, "PORT=from dot env\r\n");
    let cases = [
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8 with a byte order mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("UTF-16LE", [b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes, text)].concat()),
        ("UTF-16BE", [b"\xfe\xff".to_vec(), utf16(u16::to_be_bytes, text)].concat()),
        ("Latin-1", latin1.clone()),
        ("UTF-16 appended", [&latin1, b"PORT=1\r\n".as_slice(), &appended].concat()),
    ];
    for (encoding, bytes) in cases {
        let (code, _, err) = Binary::run(&[], &[], Some(&bytes)).await?;
        assert_eq!(code, Some(2), "{encoding}");
        for line in ["PORT=from dot env: ", "LOG_FORMAT=ñ$x: "] {
            assert!(err.contains(line), "{encoding}: {err}");
        }
        assert_eq!(err.lines().count(), 2, "{encoding}: {err}");
    }
    Ok(())
}

/// Wherever a key is written, in `.env` or in the environment, with quotes or without: it is the key that clients show.
#[tokio::test]
async fn a_key_is_the_one_that_was_written() -> anyhow::Result<()> {
    let key = "clave$ecreta-1234567#${HOME}";
    let written =
        [key.to_owned(), format!("'{key}'"), format!("\"{key}\""), format!("other, \"{key}\" ,'third'")];
    for value in written {
        let line = format!("\u{feff}export PROXY_API_KEY = {value} # the client's\r\n");
        let from_dot_env = Binary::start_with_dot_env(&[], line.as_bytes(), &[]).await?;
        let from_environment =
            Binary::start(&[], HashMap::from([("PROXY_API_KEY".to_owned(), value.clone())])).await?;
        for (_binary, address) in [from_dot_env, from_environment] {
            let request = http_client()?.get(format!("http://{address}/providers"));
            assert_eq!(request.bearer_auth(key).send().await?.status(), 200, "{value}");
            let request = http_client()?.get(format!("http://{address}/providers"));
            assert_eq!(request.bearer_auth("clave").send().await?.status(), 401, "{value}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn quotes_that_docker_keeps_are_taken_off_any_value() -> anyhow::Result<()> {
    let variables =
        [("PORT", "\"x\""), ("LOG_FORMAT", " 'json' "), ("GROQ_MODEL", "\"a b\", 'c'"), ("HOST", "\"\"")];
    let (code, _, err) = Binary::run(&[], &variables, None).await?;
    assert_eq!(code, Some(2));
    assert!(err.contains("PORT=x: ") && err.contains("'a b' is wrong"), "{err}");
    assert_eq!(err.lines().count(), 2, "LOG_FORMAT is json, HOST is not set, and c is a model: {err}");
    Ok(())
}

#[tokio::test]
async fn row_114_bad_lines_and_bad_values_are_reported_together() -> anyhow::Result<()> {
    let dot_env = b"PORT=x\nGROQ_API_KEY='SECRET\n\nGEMINI_API_KEY: SECRET\nSECRET\n";
    let (code, _, err) = Binary::run(&[], &[], Some(dot_env)).await?;
    assert_eq!(code, Some(2));
    for mistake in [".env line 2: GROQ_API_KEY ", ".env line 4: GEMINI_API_KEY ", ".env line 5 ", "PORT=x: "]
    {
        assert!(err.contains(mistake), "{err}");
    }
    assert!(!err.contains("SECRET"), "{err}");
    Ok(())
}

/// Forgotten quotes and slips of the clipboard put a key into the value of another variable.
#[tokio::test]
async fn row_114_a_key_in_the_value_of_another_variable_is_not_shown() -> anyhow::Result<()> {
    let open_quotes = [
        ("RUST_LOG=\"info\nPROXY_API_KEY=clientkey12345\"\nPORT=x", "RUST_LOG"),
        ("CORS_ORIGINS=\"*\nGROQ_API_KEY=gsk_realkey\nLOG_FORMAT=text\"", "CORS_ORIGINS"),
        ("HOST='x\r\nexport GROQ_API_KEY = gsk_realkey'\r\n", "HOST"),
        ("PORT=\"1\nGROQ_API_KEY=\"gsk_realkey\"", "PORT"),
        ("GROQ_BASE_URL=\"x\n\n# a comment\nPROXY_API_KEY=clientkey12345\n\"", "GROQ_BASE_URL"),
    ];
    for (dot_env, name) in open_quotes {
        let (code, out, err) = Binary::run(&[], &[], Some(dot_env.as_bytes())).await?;
        assert_eq!(code, Some(2), "{dot_env}: {out}");
        let told = format!(".env line 1: {name} cannot be read: the quote before its value is never closed");
        assert!(err.contains(&told), "{dot_env}: {err}");
        assert!(!err.contains("key12345") && !err.contains("realkey"), "{dot_env}: {err}");
    }
    // A host may have this name; it is told only that it cannot be found.
    for host in ["gsk_clientkey", "clientkey12345clientkey"] {
        let (code, _, err) = Binary::run(&[], &[("HOST", host), ("PORT", "0")], None).await?;
        assert!(code == Some(1) && err.contains("cannot listen on (not shown)"), "{err}");
        assert!(!err.contains("clientkey"), "{err}");
    }
    let long = "9".repeat(5_000);
    let values = [
        ("x\nPROXY_API_KEY=clientkey12345", "(not shown)"),
        ("x y\rclientkey12345", "(not shown)"),
        ("PROXY_API_KEY=clientkey12345", "(not shown)"),
        ("a b,export PROXY_API_KEY = clientkey", "(not shown)"),
        ("gsk_clientkey!", "(not shown)"),
        ("a b, gsk_clientkey12345clientkey12345!", "(not shown)"),
        ("a b \u{1b}[31m\u{202e}", "a b \\u{1b}[31m\\u{202e}"),
        ("ma\u{f1}ana !", "ma\u{f1}ana !"),
        (long.as_str(), "…"),
    ];
    let names = ["HOST", "PORT", "CORS_ORIGINS", "GEMINI_MODEL", "GROQ_BASE_URL", "MAX_BODY_BYTES"];
    for name in names.into_iter().chain(["IDLE_TIMEOUT_MS", "LOG_FORMAT", "RUST_LOG"]) {
        for (value, told) in values {
            // A name of digits is one, and an id.
            if value == long && ["HOST", "GEMINI_MODEL"].contains(&name) {
                continue;
            }
            // Nearly everything is the name of a target.
            let value = if name == "RUST_LOG" { format!("{value}=loud") } else { value.to_owned() };
            let (code, out, err) = Binary::run(&[], &[(name, &value)], None).await?;
            let case = format!("{name}={value:?}");
            assert_eq!(code, Some(2), "{case}: {out}");
            let line = err.lines().find(|line| line.contains(&format!("{name}=")));
            let line = line.unwrap_or_else(|| panic!("{case}: {err}"));
            assert!(line.contains(told) && line.contains("expected"), "{case}: {line}");
            assert!(!err.contains("clientkey") && !err.contains('\u{1b}'), "{case}: {err}");
            assert!(err.lines().all(|line| line.chars().count() < 500), "{case}: {err}");
        }
    }
    Ok(())
}

/// A comma alone is not "unset": with no client key the proxy would be open, and with no origin open to every page.
#[tokio::test]
async fn row_114_a_list_of_nothing_is_a_mistake() -> anyhow::Result<()> {
    let lists = ["PROXY_API_KEY", "CORS_ORIGINS", "RUST_LOG"].into_iter();
    let of_providers = Directory::built_in().into_iter().flat_map(|provider| {
        let profile = provider.profile();
        profile.key_variables.iter().copied().chain([profile.models_variable])
    });
    for name in lists.chain(of_providers) {
        for value in [",", " , ,", "\"\",''"] {
            let (code, out, err) = Binary::run(&[], &[(name, value)], None).await?;
            assert_eq!(code, Some(2), "{name}={value}: {out}");
            assert!(err.contains(name) && err.contains("at least one item"), "{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_pattern_of_origins_that_cannot_be_honoured_is_a_mistake() -> anyhow::Result<()> {
    for item in
        ["https://*", "https://example.*", "http://localhost:30*", "https://example.org/*", "*.example.org"]
    {
        let value = format!("https://*.example.org,{item}");
        let (code, _, err) = Binary::run(&[], &[("CORS_ORIGINS", &value)], None).await?;
        assert_eq!(code, Some(2), "{item}");
        assert!(err.contains(&format!("'{item}' is wrong")) && err.contains("chrome-extension://*"), "{err}");
    }
    Ok(())
}

#[tokio::test]
async fn the_start_says_when_every_web_page_may_call() -> anyhow::Result<()> {
    for (origins, says_so) in
        [("", true), ("*", true), ("https://a.example,*", true), ("https://a.example", false)]
    {
        let variables = HashMap::from([("CORS_ORIGINS".to_owned(), origins.to_owned())]);
        let (binary, _) = Binary::start(&[], variables).await?;
        assert_eq!(
            binary.output.contains("INFO: CORS_ORIGINS is *: any web page"),
            says_so,
            "{}",
            binary.output
        );
    }
    Ok(())
}

#[tokio::test]
async fn json_logs_are_json_from_the_first_line() -> anyhow::Result<()> {
    let variables = HashMap::from([("LOG_FORMAT".to_owned(), "json".to_owned())]);
    let (binary, _) = Binary::start(&[], variables).await?;
    for line in binary.output.lines() {
        let value: serde_json::Value = serde_json::from_str(line)?;
        assert!(
            value["message"].is_string() && value["level"].is_string() && value["timestamp"].is_string(),
            "{line}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn silence_can_be_had_but_for_the_start_line() -> anyhow::Result<()> {
    let variables = HashMap::from([("RUST_LOG".to_owned(), "off".to_owned())]);
    let (binary, address) = Binary::start(&[], variables).await?;
    http_client()?.post(format!("http://{address}/chat")).json(&question()).send().await?;
    binary.signal("TERM").await?;
    let (code, output) = binary.end().await?;
    assert_eq!((code, output.lines().count()), (Some(0), 1), "{output}");
    Ok(())
}

#[tokio::test]
async fn healthcheck_asks_the_running_server() -> anyhow::Result<()> {
    let (mut binary, address) = Binary::start(
        &[],
        HashMap::from([
            ("HOST".to_owned(), "0.0.0.0".to_owned()),
            ("PROXY_API_KEY".to_owned(), "k".to_owned()),
        ]),
    )
    .await?;
    let port = address.port().to_string();
    let healthy = Binary::run(&["healthcheck"], &[("HOST", "0.0.0.0"), ("PORT", &port)], None).await?;
    assert_eq!((healthy.0, healthy.1.as_str()), (Some(0), ""), "{}", healthy.2);
    let others = [("PORT", port.as_str()), ("IDLE_TIMEOUT_MS", "wrong")];
    let (code, _, err) = Binary::run(&["healthcheck"], &others, None).await?;
    assert_eq!(code, Some(0), "other settings are none of its business: {err}");
    let (code, _, err) = Binary::run(&["healthcheck"], &[("PORT", "wrong")], None).await?;
    assert!(code == Some(1) && err.contains("PORT=wrong"), "{err}");
    binary.child.kill().await?;
    let dead = Binary::run(&["healthcheck"], &[("PORT", &port)], None).await?;
    assert!(dead.0 == Some(1) && dead.2.lines().count() == 1, "{dead:?}");
    Ok(())
}

/// The variables are those of the providers' own programs, which people point at this proxy: it would ask itself.
#[test]
fn a_base_url_that_is_the_proxy_itself_is_warned_about_and_the_real_service_asked() {
    let base_url_of = |variables: &[(&str, &str)]| {
        let lookup = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        let config = config::Config::from_lookup(lookup).expect("good settings");
        let gemini = config.providers.iter().find(|it| it.provider == Provider::GEMINI).expect("Gemini");
        let is_warned = config.warnings.iter().any(|it| it.contains("is this proxy itself"));
        (gemini.base_url.to_string(), is_warned)
    };
    let key = ("GEMINI_API_KEY", "k");
    let at = |url: &'static str| ("GOOGLE_GEMINI_BASE_URL", url);
    let service = ("https://generativelanguage.googleapis.com/".to_owned(), true);
    assert_eq!(base_url_of(&[key, at("http://127.0.0.1:3001")]), service);
    assert_eq!(base_url_of(&[key, at("http://localhost:8080"), ("PORT", "8080")]), service);
    for other in ["http://127.0.0.1:3002/", "http://192.0.2.1:3001/"] {
        assert_eq!(base_url_of(&[key, at(other)]), (other.to_owned(), false));
    }
}
