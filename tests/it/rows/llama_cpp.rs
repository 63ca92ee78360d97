//! What llama.cpp's server was recorded to say, over real sockets. `tests/local` asks the server itself.

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{Behaviour, Reply, Settings, Simulator};
use serde_json::json;

use super::{alone, asked_for, fixture, raw, row};
use crate::support::{Binary, chat, complete, question};

#[tokio::test]
async fn every_error_of_llama_cpps_server_means_what_it_says() -> anyhow::Result<()> {
    let llama = row("LlamaCpp");
    for (file, status, reason, told, rests) in [
        ("error_context", 400, "context_too_long", 400, false),
        ("error_schema", 400, "bad_request", 400, false),
        ("error_picture", 500, "bad_request", 400, false),
        ("error_key", 401, "bad_key", 502, true),
    ] {
        let proxy = alone(llama).with("LLAMACPP_MODEL", "smol").start().await?;
        proxy.provider(llama).offer(["smol"]);
        // As often as would put a provider that fails to rest.
        for _ in 0..4 {
            proxy.provider(llama).then(raw(status, &[], fixture(llama, file)));
            let reply = chat(&proxy, &question()).await?;
            assert_eq!(
                (reply.status, &reply.json()["attempts"][0]["reason"]),
                (told, &json!(reason)),
                "{file}"
            );
            if rests {
                break;
            }
        }
        let calls = asked_for(&proxy, llama).len();
        let reply = chat(&proxy, &question()).await?;
        let expected = if rests { (told, calls) } else { (200, calls + 1) };
        assert_eq!((reply.status, asked_for(&proxy, llama).len()), expected, "{file}: {}", reply.text());
    }
    Ok(())
}

/// A server that was started with nothing but the path of a file lists this path, and answers to any name.
#[tokio::test]
async fn a_model_may_be_known_by_the_path_of_its_file() -> anyhow::Result<()> {
    for name in ["LlamaCpp", "vLLM"] {
        let provider = row(name);
        for path in ["/home/ana/images/smol (1).gguf", "../smol.gguf", r"C:\models\smol.gguf"] {
            let proxy = alone(provider).start().await?;
            proxy.provider(provider).offer([path]);
            proxy.read_models().await;
            let reply = chat(&proxy, &question()).await?;
            assert_eq!((reply.status, reply.header("x-model")), (200, Some(path)), "{name}");
            for model in [path.to_owned(), format!("{}/{path}", name.to_ascii_lowercase())] {
                let body = json!({"model": model, "messages": [{"role": "user", "content": "Hola"}]});
                assert_eq!(complete(&proxy, &body).await?.status, 200, "{model}");
            }
            assert!(asked_for(&proxy, provider).iter().all(|asked| asked == path), "{name}: {path}");
        }
        let variable = provider.profile().models_variable;
        let proxy = alone(provider).with(variable, "/models/smol.gguf").start().await?;
        proxy.provider(provider).offer(["/models/smol.gguf"]);
        assert_eq!(chat(&proxy, &question()).await?.header("x-model"), Some("/models/smol.gguf"), "{name}");
    }
    Ok(())
}

/// Its first chunk has `null` for content, and its last one figures that no other server sends.
#[tokio::test]
async fn a_recorded_stream_becomes_an_answer() -> anyhow::Result<()> {
    let llama = row("LlamaCpp");
    let folder = format!("{}/tests/fixtures/llamacpp", env!("CARGO_MANIFEST_DIR"));
    let whole: serde_json::Value = serde_json::from_slice(&fixture(llama, "whole"))?;
    let proxy = alone(llama).with("LLAMACPP_MODEL", "smol").start().await?;
    proxy.provider(llama).always(Behaviour::new(Reply::Raw {
        status: 200,
        headers: vec![("content-type".into(), "text/event-stream".into())],
        body: vec![std::fs::read(format!("{folder}/stream.sse"))?],
    }));
    let mut body = question();
    body["stream"] = false.into();
    let answer = chat(&proxy, &body).await?.json();
    assert_eq!(answer["content"], whole["choices"][0]["message"]["content"]);
    assert_eq!(answer["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    Ok(())
}

#[tokio::test]
async fn check_calls_a_server_without_a_model_that_chats_of_no_use() -> anyhow::Result<()> {
    let llama = row("LlamaCpp");
    for (model, code, word) in [("nomic-embed-text", 1, "no model"), ("smol", 0, "uses smol")] {
        let simulator = Simulator::start(Directory::from_iter([llama]), |it| Settings {
            models: vec![model.to_owned()],
            ..Settings::new(it, std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now))
        });
        let simulator = simulator.await?;
        let url = simulator.provider(llama).base_url();
        let (status, out, _) = Binary::run(&["check"], &[("LLAMACPP_BASE_URL", &url)], None).await?;
        assert!(status == Some(code) && out.contains(word), "{model}: {status:?} {out}");
    }
    Ok(())
}
