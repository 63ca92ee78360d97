//! The ways to a server, and who is let in.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::instances::Instances;
use crate::server::Server;
use crate::support::Binary;

const PREFIX: &str = "ai-proxy-free:v1:";

/// Whether two instances share through this URL: what one has used the other knows.
async fn is_shared(url: &str, own: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut all = vec![("STATE_URL", url)];
    all.extend(own);
    let mut instances = Instances::start(1, None, 60, &all).await?;
    assert!(instances.ask(0).await?, "{url}");
    instances.add().await?;
    let knows_it = async {
        while instances.limit(1).await?["used"] != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    crate::support::within_patience("the other to know", knows_it).await
}

/// The keys in a database.
async fn keys(url: &str) -> anyhow::Result<Vec<String>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    Ok(redis::cmd("KEYS").arg("*").query_async(&mut connection).await?)
}

/// A port that was free a moment ago, for a server that cannot choose one itself.
pub(crate) fn free_port() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port().to_string())
}

/// A user who may do no more than `docs/several.md` says.
#[tokio::test]
async fn a_user_with_few_rights_shares_in_a_database_of_its_own() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let guide = include_str!("../../docs/several.md");
    let rule =
        guide.lines().find_map(|line| line.strip_prefix("ACL SETUSER ")).expect("it stands in the guide");
    let words: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rule.split_whitespace()).collect();
    server.tell(&words).await?;
    let url = format!("{}?db=3&user=ai-proxy-free&pass=password", server.url());
    is_shared(&url, &[]).await?;
    let all = keys(&format!("{}?db=3", server.url())).await?;
    assert!(!all.is_empty() && all.iter().all(|key| key.starts_with(PREFIX)), "{all:?}");
    assert!(keys(&server.url()).await?.is_empty(), "nothing stands in the first database");
    Ok(())
}

/// All keys expire, and another version's are left alone.
#[tokio::test]
async fn row_134_keys_expire_and_those_of_another_version_are_left_alone() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let foreign = "ai-proxy-free:v2:{gemini}:rests";
    server.tell(&["SET", foreign, "what only a later version understands"]).await?;
    is_shared(&server.url(), &[]).await?;
    let kept = server.tell(&["GET", foreign]).await?;
    assert_eq!(redis::from_redis_value::<String>(kept)?, "what only a later version understands");
    for key in keys(&server.url()).await?.iter().filter(|key| *key != foreign) {
        let left: i64 = redis::from_redis_value(server.tell(&["PTTL", key]).await?)?;
        assert!(left > 0, "{key} never expires");
    }
    Ok(())
}

/// A server that is one of a cluster takes a call only if all its keys are in one slot.
#[tokio::test]
async fn all_keys_of_a_provider_are_in_one_slot_of_a_cluster() -> anyhow::Result<()> {
    let (port, bus) = (free_port()?, free_port()?);
    let server =
        Server::start(&["--port", &port, "--cluster-enabled", "yes", "--cluster-port", &bus]).await?;
    server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await?;
    let is_ready = async {
        while !redis::from_redis_value::<String>(server.tell(&["CLUSTER", "INFO"]).await?)?
            .contains("state:ok")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    crate::support::within_patience("the cluster", is_ready).await?;
    is_shared(&server.url(), &[]).await?;
    let mut slots = BTreeSet::new();
    let all = keys(&server.url()).await?;
    for key in &all {
        let slot: u64 = redis::from_redis_value(server.tell(&["CLUSTER", "KEYSLOT", key]).await?)?;
        slots.insert(slot);
    }
    assert!(all.len() >= 2 && slots.len() == 1, "{all:?} in {slots:?}");
    Ok(())
}

fn pem(directory: &Path, kind: &str, name: &str, fixture: &str) -> anyhow::Result<String> {
    let bytes = std::fs::read(tls_fixture(fixture))?;
    let path = directory.join(name);
    let text = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(bytes));
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

fn tls_fixture(name: &str) -> String {
    format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `SSL_CERT_FILE` counts as it does for providers.
#[tokio::test]
async fn a_server_with_a_certificate_of_a_private_authority_is_shared_with_who_trusts_it()
-> anyhow::Result<()> {
    let files = tempfile::tempdir()?;
    let certificate = pem(files.path(), "CERTIFICATE", "certificate.pem", "localhost.der")?;
    let key = pem(files.path(), "PRIVATE KEY", "key.pem", "localhost.key.der")?;
    let port = free_port()?;
    let tls = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let server = Server::start(&[&tls[..], &["--tls-auth-clients", "no"]].concat()).await?;
    let url = format!("rediss://localhost:{port}");
    is_shared(&url, &[("SSL_CERT_FILE", &tls_fixture("ca.pem"))]).await?;
    // Who does not trust it goes on alone.
    let instances = Instances::start(0, None, 60, &[]).await?;
    let own = [("STATE_URL", url.as_str()), ("SSL_CERT_FILE", &tls_fixture("other.pem"))];
    let (mut binary, address) = Binary::over(&instances.simulator, &own).await?;
    let line = binary.line_with("is not of use").await?;
    assert!(line.contains("certificate"), "{line}");
    assert!(instances.client().ask(address).await?);
    drop(server);
    Ok(())
}

#[tokio::test]
async fn row_135_a_password_that_is_changed_while_running_costs_no_request() -> anyhow::Result<()> {
    let server = Server::start(&["--requirepass", "first"]).await?;
    let url = format!("{}?pass=first", server.url());
    let mut instances = Instances::start(2, None, 300, &[("STATE_URL", &url)]).await?;
    server.tell_as("first", &["CONFIG", "SET", "requirepass", "second"]).await?;
    // Who is logged in stays so.
    server.tell_as("second", &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await?;
    let line = instances.all[0].0.line_with("is not of use").await?;
    assert!(!line.contains("first"), "{line}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tally = instances.ask_many(40, Duration::from_millis(20), |number| number % 2).await?;
    assert_eq!(tally.refused, 0);
    server.tell_as("second", &["CONFIG", "SET", "requirepass", "first"]).await?;
    instances.all[0].0.line_with("quotas are shared again").await?;
    Ok(())
}
