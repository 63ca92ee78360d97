//! Who may call: web pages by their origin, clients by their key.

use std::collections::HashMap;

use ai_proxy_free::internals::providers::Directory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Binary, RawClient, TestProxy, ask, http_client, question, within_patience};

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

/// The headers of `headers` that browsers read for CORS, sorted.
fn cors_headers(headers: &reqwest::header::HeaderMap) -> Vec<String> {
    let is_cors = |name: &str| name == "vary" || name.starts_with("access-control-");
    let said = headers.iter().filter(|(name, _)| is_cors(name.as_str()));
    let mut said: Vec<String> =
        said.map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    said.sort();
    said
}

#[tokio::test]
async fn a_browser_is_told_exactly_this() -> anyhow::Result<()> {
    const VARY: &str = "vary: origin, access-control-request-method, access-control-request-headers";
    const ORIGIN: &str = "https://app.example";
    let own = format!("access-control-allow-origin: {ORIGIN}");
    for (setting, origin, allowed) in [
        ("*", Some(ORIGIN), Some("access-control-allow-origin: *")),
        ("*", None, Some("access-control-allow-origin: *")),
        (ORIGIN, Some(ORIGIN), Some(own.as_str())),
        (ORIGIN, None, None),
    ] {
        let proxy = TestProxy::builder().with("CORS_ORIGINS", setting).start().await?;
        let ask = |method: &str, path: &str, headers: &[(&str, &str)]| -> anyhow::Result<_> {
            let request = http_client()?.request(method.parse()?, proxy.url(path));
            let headers = origin.map(|it| ("origin", it)).into_iter().chain(headers.iter().copied());
            Ok(headers.fold(request, |request, (name, value)| request.header(name, value)))
        };
        let preflight = [
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,x-a"),
            ("access-control-request-private-network", "true"),
        ];
        let told =
            ["access-control-allow-headers: authorization,x-a", "access-control-allow-methods: GET,POST"];
        let told = told.into_iter().chain(allowed).chain(["access-control-max-age: 86400", VARY]);
        let told: Vec<&str> = told.collect();
        for path in ["/chat", "/v1/models", "/nowhere"] {
            let answer = ask("OPTIONS", path, &preflight)?.send().await?;
            assert_eq!(answer.status(), 200, "{setting} {origin:?} {path}");
            assert_eq!(cors_headers(answer.headers()), told, "{setting} {origin:?} {path}");
            assert_eq!(answer.text().await?, "");
        }
        let short = ask("OPTIONS", "/chat", &preflight[..1])?.send().await?;
        assert_eq!(cors_headers(short.headers()), told[1..], "nothing is mirrored if nothing was asked");

        let told: Vec<&str> = allowed.into_iter().chain(["access-control-expose-headers: *", VARY]).collect();
        for (method, path) in
            [("GET", "/health"), ("GET", "/nowhere"), ("OPTIONS", "/chat"), ("PUT", "/v1/models")]
        {
            let answer = ask(method, path, &[])?.send().await?;
            assert_eq!(cors_headers(answer.headers()), told, "{setting} {origin:?} {method} {path}");
        }
    }
    Ok(())
}

/// A preflight from `origin` on both surfaces: status, and the origin that is allowed.
async fn preflights(proxy: &TestProxy, origin: &str) -> anyhow::Result<Vec<(u16, Option<String>)>> {
    let mut answers = Vec::new();
    for path in ["/chat", "/v1/chat/completions"] {
        let preflight = http_client()?.request("OPTIONS".parse()?, proxy.url(path)).header("origin", origin);
        let answer = preflight.header("access-control-request-method", "POST").send().await?;
        let allowed = answer.headers().get("access-control-allow-origin");
        let allowed = allowed.map(|it| it.to_str().expect("ASCII").to_owned());
        answers.push((answer.status().as_u16(), allowed));
    }
    Ok(answers)
}

