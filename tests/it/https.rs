//! Providers are met over TLS, and their certificates are looked at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Settings, SimulatedProvider};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Binary, RawUpstream, Step, http_client, question, within_patience};

/// The address of a simulated Groq behind TLS.
struct Secured {
    address: String,
    _groq: SimulatedProvider,
    _relay: Relay,
}

/// A task that ends with its test.
struct Relay(JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tls_fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Groq behind one of the certificates in `tests/fixtures/tls`.
async fn secured(certificate: &str) -> anyhow::Result<Secured> {
    let chain = vec![std::fs::read(tls_fixture(&format!("{certificate}.der")))?.into()];
    let key = std::fs::read(tls_fixture(&format!("{certificate}.key.der")))?;
    let private = PrivateKeyDer::try_from(key).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    // As all providers do. Whoever takes the first is not understood by what is behind.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let groq = SimulatedProvider::start(
        Provider::GROQ,
        Settings::new(Provider::GROQ, Arc::new(ai_proxy_free::internals::time::Moment::now)),
    )
    .await?;
    let behind = groq.base_url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = format!("https://localhost:{}", listener.local_addr()?.port());
    let relay = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut outer = acceptor.accept(stream).await?;
                let mut inner = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
    Ok(Secured { address, _groq: groq, _relay: Relay(relay) })
}

