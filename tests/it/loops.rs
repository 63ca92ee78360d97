//! A provider's base URL that leads back to the proxy itself.

use std::net::SocketAddr;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{ask_at, log, question, with_one_model_each};

/// A server before the proxy, which may be anything that passes requests on; its address is known before the proxy's.
async fn passing_on_to(target: watch::Receiver<Option<SocketAddr>>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Some(target) = *target.borrow() else { continue };
            tokio::spawn(async move {
                let mut proxy = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut proxy).await
            });
        }
    });
    Ok(address)
}

/// One question became forty thousand calls.
#[tokio::test]
async fn a_proxy_that_is_its_own_provider_asks_itself_once_and_the_others_no_more_than_else()
-> anyhow::Result<()> {
    for path in ["/chat", "/v1/chat/completions", "/api/chat"] {
        let (tell, told) = watch::channel(None);
        let before = passing_on_to(told).await?;
        let proxy = with_one_model_each()
            .core()
            .with("OLLAMA_BASE_URL", format!("http://{before}"))
            .with("OLLAMA_MODEL", "auto")
            .with("MAX_WAIT_MS", 0)
            .with("MAX_CONCURRENT_REQUESTS", 20)
            .start()
            .await?;
        tell.send(Some(proxy.address))?;
        proxy.all(&Behaviour::trouble(Trouble::ServerError));
        let reply = ask_at(&proxy, path, &question(), &[]).await?;
        assert_eq!(reply.status, 502, "{path}: {}", reply.text());
        assert!(
            reply.text().contains(r#"{"provider":"Ollama","reason":"upstream_error","status":508}"#),
            "{}",
            reply.text()
        );
        for provider in [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI] {
            assert_eq!(proxy.provider(provider).chats().len(), 1, "{path}: {provider:?}");
        }
        // As soon as somebody is well, nobody notices.
        proxy.all(&Behaviour::echo());
        proxy.clock.advance(std::time::Duration::from_secs(3_600));
        assert_eq!(ask_at(&proxy, path, &question(), &[]).await?.status, 200, "{path}");
    }
    log::assert_clean();
    Ok(())
}
