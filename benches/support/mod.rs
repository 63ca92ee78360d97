//! What the benches share: processes under measurement, and a client that sees every byte.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

/// A process under measurement; ends when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Process {
    /// Starts `command` and waits until it says where it listens; every later line goes to `on_line`.
    pub(crate) fn start(mut command: Command, mut on_line: impl FnMut(&str) + Send + 'static) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "it ended early");
        }
        let address = line.rsplit("http://").next().expect("an address").trim().to_owned();
        // Its log must go somewhere.
        std::thread::spawn(move || {
            line.clear();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                on_line(&line);
                line.clear();
            }
        });
        Self { child, address }
    }

    /// The proxy, with no other settings than these.
    pub(crate) fn proxy<V: AsRef<std::ffi::OsStr>>(
        variables: impl IntoIterator<Item = (&'static str, V)>,
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ai-proxy-free"));
        // What one bench has used must not slow down the next.
        command.env_clear().env("PORT", "0").env("STATE_FILE", "").envs(variables);
        Self::start(command, on_line)
    }

    /// Memory in use, in KiB.
    pub(crate) fn memory_kib(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `POST` of `body` to `path`.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What stands in the first content of every answer.
pub(crate) const WORD: &[u8] = b"word number";

/// A connection to `process`.
pub(crate) async fn connect(process: &Process) -> TcpStream {
    let stream = TcpStream::connect(&process.address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream
}