/// Asks a proxy that knows only this Groq and trusts the authority in `ca_file`.
async fn ask(secured: &Secured, ca_file: &str) -> anyhow::Result<(u16, Value)> {
    let ca_file = tls_fixture(ca_file).display().to_string();
    let variables = [
        ("GROQ_API_KEY", "key"),
        ("GROQ_BASE_URL", &secured.address),
        ("SSL_CERT_FILE", &ca_file),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (_binary, address) = Binary::start(&[], variables).await?;
    let mut body = question();
    body["stream"] = false.into();
    let response = http_client()?.post(format!("http://{address}/chat")).json(&body).send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// So nothing that HTTP/2 can do to a connection arises: neither GOAWAY, nor a frozen peer that takes a hundred streams
/// with it, nor a limit to the streams. And no proxy of the environment comes between this machine and itself.
#[tokio::test]
async fn row_012_a_provider_that_offers_http_2_is_spoken_to_in_http_1() -> anyhow::Result<()> {
    let secured = secured("localhost").await?;
    let (status, answer) = ask(&secured, "ca.pem").await?;
    assert_eq!((status, &answer["provider"]), (200, &"Groq".into()), "{answer}");
    Ok(())
}

#[tokio::test]
async fn row_006_a_certificate_that_cannot_be_trusted_is_no_connection() -> anyhow::Result<()> {
    for (case, certificate, ca_file) in [
        ("wrong name", "elsewhere", "ca.pem"),
        ("unknown authority", "localhost", "other.pem"),
        ("expired", "expired", "ca.pem"),
    ] {
        let secured = secured(certificate).await?;
        let (status, answer) = ask(&secured, ca_file).await?;
        assert_eq!(
            (status, &answer["attempts"][0]["reason"]),
            (502, &"connect_failed".into()),
            "{case}: {answer}"
        );
        let text = answer.to_string();
        assert!(!text.contains("localhost") && !text.contains("http"), "{case}: no address in {text}");
    }
    Ok(())
}

/// A proxy of the environment, whose tunnels lead to `behind` whatever is asked for. Tells what was asked.
async fn tunnels_to(behind: &Secured) -> anyhow::Result<(SocketAddr, Relay, Asked)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (address, asked) = (listener.local_addr()?, Asked::default());
    let (behind, keep) = (behind.address.trim_start_matches("https://").to_owned(), asked.clone());
    let relay = tokio::spawn(async move {
        while let Ok((mut outer, _)) = listener.accept().await {
            let (behind, keep) = (behind.clone(), keep.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(outer.read_u8().await?);
                }
                keep.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                outer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                let mut inner = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
    Ok((address, Relay(relay), asked))
}

type Asked = Arc<Mutex<Vec<String>>>;

/// The proxy of the environment sees neither key nor prompt, only where they go; and whoever is behind it has to show the
/// certificate of the provider.
#[tokio::test]
async fn row_008_https_goes_through_a_tunnel() -> anyhow::Result<()> {
    for (certificate, expected) in [("elsewhere", 200), ("localhost", 502)] {
        let secured = secured(certificate).await?;
        let (proxy, _relay, asked) = tunnels_to(&secured).await?;
        let variables = [
            ("GROQ_API_KEY", "key".to_owned()),
            ("GROQ_BASE_URL", "https://example.org".to_owned()),
            ("SSL_CERT_FILE", tls_fixture("ca.pem").display().to_string()),
            ("HTTPS_PROXY", format!("http://me:secret@{proxy}")),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let (_binary, address) = Binary::start(&[], variables).await?;
        let sent = http_client()?.post(format!("http://{address}/chat")).json(&question()).send();
        let response = within_patience("an answer", sent).await?;
        assert_eq!(response.status(), expected, "{certificate}: {}", response.text().await?);
        let asked = asked.lock().unwrap().clone();
        let credentials = "proxy-authorization: Basic bWU6c2VjcmV0\r\n";
        let is_right = |it: &String| {
            it.starts_with("CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n")
                && it.contains(credentials)
                && !it.contains("key")
        };
        assert!(!asked.is_empty() && asked.iter().all(is_right), "{asked:?}");
    }
    Ok(())
}

/// A proxy that grants no tunnel is no way to a provider.
#[tokio::test]
async fn row_008_a_tunnel_that_is_refused_is_no_connection() -> anyhow::Result<()> {
    for refusal in ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP/1.1 502 X\r\n\r\n", "x\r\n"] {
        let proxy = RawUpstream::always(vec![Step::Send(refusal.into()), Step::Stall]).await?;
        let variables = [
            ("GROQ_API_KEY", "key".to_owned()),
            ("GROQ_BASE_URL", "https://example.org".to_owned()),
            ("SSL_CERT_FILE", tls_fixture("ca.pem").display().to_string()),
            ("HTTPS_PROXY", proxy.base_url()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let (_binary, address) = Binary::start(&[], variables).await?;
        let sent = http_client()?.post(format!("http://{address}/chat")).json(&question()).send();
        let answer: Value = within_patience("an answer", sent).await?.json().await?;
        assert_eq!(answer["attempts"][0]["reason"], "connect_failed", "{refusal:?}: {answer}");
    }
    Ok(())
}

/// A TLS handshake that never ends is a connection that never comes about.
#[tokio::test]
async fn row_005_a_stalled_handshake_is_given_up() -> anyhow::Result<()> {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
    let ca_file = tls_fixture("ca.pem").display().to_string();
    let base_url = format!("https://localhost:{}", silent.local_addr()?.port());
    let variables = [
        ("GROQ_API_KEY", "key"),
        ("GROQ_BASE_URL", base_url.as_str()),
        ("SSL_CERT_FILE", ca_file.as_str()),
        ("CONNECT_TIMEOUT_MS", "200"),
        ("FIRST_TOKEN_TIMEOUT_MS", "600000"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (_binary, address) = Binary::start(&[], variables).await?;
    let asked = http_client()?.post(format!("http://{address}/chat")).json(&question()).send();
    assert_eq!(within_patience("the end of the connect clock", asked).await?.status(), 504);
    Ok(())
}

#[tokio::test]
async fn row_007_without_any_ca_certificate_the_start_says_what_to_install() -> anyhow::Result<()> {
    let variables = [
        ("GROQ_API_KEY", "key"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("PORT", "0"),
    ];
    let (code, _, err) = Binary::run(&[], &variables, None).await?;
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.lines().count() == 1 && err.contains("ca-certificates") && !err.contains("panicked"),
        "{err}"
    );
    let (_binary, address) = Binary::start(
        &["demo"],
        [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
    )
    .await?;
    assert_ne!(address.port(), 0, "the demo needs none");
    Ok(())
}
