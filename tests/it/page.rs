//! The page for people: what is served, to whom, and what a browser is told about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::Method;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::Value;

use crate::support::{TestProxy, http_client};

/// All files of the page together are to be smaller.
const MAX_PAGE_BYTES: u64 = 80 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status/page")
}

/// The names of the page's files; the page itself is served at `/`.
fn files() -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of the page");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

/// Where a file is served.
fn path_of(file: &str) -> String {
    if file == "index.html" { "/".to_owned() } else { format!("/page/{file}") }
}

#[test]
fn the_page_is_small() {
    let sizes = files().into_iter().map(|name| std::fs::metadata(folder().join(name)).expect("a file").len());
    let bytes: u64 = sizes.sum();
    assert!(bytes < MAX_PAGE_BYTES, "the page has {bytes} bytes");
}

#[tokio::test]
async fn every_file_is_served_as_it_stands_without_a_key_and_under_a_strict_policy() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .with("PROXY_API_KEY", "k")
        .with("CORS_ORIGINS", "https://app.example")
        .start()
        .await?;
    for file in files() {
        let reply = http_client()?.get(proxy.url(&path_of(&file))).send().await?;
        assert_eq!(reply.status(), 200, "{file}");
        let headers = reply.headers().clone();
        let header = |name: http::HeaderName| headers[name].to_str().expect("ASCII").to_owned();
        let expected_type = match file.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml; charset=utf-8",
        };
        assert_eq!(header(CONTENT_TYPE), expected_type, "{file}");
        assert_eq!(header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{file}");
        assert_eq!(header(REFERRER_POLICY), "no-referrer", "{file}");
        assert_eq!(header(CACHE_CONTROL), "no-cache", "{file}");
        assert_eq!(
            header(CONTENT_SECURITY_POLICY),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
            "{file}"
        );
        assert_eq!(reply.text().await?, std::fs::read_to_string(folder().join(&file))?, "{file}");
    }
    assert_eq!(proxy.upstream_calls(), 0);
    assert_eq!(
        http_client()?.get(proxy.url("/providers")).send().await?.status(),
        401,
        "only the page is open"
    );
    Ok(())
}

#[tokio::test]
async fn the_page_names_only_files_that_there_are() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let mut named = BTreeSet::from(["index.html".to_owned()]);
    for file in files() {
        let text = std::fs::read_to_string(folder().join(&file))?;
        let of_module = text.split("from './").skip(1);
        let parts = of_module.chain(text.split("=\"/page/").skip(1));
        named.extend(parts.filter_map(|rest| rest.split(['\'', '"']).next()).map(str::to_owned));
        for far in ["//cdn", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!text.contains(far), "{file} has {far}");
        }
    }
    assert_eq!(named, files(), "what is named, and what there is");
    for path in ["/page/", "/page/nothing.js", "/page/../main.rs", "/page/style.css/x", "/page/index.html"] {
        let reply = http_client()?.get(proxy.url(path)).send().await?;
        assert_eq!(reply.status(), 404, "{path}");
        let paths = reply.json::<Value>().await?["paths"].clone();
        assert!(paths.as_array().expect("paths").contains(&Value::from("GET /")), "{path}: {paths}");
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_that_has_the_page_is_not_sent_it_again() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let tag = http_client()?.get(proxy.url("/")).send().await?.headers()[ETAG].clone();
    for (tags, status) in [
        (tag.to_str()?.to_owned(), 304),
        (format!("\"other\", W/{}", tag.to_str()?), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let reply =
            http_client()?.get(proxy.url("/page/main.js")).header(IF_NONE_MATCH, &tags).send().await?;
        assert_eq!(reply.status(), status, "{tags}");
        assert!(reply.headers().contains_key(CONTENT_SECURITY_POLICY), "{tags}");
        assert_eq!(reply.text().await?.is_empty(), status == 304, "{tags}");
    }
    Ok(())
}

#[tokio::test]
async fn the_page_can_be_asked_about_and_is_not_to_be_changed() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for path in ["/", "/page/main.js"] {
        let full = http_client()?.get(proxy.url(path)).send().await?.bytes().await?;
        let head = http_client()?.head(proxy.url(path)).send().await?;
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(head.headers()[CONTENT_LENGTH].to_str()?, full.len().to_string(), "{path}");
        assert!(head.bytes().await?.is_empty(), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let reply = http_client()?.request(method.clone(), proxy.url(path)).body("{}").send().await?;
            assert_eq!(reply.status(), 405, "{method} {path}");
            assert_eq!(reply.headers()[ALLOW].to_str()?, "GET,HEAD", "{method} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_page_may_call_the_proxy_by_whatever_name_it_was_opened() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("CORS_ORIGINS", "https://app.example").start().await?;
    let get = |path: &str, host: &str, origin: &str| {
        let request = http_client().map(|client| client.get(proxy.url(path)));
        let (host, origin) = (host.to_owned(), origin.to_owned());
        async move { anyhow::Ok(request?.header("host", host).header("origin", origin).send().await?) }
    };
    let port = proxy.address.port();
    for name in ["localhost", "127.0.0.1"] {
        let host = format!("{name}:{port}");
        assert_eq!(get("/providers", &host, &format!("http://{host}")).await?.status(), 200, "{host}");
    }
    // Somebody else's page gets the file, which is no secret, and may not read it.
    let reply = get("/", "localhost", "https://evil.example").await?;
    assert_eq!(reply.status(), 200);
    assert!(reply.headers().keys().all(|name| !name.as_str().starts_with("access-control-allow-origin")));
    assert_eq!(get("/providers", "localhost", "https://evil.example").await?.status(), 403);
    Ok(())
}
