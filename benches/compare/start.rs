//! From the start of the process to the first answer, memory without work, and the size of the program.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::short::{PIECES, load};
use crate::table::Table;
use crate::upstream::{Script, Upstream};
use crate::ways::{Kind, NGINX, Over, Setup, Surface, Way};

pub(crate) const NAME: &str = "Start, memory without work, size";
pub(crate) const START: &str = "start to the first answer, ms";
pub(crate) const IDLE: &str = "idle memory, MB";
pub(crate) const USED: &str = "memory after 1,000 requests, MB";
pub(crate) const SIZE: &str = "program, MB";
/// The names of the rows.
pub(crate) const PROGRAM: &str = "this program";

const BYTES_OF_MB: f64 = 1e6;

pub(crate) async fn measure(setup: &Setup) -> Table {
    let upstream = Upstream::start(setup.cores, Script::at_once(PIECES));
    let mut rows = vec![
        (NGINX, Kind::Nginx, Path::new("/usr/sbin/nginx")),
        ("HAProxy", Kind::HaProxy, Path::new("/usr/sbin/haproxy")),
        (PROGRAM, Kind::Program(Surface::Chat, Over::Groq), setup.program.as_path()),
    ];
    if let Some(before) = &setup.before {
        rows.push(("before", Kind::Before(Surface::Chat, Over::Groq), before.as_path()));
    }
    let mut table = Table::new(NAME);
    // A start takes no time, and differs more from one to the next than anything else here.
    for round in 0..setup.pick(setup.rounds, setup.rounds * 4) {
        for turn in 0..rows.len() {
            let (name, kind, _) = rows[(round + turn) % rows.len()];
            let way = Way::open(setup, &upstream, kind);
            ask_for_health(&way);
            table.add(name, START, way.age().as_secs_f64() * 1e3);
            if round < setup.rounds {
                memory(&mut table, name, &way).await;
            }
        }
    }
    for (name, _, path) in rows {
        if let Ok(metadata) = std::fs::metadata(path) {
            table.add(name, SIZE, metadata.len() as f64 / BYTES_OF_MB);
        }
    }
    table
}

async fn memory(table: &mut Table, name: &str, way: &Way) {
    // Lists of models are read at start, and the answers are to be seen in memory, too.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    table.add(name, IDLE, way.memory_kib() * 1024.0 / BYTES_OF_MB);
    load(way, 8, 1_000).await;
    table.add(name, USED, way.memory_kib() * 1024.0 / BYTES_OF_MB);
}

/// Whatever the answer: those that are compared answer a 404 of the upstream's.
fn ask_for_health(way: &Way) {
    let mut stream = TcpStream::connect(way.address).expect("a connection");
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("a connection");
    let mut first = [0; 64];
    assert!(stream.read(&mut first).expect("an answer") > 12, "no answer");
    assert!(first.starts_with(b"HTTP/1.1 "), "no HTTP");
}
