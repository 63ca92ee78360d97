//! A Valkey or Redis server of a test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::support::within_patience;

/// The names under which the server is installed.
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

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// For `STATE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Says something to it.
    pub(crate) async fn tell(&self, command: &[&str]) -> anyhow::Result<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = command.split_first().expect("a command");
        Ok(redis::cmd(name).arg(arguments).query_async(&mut connection).await?)
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
            while self.tell(&["DBSIZE"]).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        within_patience("the server to listen", listens).await;
    }
}

fn launch(directory: &Path, arguments: &[String]) -> anyhow::Result<Child> {
    let start = |program: &&str| {
        let mut command = Command::new(program);
        command.args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(directory).args(arguments).current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    };
    let child = PROGRAMS.iter().find_map(start);
    child.ok_or_else(|| {
        anyhow::anyhow!("neither of {PROGRAMS:?} is installed (Debian: valkey-server or redis-server)")
    })
}
