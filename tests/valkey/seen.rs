//! People see whether quotas are shared, with how many, and how fresh the numbers are.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::instances::Instances;
use crate::server::Server;
use crate::support::{Binary, http_client, within_patience};

const RPM: u64 = 300;
/// What nobody may see.
const PASSWORD: &str = "s3cret-of-the-server";

async fn body(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    Ok(http_client()?.get(format!("http://{address}{path}")).send().await?.text().await?)
}

/// The object `sharing` of `/providers`, once it is as expected.
async fn sharing(address: SocketAddr, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let search = async {
        loop {
            let report: Value = serde_json::from_str(&body(address, "/providers").await?)?;
            if is(&report["sharing"]) {
                return Ok(report["sharing"].clone());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_patience(what, search).await
}

/// The value of a series of `/metrics`.
async fn metric(address: SocketAddr, series: &str) -> anyhow::Result<Option<f64>> {
    let text = body(address, "/metrics").await?;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    Ok(value)
}

fn time(of: &Value) -> Timestamp {
    of.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {of}"))
}

#[tokio::test]
async fn the_reports_say_with_how_many_and_how_freshly_numbers_are_shared() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = Instances::start(3, Some(&server), RPM, &[]).await?;
    let address = instances.all[0].1;
    let shared = sharing(address, "three instances", |it| it["instances"] == 3).await?;
    assert_eq!((&shared["state"], &shared["reason"]), (&"shared".into(), &Value::Null), "{shared}");
    let (since, last) = (time(&shared["since"]), time(&shared["last_exchange"]));
    assert!(since <= last, "{shared}");
    sharing(address, "a later exchange", |it| time(&it["last_exchange"]) > last).await?;
    let limit = instances.limit(0).await?;
    assert_eq!(limit["shared"], true, "{limit}");
    time(&limit["shared_as_of"]);

    assert_eq!(metric(address, "ai_proxy_sharing_up").await?, Some(1.0));
    assert_eq!(metric(address, "ai_proxy_sharing_instances").await?, Some(3.0));
    assert_eq!(metric(address, "ai_proxy_sharing_exchanges_total{result=\"failed\"}").await?, Some(0.0));
    assert!(metric(address, "ai_proxy_sharing_exchanges_total{result=\"ok\"}").await? >= Some(2.0));
    let age = metric(address, "ai_proxy_sharing_last_exchange_age_seconds").await?.expect("it was shared");
    assert!((0.0..5.0).contains(&age), "{age}");
    Ok(())
}

#[tokio::test]
async fn the_reports_say_that_an_instance_is_alone_and_why_without_the_password() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    server.tell(&["CONFIG", "SET", "requirepass", PASSWORD]).await?;
    let url = format!("{}?pass={PASSWORD}", server.url());
    let instances = Instances::start(1, None, RPM, &[("STATE_URL", &url)]).await?;
    let address = instances.all[0].1;
    sharing(address, "to share", |it| it["state"] == "shared").await?;
    server.kill().await?;
    let alone = sharing(address, "to be alone", |it| it["state"] == "alone").await?;
    assert!(alone["reason"].as_str().is_some_and(|it| !it.is_empty()), "{alone}");
    assert!(time(&alone["since"]) >= time(&alone["last_exchange"]), "{alone}");
    let limit = instances.limit(0).await?;
    assert_eq!(limit["shared"], Value::Null, "{limit}");
    time(&limit["shared_as_of"]);
    let away = sharing(address, "words", |it| {
        it["reason"].as_str().is_some_and(|it| it.starts_with("it cannot be reached: "))
    });
    away.await?;
    assert_eq!(metric(address, "ai_proxy_sharing_up").await?, Some(0.0));
    assert!(metric(address, "ai_proxy_sharing_exchanges_total{result=\"failed\"}").await? >= Some(1.0));
    let seen = [body(address, "/providers").await?, body(address, "/metrics").await?];
    assert!(!format!("{seen:?} {}", instances.all[0].0.output).contains(PASSWORD));

    // The server is back without a password: then it refuses the login, and with it, all is well.
    server.start_again().await?;
    let refused = |it: &Value| it["reason"].as_str().is_some_and(|it| it.contains("refuses the login"));
    let wrong = sharing(address, "a refused login", refused).await?;
    assert!(!wrong.to_string().contains(PASSWORD), "{wrong}");
    server.tell(&["CONFIG", "SET", "requirepass", PASSWORD]).await?;
    let back = sharing(address, "to share again", |it| it["state"] == "shared").await?;
    assert!(time(&back["since"]) > time(&alone["since"]), "{back}");
    Ok(())
}

#[tokio::test]
async fn without_state_url_nothing_is_said_of_it() -> anyhow::Result<()> {
    let instances = Instances::start(1, None, RPM, &[]).await?;
    let address = instances.all[0].1;
    for path in ["/providers", "/metrics"] {
        let text = body(address, path).await?;
        assert!(
            !text.contains("sharing") && !text.contains("\"shared") && text.contains("waiting"),
            "{path}: {text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_does_not_share() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let variables = [("STATE_URL".to_owned(), server.url())];
    let (binary, address) = Binary::start(&["demo"], variables.into()).await?;
    let report: Value = serde_json::from_str(&body(address, "/providers").await?)?;
    assert_eq!(report["sharing"], Value::Null, "{}", binary.output);
    // `tell` alone is connected.
    let clients = format!("{:?}", server.tell(&["CLIENT", "LIST"]).await?);
    assert_eq!(clients.matches(" fd=").count(), 1, "{clients}");
    Ok(())
}

#[tokio::test]
async fn check_says_whether_the_server_lets_this_instance_in() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    server.tell(&["CONFIG", "SET", "requirepass", PASSWORD]).await?;
    let instances = Instances::start(0, None, RPM, &[]).await?;
    let simulated = Binary::variables_over(&instances.simulator, Default::default());
    let cases = [
        (format!("{}?pass={PASSWORD}", server.url()), 0, "accepted"),
        (format!("{}?pass=wrong", server.url()), 1, "it refuses the login"),
        (format!("redis://:{PASSWORD}@127.0.0.1:1"), 0, "it cannot be reached"),
        (format!("127.0.0.1:6379?pass={PASSWORD}"), 2, "expected redis://, rediss:// (TLS) or unix:///path"),
    ];
    for (url, expected, words) in cases {
        let mut variables: Vec<(&str, &str)> =
            simulated.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.push(("STATE_URL", &url));
        let (code, output, errors) = Binary::run(&["check"], &variables, None).await?;
        let said = format!("{output}{errors}");
        let line = said.lines().find(|line| line.contains("STATE_URL")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(words), "{line}");
        assert_eq!(code, Some(expected), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    Ok(())
}
