//! The user's own names for models, on the surfaces where names are meant: a name of ours counts first.

use serde_json::json;

use crate::support::{Binary, TestProxy, chat, complete};

#[tokio::test]
async fn an_unknown_name_that_has_an_alias_means_its_model() -> anyhow::Result<()> {
    let aliases = "gpt-4o=groq/openai/gpt-oss-120b, my *=Gemini, auto=groq, gemini=groq";
    let proxy = TestProxy::builder().with("MODEL_ALIASES", aliases).start().await?;
    let cases = [
        ("gpt-4o", "Groq", Some("openai/gpt-oss-120b")),
        ("GPT-4o", "Groq", Some("openai/gpt-oss-120b")),
        ("my model", "Gemini", None),
        // A name of ours is nobody else's.
        ("gemini", "Gemini", None),
    ];
    for (name, provider, model) in cases {
        let body = json!({"messages": [{"role": "user", "content": "Hola"}], "model": name});
        for reply in [chat(&proxy, &body).await?, complete(&proxy, &body).await?] {
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            assert_eq!(reply.header("x-provider"), Some(provider), "{name}");
            assert!(model.is_none_or(|model| reply.header("x-model") == Some(model)), "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_name_without_an_alias_is_as_unknown_as_ever_and_an_alias_of_nothing_says_what_is_missing()
-> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MODEL_ALIASES", "mine=groq/not-there").start().await?;
    for (name, missing) in [("gpt-4o", "gpt-4o"), ("mine", "not-there")] {
        let body = json!({"messages": [{"role": "user", "content": "Hola"}], "model": name});
        let reply = complete(&proxy, &body).await?;
        assert_eq!(reply.status, 404, "{name}");
        assert!(reply.text().contains(missing), "{name}: {}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn an_alias_without_both_sides_is_refused_at_start() -> anyhow::Result<()> {
    let (code, _, err) = Binary::run(&[], &[("MODEL_ALIASES", "a=b,claude-opus")], None).await?;
    assert_eq!(code, Some(2));
    assert!(err.contains("MODEL_ALIASES") && err.contains("claude-opus"), "{err}");
    Ok(())
}
