//! TLS: whom to trust, and what to speak.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

/// HTTPS is not possible on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: {0}. Install CA certificates (Debian: apt-get install ca-certificates)")]
pub struct TlsUnavailable(String);

/// What certificates are checked with. Reading those of the machine takes milliseconds, so it is done once.
#[derive(Clone)]
pub(super) struct Trust {
    /// For providers.
    pub providers: TlsConnector,
    /// For HTTP proxies that are reached over TLS themselves.
    pub proxies: TlsConnector,
}

impl Trust {
    /// Reads the machine's CA certificates, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn of_this_machine() -> Result<Self, TlsUnavailable> {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let proxies = config(ring).map_err(|error| TlsUnavailable(error.to_string()))?;
        let mut providers = proxies.clone();
        // A server that is told of no protocol may choose HTTP/2, as many do that speak both.
        providers.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { providers: Arc::new(providers).into(), proxies: Arc::new(proxies).into() })
    }
}

fn config(ring: Arc<CryptoProvider>) -> Result<ClientConfig, rustls::Error> {
    let verifier = Arc::new(Verifier::new(ring.clone())?);
    let config = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}
