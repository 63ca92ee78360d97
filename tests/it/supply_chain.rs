//! What stands in Cargo.lock: nothing older than the repair of a known hole, nothing of another's TLS, nothing from
//! anywhere but crates.io. CI asks cargo-deny for more; this needs no network.

use std::path::Path;

use anyhow::Context as _;

/// A package that is locked.
#[derive(Debug)]
struct Package {
    name: String,
    version: [u64; 3],
    /// None for the proxy itself.
    source: Option<String>,
}

/// The oldest version of a crate that may be locked, if it is locked at all, and why.
const FLOORS: [(&str, [u64; 3], &str); 4] = [
    (
        "h2",
        [0, 4, 16],
        "RUSTSEC-2026-0258: empty DATA frames are queued without limit (and before 0.4.4 RUSTSEC-2024-0332, the \
         CONTINUATION flood)",
    ),
    (
        "hyper",
        [1, 11, 0],
        "hyperium/hyper#4123: a Content-Length before Transfer-Encoding is kept and the connection stays open, which RFC \
         9112 §6.1 forbids for fear of smuggling",
    ),
    (
        "rustls",
        [0, 23, 45],
        "RUSTSEC-2026-0285: handshake messages in the clear are accepted behind a change of keys (and before 0.23.18 \
         RUSTSEC-2024-0399, a panic over a fragmented ClientHello)",
    ),
    (
        "rustls-webpki",
        [0, 103, 13],
        "RUSTSEC-2026-0104: a revocation list can cause a panic (and before 0.103.12 RUSTSEC-2026-0099: wildcard names \
         pass name constraints)",
    ),
];

/// TLS and cryptography that are not rustls with `ring`: what must be installed, or built with CMake.
const UNWANTED: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// The packages in Cargo.lock, of which Cargo writes every field on a line of its own.
fn packages() -> anyhow::Result<Vec<Package>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = std::fs::read_to_string(path)?;
    let package = |entry: &str| {
        let field = |name: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.and_then(|line| line.strip_suffix('"')).map(str::to_owned)
        };
        let version = field("version").with_context(|| format!("no version: {entry}"))?;
        Ok(Package {
            name: field("name").with_context(|| format!("no name: {entry}"))?,
            version: numbers(&version).with_context(|| format!("odd version: {entry}"))?,
            source: field("source"),
        })
    };
    text.split("[[package]]").skip(1).map(package).collect()
}

/// The three numbers of a version, without what may stand behind them.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let numbers = version.split(['-', '+']).next()?;
    let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

#[test]
fn no_crate_is_older_than_its_repair() -> anyhow::Result<()> {
    let packages = packages()?;
    for (name, floor, reason) in FLOORS {
        for package in packages.iter().filter(|package| package.name == name) {
            assert!(package.version >= floor, "{package:?} is older than {floor:?}. {reason}");
        }
    }
    for name in ["hyper", "rustls", "rustls-webpki"] {
        assert!(packages.iter().any(|package| package.name == name), "{name} is gone: so may its floor");
    }
    Ok(())
}

#[test]
fn tls_is_rustls_with_ring_alone() -> anyhow::Result<()> {
    let packages = packages()?;
    for name in UNWANTED {
        assert!(packages.iter().all(|package| package.name != name), "{name} is back in Cargo.lock");
    }
    assert!(packages.iter().any(|package| package.name == "ring"), "who does the cryptography?");
    Ok(())
}

#[test]
fn everything_is_from_crates_io() -> anyhow::Result<()> {
    for package in packages()?.iter().filter(|package| package.name != env!("CARGO_PKG_NAME")) {
        let source = package.source.as_deref();
        assert_eq!(source, Some("registry+https://github.com/rust-lang/crates.io-index"), "{package:?}");
    }
    Ok(())
}
