//! Rows 109 to 119: faults of ours, of our settings and of the machine.

use std::os::unix::fs::PermissionsExt as _;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Outcome, Settings, SimulatedProvider};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::ways::{Before, Way, ending, read_replies};
use crate::support::{Binary, TestProxy, http_client, question, within_patience};

/// The clock stands for any bug: it is the one part of a handler that a test may bring along.
#[tokio::test]
async fn row_109_a_handler_that_panics_is_an_internal_error_and_nothing_more() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 1).start().await?;
    for way in Way::ALL {
        let case = format!("{way:?}");
        let before = Before::case(&proxy).await?;
        proxy.clock.set_broken(true);
        // Twice, for the only place among the requests at once is free again after the first.
        for _ in 0..2 {
            let reply = way.post_json(&proxy, way.body().to_string()).await?;
            let sentence = way.refusal(&reply, 500, &case);
            assert_eq!(sentence, "Internal error of the proxy; its log says more", "{case}");
        }
        proxy.clock.set_broken(false);
        before.assert_nobody_was_asked(&proxy, &case).await?;
    }
    proxy.clock.set_broken(true);
    let health = http_client()?.get(proxy.url("/health")).send().await?;
    assert_eq!(health.status(), 500, "also the handler that asks nobody");
    proxy.clock.set_broken(false);
    assert_eq!(http_client()?.get(proxy.url("/health")).send().await?.status(), 200);
    Ok(())
}

/// Nothing can be said any more when a stream panics; it must not look finished, and nobody else must notice.
#[tokio::test]
async fn row_110_a_stream_that_panics_breaks_and_the_others_go_on() -> anyhow::Result<()> {
    for way in Way::STREAMS {
        let case = format!("{way:?}");
        let builder = TestProxy::builder().with("MAX_CONCURRENT_REQUESTS", 2);
        // Its connections break when this provider ends, and writing that down needs the time.
        let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
        let doomed = SimulatedProvider::start(Provider::GROQ, Settings::new(Provider::GROQ, clock)).await?;
        let answer = || Behaviour::answer(["One, ", "two."]);
        doomed.always(answer().with(Fault::Stall(After::Text(1))));
        let proxy = builder.with("GROQ_BASE_URL", doomed.base_url()).start().await?;
        let other = proxy.provider(Provider::CEREBRAS);
        other.always(answer().with(Fault::Stall(After::Text(1))));

        let mut panicking = way.ask(&proxy, Provider::GROQ).await?;
        panicking.read_until("One, ").await?;
        let mut neighbour = way.ask(&proxy, Provider::CEREBRAS).await?;
        neighbour.read_until("One, ").await?;
        proxy.clock.set_broken(true);
        drop(doomed);
        let received = ending(&case, panicking).await;
        proxy.clock.set_broken(false);
        let replies = read_replies(&received);
        let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
        assert_eq!(reply.status, 200, "{case}: it had begun");
        assert!(
            reply.is_broken && !reply.text().contains("[DONE]"),
            "{case}: it looks finished: {}",
            reply.text()
        );

        // The place of the one that broke is free again, and the other is still there.
        other.then(answer());
        let mut next = way.ask(&proxy, Provider::CEREBRAS).await?;
        next.read_until("two.").await?;
        assert_eq!(other.chats()[0].outcome, Outcome::Open, "{case}: the neighbour is still served");
        drop(neighbour);
        let is_over = |it: &SimulatedProvider| it.chats()[0].outcome != Outcome::Open;
        within_patience(&format!("{case}: the neighbour's end"), other.until(is_over)).await;
        drop(next);
        proxy.all(&Behaviour::echo());
        Before::case(&proxy).await?.assert_nobody_was_asked(&proxy, &case).await?;
    }
    Ok(())
}

/// One bad value for every variable that can have one.
#[tokio::test]
async fn row_114_all_mistakes_in_the_settings_are_reported_together() -> anyhow::Result<()> {
    let mistakes = [
        ("HOST", "nowhere:80"),
        ("PORT", "70000"),
        ("PROXY_API_KEY", "good,SECRET bad"),
        ("CORS_ORIGINS", "https://x.example,example.org"),
        ("GROQ_API_KEY", "SECRET\u{e9}"),
        ("CEREBRAS_MODEL", "two words"),
        ("GEMINI_MODEL", "good,../x"),
        ("GROQ_BASE_URL", "api.groq.com"),
        ("CEREBRAS_BASE_URL", "https://api.cerebras.ai/v1/"),
        ("GOOGLE_GEMINI_BASE_URL", "https://user:SECRET@x.example"),
        ("CONNECT_TIMEOUT_MS", "0"),
        ("FIRST_TOKEN_TIMEOUT_MS", "-1"),
        ("IDLE_TIMEOUT_MS", "30s"),
        ("REQUEST_TIMEOUT_MS", "1e3"),
        ("MAX_BODY_BYTES", "20MB"),
        ("MAX_CONCURRENT_REQUESTS", "many"),
        ("HEADER_READ_TIMEOUT_MS", "99999999999"),
        ("BODY_READ_TIMEOUT_MS", "1.5"),
        ("CLIENT_STALL_TIMEOUT_MS", "x"),
        ("SHUTDOWN_GRACE_SECONDS", "-5"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "loud=very"),
    ];
    for command in [&[][..], &["serve"], &["demo"]] {
        let (code, out, err) = Binary::run(command, &mistakes, None).await?;
        assert_eq!(code, Some(2), "{command:?}: {out}{err}");
        for (name, value) in mistakes {
            if command == ["demo"]
                && ["GROQ", "CEREBRAS", "GEMINI", "GOOGLE"].iter().any(|its| name.starts_with(its))
            {
                continue;
            }
            let line = err
                .lines()
                .find(|line| line.contains(name))
                .unwrap_or_else(|| panic!("{name} is not in:\n{err}"));
            assert!(line.contains("expected"), "{line}");
            assert!(value.contains("SECRET") || line.contains(value), "{line}");
        }
        assert!(!err.contains("SECRET") && !out.contains("SECRET"), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    Ok(())
}

#[tokio::test]
async fn row_114_a_port_that_is_taken_is_one_line_and_exit_code_1() -> anyhow::Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = taken.local_addr()?.port().to_string();
    for variables in
        [[("PORT", port.as_str()), ("HOST", "127.0.0.1")], [("PORT", "0"), ("HOST", "192.0.2.1")]]
    {
        let (code, out, err) = Binary::run(&[], &variables, None).await?;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(
            err.lines().count() == 1 && err.contains("cannot listen on") && err.contains(variables[1].1),
            "{err}"
        );
    }
    Ok(())
}

/// What the Docker image does: no HOME, nothing to write to, nobody's user id. `tests/sandbox/run` takes away more: all
/// of the file system but the program, and that read-only.
#[tokio::test]
async fn row_119_it_runs_with_nothing_around_it() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555))?;
    let mut command = Binary::command(directory.path());
    command.args(["demo"]).env("PORT", "0");
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = loop {
        let line = within_patience("the start line", lines.next_line()).await?.expect("a start line");
        if let Some((_, address)) = line.split_once("listening on ") {
            break address.to_owned();
        }
    };
    let response = http_client()?.post(format!("{address}/chat")).json(&question()).send().await?;
    assert_eq!(response.status(), 200);
    assert!(response.text().await?.ends_with("data: [DONE]\n\n"));
    Ok(())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
}