#[tokio::test]
async fn patterns_of_origins_are_honoured_by_the_check_and_by_the_headers() -> anyhow::Result<()> {
    let patterns = "https://*.example.org, chrome-extension://*,http://localhost:*,null";
    let proxy = TestProxy::builder().with("CORS_ORIGINS", patterns).start().await?;
    let cases = [
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("chrome-extension://abcdefgh", true),
        ("http://localhost", true),
        ("http://localhost:5173", true),
        ("null", true),
        ("https://example.org", false),
        ("https://evilexample.org", false),
        ("https://a.example.org.evil", false),
        ("https://evil/.example.org", false),
        ("http://a.example.org", false),
        ("moz-extension://abcdefgh", false),
        ("https://localhost:5173", false),
        ("http://localhost.evil", false),
    ];
    for (origin, may_call) in cases {
        let (status, allowed) = if may_call { (200, Some(origin)) } else { (403, None) };
        let reply = ask(&proxy, &question(), &[("origin", origin)]).await?;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (status, allowed),
            "{origin}"
        );
        let expected = (status, allowed.map(str::to_owned));
        assert_eq!(preflights(&proxy, origin).await?, vec![expected; 2], "{origin}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_that_the_proxy_itself_serves_is_never_foreign() -> anyhow::Result<()> {
    // With a key, so that it may be called by any name.
    let builder = TestProxy::builder().with("CORS_ORIGINS", "https://app.example");
    let proxy = builder.with("PROXY_API_KEY", "k").start().await?;
    let own = proxy.address.to_string();
    let cases = [
        (own.as_str(), format!("http://{own}"), 200),
        ("chat.example", "https://chat.example".to_owned(), 200),
        ("chat.example:8443", "https://chat.example:8443".to_owned(), 200),
        ("Chat.Example", "http://chat.example".to_owned(), 200),
        ("chat.example", "https://chat.example:8443".to_owned(), 403),
        ("chat.example", "https://chat.example.evil".to_owned(), 403),
        ("chat.example", "https://a.chat.example".to_owned(), 403),
        ("chat.example", "chat.example".to_owned(), 403),
        ("chat.example", "ftp://chat.example".to_owned(), 403),
    ];
    for (host, origin, status) in cases {
        let headers = [("host", host), ("origin", &origin), ("x-api-key", "k")];
        let reply = ask(&proxy, &question(), &headers).await?;
        assert_eq!(reply.status, status, "{origin} at {host}: {}", reply.text());
        let allowed = reply.header("access-control-allow-origin");
        assert_eq!(allowed, (status == 200).then_some(origin.as_str()), "{origin} at {host}");
    }
    Ok(())
}

/// The status and the body of an answer to a request with these lines in its head.
async fn answer_to(proxy: &TestProxy, head: &str) -> anyhow::Result<(u16, String)> {
    let mut client = RawClient::connect(proxy.address).await?;
    client.stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await?;
    let mut received = Vec::new();
    within_patience("the answer", client.stream.read_to_end(&mut received)).await?;
    let received = String::from_utf8(received)?;
    let (head, body) = received.split_once("\r\n\r\n").expect("a head");
    assert!(!(head.contains(" 403 ") && head.contains("access-control-")), "{head}");
    Ok((head.split(' ').nth(1).expect("a status").parse()?, body.to_owned()))
}

/// A page whose name leads to 127.0.0.1 (DNS rebinding) is the proxy's own origin for its browser: only `Host` tells.
#[tokio::test]
async fn on_loopback_without_a_client_key_only_this_machines_names_are_served() -> anyhow::Result<()> {
    // The list must not let a page in that calls itself the proxy's own.
    let proxy = TestProxy::builder().with("CORS_ORIGINS", "https://app.example").start().await?;
    let hosts = [
        ("localhost", true),
        ("LocalHost:3001", true),
        ("localhost.", true),
        ("proxy.localhost:3001", true),
        ("127.0.0.1:3001", true),
        ("127.1.2.3", true),
        ("127.1:3001", true),
        ("[::1]:3001", true),
        ("[::ffff:127.0.0.1]", true),
        ("", true),
        ("evil.example:3001", false),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("evillocalhost", false),
        ("localhost@evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("192.0.2.1:3001", false),
        ("0.0.0.0:3001", false),
        ("[::]:3001", false),
        ("localhost, evil.example", false),
    ];
    for (host, is_served) in hosts {
        for (path, found) in [("/providers", 200), ("/v1/models", 200), ("/v1/nothing", 404)] {
            let (status, body) =
                answer_to(&proxy, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n")).await?;
            assert_eq!(status, if is_served { found } else { 403 }, "{path} at {host:?}: {body}");
            if !is_served {
                let error: Value = serde_json::from_str(&body)?;
                let error = if path == "/providers" { &error["error"] } else { &error["error"]["message"] };
                let sentence = error.as_str().expect("the surface's form");
                assert!(sentence.contains("PROXY_API_KEY") && sentence.contains("HOST"), "{sentence}");
            }
        }
        let (status, _) = answer_to(&proxy, &format!("GET /health HTTP/1.1\r\nhost: {host}\r\n")).await?;
        assert_eq!(status, 200, "/health answers all the same");
        let origin = format!("origin: http://{host}\r\n");
        let (status, _) =
            answer_to(&proxy, &format!("GET /providers HTTP/1.1\r\nhost: {host}\r\n{origin}")).await?;
        assert!(is_served || status == 403, "its own origin does not help {host}");
    }
    let others = [
        ("GET /providers HTTP/1.0\r\n", 200),
        ("GET http://localhost/providers HTTP/1.1\r\nhost: localhost\r\n", 200),
        ("GET http://evil.example/providers HTTP/1.1\r\nhost: localhost\r\n", 403),
        ("GET http://localhost/providers HTTP/1.1\r\nhost: evil.example\r\n", 403),
        ("GET /providers HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n", 403),
        ("GET /providers HTTP/1.0\r\nhost: evil.example\r\n", 403),
        (
            "OPTIONS /chat HTTP/1.1\r\nhost: evil.example\r\norigin: https://app.example\r\n\
             access-control-request-method: POST\r\n",
            403,
        ),
    ];
    for (head, expected) in others {
        assert_eq!(answer_to(&proxy, head).await?.0, expected, "{head}");
    }
    let reply = ask(&proxy, &question(), &[("host", "evil.example")]).await?;
    assert_eq!(reply.status, 403);
    assert_eq!(proxy.upstream_calls(), 0, "nobody is asked");
    Ok(())
}

#[tokio::test]
async fn with_a_client_key_or_beyond_loopback_any_host_is_served() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("PROXY_API_KEY", "k").start().await?;
    let head = "GET /providers HTTP/1.1\r\nhost: chat.example\r\nx-api-key: k\r\n";
    assert_eq!(answer_to(&proxy, head).await?.0, 200);
    for (host, status) in [("0.0.0.0", 200), ("127.0.0.1", 403), ("127.0.0.2", 403), ("localhost", 403)] {
        let (_binary, address) =
            Binary::start(&[], HashMap::from([("HOST".to_owned(), host.to_owned())])).await?;
        let at =
            if host == "0.0.0.0" { format!("127.0.0.1:{}", address.port()) } else { address.to_string() };
        let request = http_client()?.get(format!("http://{at}/providers")).header("host", "chat.example");
        assert_eq!(request.send().await?.status(), status, "{host}");
    }
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
        &[("api-key", "first")],
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
        ("api-key", "second-key"),
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
    for _ in Directory::core() {
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
