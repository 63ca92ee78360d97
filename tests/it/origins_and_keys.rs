//! Who may call: web pages by their origin, clients by their key.

use ai_proxy_free::internals::providers::Directory;
use serde_json::json;

use crate::support::{TestProxy, ask, http_client, question};

#[tokio::test]
async fn by_default_every_page_may_call_and_read_the_headers() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let preflight = http_client()?
        .request("OPTIONS".parse()?, proxy.url("/chat"))
        .header("origin", "https://anywhere.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-request-id")
        .send()
        .await?;
    assert_eq!(preflight.status(), 200);
    let header = |name: &str| preflight.headers()[name].to_str().expect("ASCII").to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-allow-headers"), "authorization,content-type,x-request-id");
    assert!(header("access-control-allow-methods").contains("POST"));
    assert_eq!(proxy.upstream_calls(), 0);

    let reply = ask(&proxy, &question(), &[("origin", "https://anywhere.example")]).await?;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("*"));
    Ok(())
}

#[tokio::test]
async fn with_a_list_only_its_pages_may_call() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .with("CORS_ORIGINS", "https://App.example, http://localhost:5173/")
        .start()
        .await?;
    for origin in ["https://app.example", "http://localhost:5173"] {
        let reply = ask(&proxy, &question(), &[("origin", origin)]).await?;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some(origin)));
    }
    assert_eq!(ask(&proxy, &question(), &[]).await?.status, 200, "whoever sends no Origin is no page");
    let calls = proxy.upstream_calls();
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
        "https://App.example",
        "https://app.example/",
        "https://app.example:443",
        "http://localhost:5174",
        "null",
        "",
        "x",
    ] {
        let reply = ask(&proxy, &question(), &[("origin", origin)]).await?;
        assert_eq!(reply.status, 403, "{origin:?}");
        assert!(reply.error().contains("CORS_ORIGINS"));
        let preflight = http_client()?
            .request("OPTIONS".parse()?, proxy.url("/chat"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await?;
        assert_eq!(preflight.status(), 403, "{origin:?}");
        for headers in [&reply.headers, preflight.headers()] {
            assert!(
                headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
                "{origin:?}: {headers:?}"
            );
        }
        let health = http_client()?.get(proxy.url("/health")).header("origin", origin).send().await?;
        assert_eq!(health.status(), 200, "/health answers all the same");
    }
    assert_eq!(proxy.upstream_calls(), calls, "nobody is asked for a stranger");
    Ok(())
}

#[tokio::test]
async fn with_client_keys_everything_but_health_wants_one() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("PROXY_API_KEY", "first-key, second-key").start().await?;
    let refused: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer first-key, second-key")],
        &[("authorization", "Bearer ")],
        &[("authorization", "first-key")],
        &[("authorization", "Basic first-key")],
        &[("x-api-key", "first-ke")],
        &[("x-goog-api-key", "first-key ,")],
        &[("cookie", "key=first-key")],
    ];
    for headers in refused {
        let reply = ask(&proxy, &question(), headers).await?;
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert!(reply.error().contains("PROXY_API_KEY") && !reply.text().contains("first-key"));
        assert!(reply.header("access-control-allow-origin").is_some(), "a page can read the refusal");
    }
    for (method, path) in [("GET", "/nowhere"), ("GET", "/chat"), ("OPTIONS", "/chat")] {
        let response = http_client()?.request(method.parse()?, proxy.url(path)).send().await?;
        assert_eq!(response.status(), 401, "{method} {path}");
    }
    assert_eq!(proxy.upstream_calls(), 0);
    let accepted: &[(&str, &str)] = &[
        ("authorization", "Bearer first-key"),
        ("authorization", "bearer second-key"),
        ("x-api-key", "second-key"),
        ("x-goog-api-key", "first-key"),
    ];
    for header in accepted {
        assert_eq!(ask(&proxy, &question(), &[*header]).await?.status, 200, "{header:?}");
    }
    assert_eq!(http_client()?.get(proxy.url("/health")).send().await?.status(), 200);
    let preflight = http_client()?
        .request("OPTIONS".parse()?, proxy.url("/chat"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .send()
        .await?;
    assert_eq!(preflight.status(), 200, "a browser's preflight carries no key");
    Ok(())
}

#[tokio::test]
async fn the_clients_key_goes_to_no_provider() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("PROXY_API_KEY", "client-key").start().await?;
    let body = json!({"messages": [{"role": "user", "content": "Hola"}]});
    for _ in Directory::built_in() {
        ask(&proxy, &body, &[("authorization", "Bearer client-key"), ("x-api-key", "client-key")]).await?;
    }
    for provider in proxy.simulator.providers() {
        let sent = &provider.chats()[0];
        let body = String::from_utf8_lossy(&sent.body);
        assert!(body.contains("Hola"), "something was sent: {body}");
        let everything = format!("{} {:?} {body}", sent.path, sent.headers);
        assert!(!everything.contains("client-key"), "{everything}");
    }
    Ok(())
}
