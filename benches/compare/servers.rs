//! The servers that are compared: nginx, HAProxy and this program, each with its log on, written to a file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::machine::{self, Cores, spawn_on};

/// A server; ends when dropped.
pub(crate) struct Server {
    child: Child,
    begun: Instant,
    pub(crate) address: SocketAddr,
    /// Where its configuration and its log are.
    home: TempDir,
}

impl Server {
    /// nginx before these servers, each in nginx's words, such as `127.0.0.1:80 backup`.
    pub(crate) fn nginx(cores: Cores, servers: &[String]) -> Self {
        let servers: String = servers.iter().map(|server| format!("server {server};\n")).collect();
        Self::configured(cores, "nginx.conf", &servers, |file, home| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(home).arg("-e").arg(home.join("errors")).arg("-c").arg(file);
            command
        })
    }

    pub(crate) fn haproxy(cores: Cores, server: &str) -> Self {
        let server = format!("server provider {server}");
        Self::configured(cores, "haproxy.cfg", &server, |file, _| {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(file);
            command
        })
    }

    /// This program or an older one, at `path`.
    pub(crate) fn program(cores: Cores, path: &Path, variables: &[(&'static str, String)]) -> Self {
        Self::start(cores, |port, _| {
            let mut command = Command::new(path);
            command.env_clear().env("PORT", port.to_string()).env("STATE_FILE", "");
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            command
        })
    }

    /// With a file of `bench/` in which the places are filled in.
    fn configured(
        cores: Cores,
        name: &str,
        servers: &str,
        command: impl Fn(&Path, &Path) -> Command,
    ) -> Self {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(name);
        let template = fs::read_to_string(template).expect("a configuration");
        Self::start(cores, |port, home| {
            let text = template.replace("@PORT@", &port.to_string()).replace("@SERVERS@", servers);
            let file = home.join(name);
            fs::write(&file, text.replace("@HOME@", &home.to_string_lossy())).expect("a file");
            command(&file, home)
        })
    }

    /// Starts what `command` gives for a port and a folder. Somebody else may take the port first; then it is tried again.
    fn start(cores: Cores, command: impl Fn(u16, &Path) -> Command) -> Self {
        for _ in 0..5 {
            let home = tempfile::tempdir().expect("a folder");
            let port = free_port();
            let mut command = command(port, home.path());
            let log = fs::File::create(home.path().join("log")).expect("a log");
            let errors = fs::File::create(home.path().join("stderr")).expect("a log");
            command.current_dir(home.path()).stdout(log).stderr(errors);
            let (child, begun) = spawn_on(cores.server, command);
            let mut server = Self { child, begun, address: (Ipv4Addr::LOCALHOST, port).into(), home };
            if server.is_up() {
                return server;
            }
            eprintln!("{}", server.said());
        }
        panic!("a server does not start");
    }

    /// Whether it listens, in time and before it ends.
    fn is_up(&mut self) -> bool {
        let limit = Duration::from_secs(20);
        while self.begun.elapsed() < limit && self.is_running() {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            // Not much work for the core that it may share.
            std::thread::sleep(Duration::from_micros(100));
        }
        false
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn cpu(&self) -> Duration {
        machine::cpu(self.child.id())
    }

    pub(crate) fn memory_kib(&self) -> f64 {
        machine::memory_kib(self.child.id())
    }

    /// The end of what it wrote.
    pub(crate) fn said(&self) -> String {
        let end = |path: PathBuf| {
            let text = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&text[text.len().saturating_sub(1_000)..]).into_owned()
        };
        ["stderr", "errors", "log"].map(|name| end(self.home.path().join(name))).join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        // Not killed: nginx's worker would stay.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !self.is_running()
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
