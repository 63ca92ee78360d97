//! Providers are met over TLS, and their certificates are looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Settings, SimulatedProvider};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Binary, http_client, question, within_patience};

/// The address of a simulated Groq behind TLS.
struct Secured {
    address: String,
    _groq: SimulatedProvider,
    relay: JoinHandle<()>,
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.relay.abort();
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
    Ok(Secured { address, _groq: groq, relay })
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
