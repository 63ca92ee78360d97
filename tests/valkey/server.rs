//! A Valkey or Redis server of a test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::support::within_patience;

/// Names the program: `STATE_SERVER=/opt/valkey/bin/valkey-server cargo test --test valkey`.
const ENV_STATE_SERVER: &str = "STATE_SERVER";
/// Without it: the names under which the server is installed.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];

/// A server on a socket in a directory of its own. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts it, with these settings besides.
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let child = launch(directory.path(), &arguments)?;
        let server = Self { child, arguments, directory };
        server.until_it_listens().await;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// For `STATE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Says something to it.
    pub(crate) async fn tell(&self, command: &[&str]) -> anyhow::Result<redis::Value> {
        self.tell_as("", command).await
    }

    /// The same for who logs in with this password, unless it is empty.
    pub(crate) async fn tell_as(&self, password: &str, command: &[&str]) -> anyhow::Result<redis::Value> {
        let login = if password.is_empty() { String::new() } else { format!("?pass={password}") };
        let client = redis::Client::open(format!("{}{login}", self.url()))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = command.split_first().expect("a command");
        Ok(redis::cmd(name).arg(arguments).query_async(&mut connection).await?)
    }

    /// How often its script was called.
    pub(crate) async fn script_calls(&self) -> anyhow::Result<u64> {
        let info: String = redis::from_redis_value(self.tell(&["INFO", "commandstats"]).await?)?;
        let calls = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok();
        let is_script = |line: &&str| line.starts_with("cmdstat_eval");
        Ok(info.lines().filter(is_script).filter_map(calls).sum())
    }

    /// What it says it is.
    pub(crate) async fn name(&self) -> anyhow::Result<String> {
        let info: String = redis::from_redis_value(self.tell(&["INFO", "server"]).await?)?;
        let version =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_version:"));
        let valkey = version("valkey").map(|version| format!("Valkey {version}"));
        Ok(valkey.unwrap_or_else(|| format!("Redis {}", version("redis").unwrap_or("?"))))
    }

    /// Ends it as a power cut does. Nothing of what it knew is left.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        let _ = std::fs::remove_file(self.socket());
        Ok(())
    }

    /// Starts it again, empty.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = launch(self.directory.path(), &self.arguments)?;
        self.until_it_listens().await;
        Ok(())
    }

    /// Sends a signal such as `STOP`.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await?;
        anyhow::ensure!(status.success(), "kill failed");
        Ok(())
    }

    async fn until_it_listens(&self) {
        let listens = async {
            while tokio::net::UnixStream::connect(self.socket()).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        within_patience("the server to listen", listens).await;
    }
}

fn launch(directory: &Path, arguments: &[String]) -> anyhow::Result<Child> {
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(directory).args(arguments).current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    };
    let child = match std::env::var(ENV_STATE_SERVER) {
        Ok(program) => start(&program),
        Err(_) => PROGRAMS.iter().find_map(|program| start(program)),
    };
    child.ok_or_else(|| {
        anyhow::anyhow!(
            "neither of {PROGRAMS:?} is installed (Debian: apt-get install valkey-server or redis-server), \
             or {ENV_STATE_SERVER} names no program"
        )
    })
}
