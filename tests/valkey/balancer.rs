//! Three instances behind a real HAProxy with the settings in `packaging/`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Behaviour;
use futures::future::try_join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::instances::Instances;
use crate::server::Server;
use crate::support::{http_client, question, within_patience};

const RPM: u64 = 300;
const WORDS: usize = 30;

/// A HAProxy on a socket in a directory of its own. Dropping it kills it.
struct Balancer {
    directory: tempfile::TempDir,
    client: reqwest::Client,
    _child: Child,
}

impl Balancer {
    /// Starts it in front of `instances`, and waits until it finds all of them well.
    async fn start(instances: &Instances) -> anyhow::Result<Self> {
        let addresses: Vec<SocketAddr> = instances.all.iter().map(|(_, address)| *address).collect();
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, settings(directory.path(), &addresses)?)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn();
        let _child = child.map_err(|error| anyhow::anyhow!("haproxy (Debian: haproxy): {error}"))?;
        let client = reqwest::Client::builder().unix_socket(directory.path().join("in")).build()?;
        let balancer = Self { directory, client, _child };
        for number in 0..addresses.len() {
            balancer.until_it_finds(number, "UP").await;
        }
        Ok(balancer)
    }

    async fn ask(&self) -> anyhow::Result<reqwest::Response> {
        let sent = self.client.post("http://localhost/chat").json(&question()).send();
        Ok(within_patience("an answer", sent).await?)
    }

    /// What HAProxy says of an instance; empty as long as it says nothing.
    async fn finds(&self, number: usize) -> anyhow::Result<String> {
        let mut stream = UnixStream::connect(self.directory.path().join("stats")).await?;
        stream.write_all(b"show stat\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
        let status = names.iter().position(|name| *name == "status").unwrap_or(usize::MAX);
        let line = text.lines().find(|line| line.starts_with(&format!("proxies,proxy{number},")));
        Ok(line.and_then(|line| line.split(',').nth(status)).unwrap_or_default().to_owned())
    }

    async fn until_it_finds(&self, number: usize, status: &str) {
        let found = async {
            while self.finds(number).await.ok().as_deref() != Some(status) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within_patience(&format!("instance {number} to be {status}"), found).await;
    }
}

/// The settings that people get, but for the addresses, and with checks in quick succession.
fn settings(directory: &Path, addresses: &[SocketAddr]) -> anyhow::Result<String> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "packaging", "haproxy.cfg"].iter().collect();
    let mut text = std::fs::read_to_string(path)?;
    let servers = addresses.iter().enumerate().map(|(number, it)| format!("  server proxy{number} {it}\n"));
    let shown = directory.display();
    for (usual, own) in [
        ("global\n", format!("global\n  stats socket {shown}/stats level user\n")),
        ("bind :3001", format!("bind unix@{shown}/in")),
        ("inter 2s", "inter 100ms".to_owned()),
        ("resolvers docker\n  nameserver dns 127.0.0.11:53\n  hold valid 5s\n", String::new()),
        ("  server-template proxy 10 proxy:3001 resolvers docker init-addr none\n", servers.collect()),
    ] {
        anyhow::ensure!(text.matches(usual).count() == 1, "packaging/haproxy.cfg has no {usual:?}");
        text = text.replace(usual, &own);
    }
    Ok(text)
}

/// Which instance is calling a provider now.
async fn busy(instances: &Instances) -> anyhow::Result<usize> {
    let reports = instances.all.iter().map(|(_, address)| async move {
        let report = http_client()?.get(format!("http://{address}/health")).send().await?;
        anyhow::Ok(report.json::<Value>().await?["stats"]["services"]["Gemini"]["count"] == 1)
    });
    let found = try_join_all(reports).await?.into_iter().position(|is_busy| is_busy);
    found.ok_or_else(|| anyhow::anyhow!("nobody is busy"))
}

/// A stream goes on through an instance that was told to end, and whoever comes meanwhile is answered by the others.
#[tokio::test]
async fn an_instance_ends_behind_haproxy_and_no_client_notices() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), RPM, &[]).await?;
    let balancer = Balancer::start(&instances).await?;
    let words: Vec<String> = (0..WORDS).map(|number| format!("word{number} ")).collect();
    let slow = Behaviour::answer(words.clone()).paced(Duration::from_millis(100));
    instances.simulator.provider(Provider::GEMINI).then(slow);
    let mut stream = balancer.ask().await?;
    let mut text = stream.chunk().await?.expect("a first word").to_vec();

    let ending = busy(&instances).await?;
    instances.all[ending].0.signal("TERM").await?;
    instances.all[ending].0.line_with("Shutting down").await?;
    // So many at once that some are sent to it before HAProxy knows.
    for response in try_join_all((0..12).map(|_| balancer.ask())).await? {
        assert_eq!(response.status(), 200);
        assert!(!response.text().await?.is_empty());
    }
    balancer.until_it_finds(ending, "DOWN").await;
    assert!(instances.all[ending].0.child.try_wait()?.is_none(), "it still has a stream");
    while let Some(chunk) = within_patience("a word", stream.chunk()).await? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text)?;
    let contents = text.split("{\"content\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert_eq!(contents.collect::<String>(), words.concat());
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let end = within_patience("its end", instances.all[ending].0.child.wait()).await?;
    assert_eq!(end.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn an_instance_that_is_killed_before_its_first_word_costs_no_answer() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), RPM, &[]).await?;
    let balancer = Balancer::start(&instances).await?;
    let gemini = instances.simulator.provider(Provider::GEMINI);
    gemini.then(Behaviour::echo().thinking_for(Duration::from_secs(600)));
    let kill = async {
        let called = async {
            while gemini.chat_count() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within_patience("a call", called).await;
        let number = busy(&instances).await?;
        let id = instances.all[number].0.child.id().expect("it runs").to_string();
        anyhow::ensure!(Command::new("kill").args(["-s", "KILL", &id]).status().await?.success());
        Ok(number)
    };
    let (response, killed) = tokio::join!(balancer.ask(), kill);
    let (response, killed) = (response?, killed?);
    assert_eq!(response.status(), 200);
    assert!(!response.text().await?.is_empty());
    balancer.until_it_finds(killed, "DOWN").await;
    within_patience("its end", instances.all[killed].0.child.wait()).await?;
    Ok(())
}
