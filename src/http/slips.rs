//! Paths as clients write them whose base URL is slightly wrong, and the paths that they mean.
//!
//! A base URL has `/v1` or not, once or twice, a slash at its end, or the whole address that was copied from some
//! documentation; the SDK adds its part behind it. What is meant is clear, so it is answered. The path is put right once,
//! before anything looks at it: routes, surfaces and refusals know only right ones.

use http::Uri;

use super::areas;

/// What clients put before OpenAI's paths, any number of times.
const PREFIXES: [&str; 2] = ["openai", "v1"];

/// Puts the path of `uri` right: no empty segment, no slash at the end, and OpenAI's paths below one prefix.
pub(super) fn put_right(uri: &mut Uri) {
    let Some(path) = meant(uri.path()) else { return };
    let path = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(right) = Uri::from_parts(parts) {
        *uri = right;
    }
}

/// The path that is meant by `path`, if that is another.
fn meant(path: &str) -> Option<String> {
    // `OPTIONS *` and `CONNECT` have no path.
    let segments: Vec<&str> =
        path.strip_prefix('/')?.split('/').filter(|segment| !segment.is_empty()).collect();
    let right = openai(&segments).unwrap_or_else(|| format!("/{}", segments.join("/")));
    (right != path).then_some(right)
}

/// One of OpenAI's paths below one prefix, if that is what `segments` mean.
fn openai(segments: &[&str]) -> Option<String> {
    let mut rest = segments;
    loop {
        while let Some((_, behind)) = rest.split_first().filter(|(first, _)| PREFIXES.contains(first)) {
            rest = behind;
        }
        match rest {
            // The whole address was taken for the base URL.
            ["chat", "completions", behind @ ..] if !behind.is_empty() => rest = behind,
            ["chat", "completions"] | ["models" | "responses", ..] => break,
            _ => return None,
        }
    }
    let before = segments.len() - rest.len();
    let written = segments.get(..before).unwrap_or_default().join("/");
    let mut prefixes = areas::OPENAI.iter().map(|area| area.path);
    let prefix = prefixes.find(|prefix| prefix.strip_prefix('/') == Some(written.as_str())).unwrap_or("/v1");
    Some(format!("{prefix}/{}", rest.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_found() {
        let cases = [
            ("/chat/completions", "/v1/chat/completions"),
            ("/v1/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/v1/v1/models/groq%2Fx", "/v1/models/groq%2Fx"),
            ("/openai/v1/v1/models", "/v1/models"),
            ("/openai/v1/openai/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/openai/v1/models/groq/openai/v1", "/v1/models/groq/openai/v1"),
            ("/openai/chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/models", "/v1/models"),
            ("/chat/completions/v1/chat/completions", "/v1/chat/completions"),
            ("//v1/chat/completions", "/v1/chat/completions"),
            ("/v1//chat//completions//", "/v1/chat/completions"),
            ("/openai//v1/models/", "/openai/v1/models"),
            ("/models", "/v1/models"),
            ("/responses", "/v1/responses"),
            ("/v1/v1/responses/resp_1", "/v1/responses/resp_1"),
            ("/models/auto/", "/v1/models/auto"),
            ("/chat/", "/chat"),
            ("//chat", "/chat"),
            ("/health/", "/health"),
            ("/v1/", "/v1"),
            ("//", "/"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("/nowhere//x/", "/nowhere/x"),
        ];
        for (path, right) in cases {
            assert_eq!(meant(path).as_deref(), Some(right), "{path}");
            assert_eq!(meant(right), None, "{right} is right");
        }
    }

    #[test]
    fn what_is_right_or_not_ours_stays_as_it_is() {
        let paths = [
            "/",
            "",
            "*",
            "/chat",
            "/v1",
            "/openai/v1/models/groq/openai/gpt-oss-20b",
            "/v1/models/groq%2F%2Fx",
            "/v1beta/models",
            "/v1/chat/completions/chatcmpl-1",
            "/api/v1/chat/completions",
            "/v1/v1/nothing",
            "/Chat",
        ];
        for path in paths {
            assert_eq!(meant(path), None, "{path}");
        }
    }

    #[test]
    fn nothing_but_the_path_changes() {
        let cases = [
            ("/models/?a=b//c/", "/v1/models?a=b//c/"),
            ("http://example.org//chat/?x", "http://example.org/chat?x"),
            ("/chat?x=/v1/v1/", "/chat?x=/v1/v1/"),
            ("example.org:443", "example.org:443"),
        ];
        for (uri, right) in cases {
            let mut uri: Uri = uri.parse().unwrap();
            put_right(&mut uri);
            assert_eq!(uri.to_string(), right);
        }
    }
}
