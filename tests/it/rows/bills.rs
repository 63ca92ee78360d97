//! Nothing is ever billed by accident: a paid model is not listed, not used and not called, however it is asked for.

use serde_json::{Value, json};

use super::{alone, asked_for, fixture, name, raw, row, rows};
use crate::support::{TestProxy, chat, complete, http_client, question};

/// Models that bill, for each row that has any.
const PAID: [(&str, &[&str]); 6] = [
    (
        "OpenRouter",
        &[
            "openai/gpt-5",
            "google/gemma-4-31b-it",
            "openrouter/auto",
            "openrouter/fusion",
            "openrouter/pareto-code",
            "typesafe/jev-router",
            "~google/gemma-latest",
            "google/gemma-4-31b-it:free:nitro",
        ],
    ),
    (
        "Cloudflare",
        &["@cf/zai-org/glm-5.3-flash", "@cf/moonshotai/kimi-k2.6", "@cf/deepseek/deepseek-v4.1-pro"],
    ),
    ("Mistral", &["mistral-large-2512", "mistral-small-latest", "ministral-8b-latest"]),
    ("Z.ai", &["glm-5.3-flash", "glm-4.7", "glm-4.5-airx"]),
    ("Cohere", &["command-a-translate-08-2025"]),
    ("Kilo", &["openai/gpt-5", "kilo-auto/frontier", "anthropic/claude-sonnet-5"]),
];

/// No call was ever made that could bill.
fn assert_free(proxy: &TestProxy, its_name: &str) {
    let provider = row(its_name);
    for model in asked_for(proxy, provider) {
        assert!(provider.is_free(&model), "{its_name} was asked for {model}");
    }
    for chat in proxy.provider(provider).chats() {
        let body = chat.json();
        let caps = &body["provider"]["max_price"];
        let expected =
            if its_name == "OpenRouter" { json!({"prompt": 0, "completion": 0}) } else { Value::Null };
        assert_eq!(*caps, expected, "{its_name}: {body}");
    }
}

/// By the variable, by the list, by the client's own word, and when every free model is gone.
#[tokio::test]
async fn no_row_can_be_made_to_bill() -> anyhow::Result<()> {
    for (its_name, paid) in PAID {
        let provider = row(its_name);
        let free = provider.profile().models[0].id;
        // No model's id begins like that, and the settings say so.
        let in_settings: Vec<&str> = paid.iter().copied().filter(|id| !id.starts_with('~')).collect();
        let variable = provider.profile().models_variable;
        let proxy = alone(provider).with(variable, in_settings.join(",")).start().await?;
        let offered = paid.iter().copied().chain([free]);
        proxy.provider(provider).offer(offered.map(str::to_owned));
        proxy.read_models().await;
        assert_eq!(chat(&proxy, &question()).await?.header("x-model"), Some(free), "{its_name}");

        let listed = http_client()?.get(proxy.url("/v1/models")).send().await?.text().await?;
        for model in paid {
            let is_listed = listed.contains(&format!("/{model}\""));
            assert!(!is_listed, "{its_name}: {listed}");
            let pinned = format!("{}/{model}", name(provider));
            let messages = json!([{"role": "user", "content": "Hola"}]);
            let reply = complete(&proxy, &json!({"model": pinned, "messages": messages})).await?;
            assert_eq!(
                (reply.status, &reply.json()["error"]["code"]),
                (404, &json!("model_not_found")),
                "{pinned}"
            );
            assert!(reply.text().contains("costs money"), "{pinned}: {}", reply.text());
            let bare = complete(&proxy, &json!({"model": model, "messages": messages})).await?;
            assert_eq!(bare.status, 404, "{model}");
            // Only a list can tell it from a name that does not exist.
            let is_told = bare.text().contains("costs money");
            assert_eq!(is_told, provider.models_path().is_some(), "{model}: {}", bare.text());
            let body = json!({"provider": its_name, "model": model, "messages": messages});
            let reply = chat(&proxy, &body).await?;
            assert!(
                reply.status == 400 && reply.error().contains("costs money"),
                "{model}: {}",
                reply.text()
            );
        }
        // Nothing that is free is left, and the list offers only what bills.
        proxy.provider(provider).offer(paid.iter().map(|model| (*model).to_owned()));
        proxy.read_models().await;
        chat(&proxy, &question()).await?;
        assert_free(&proxy, its_name);
    }
    Ok(())
}

/// What the provider suggests instead of a free model that has ended is not followed.
#[tokio::test]
async fn a_paid_substitute_is_not_taken() -> anyhow::Result<()> {
    let provider = row("OpenRouter");
    let proxy = alone(provider).start().await?;
    proxy.all(&raw(404, &[], fixture(provider, "error_free_ended")));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!((reply.status, &reply.json()["attempts"][0]["reason"]), (502, &json!("not_in_plan")));
    assert_free(&proxy, "OpenRouter");
    Ok(())
}

/// A price that appears takes a model out, though its name still says that it is free.
#[tokio::test]
async fn a_model_with_a_price_is_not_on_the_list() -> anyhow::Result<()> {
    let provider = row("OpenRouter");
    let proxy = alone(provider).start().await?;
    let free = |price: &str, id: &str| json!({"id": id, "pricing": {"prompt": price, "completion": "0"}});
    let [first, second] = [0, 1].map(|at| provider.profile().models[at].id);
    let list = json!({"data": [free("0.0000001", first), free("0", second)]}).to_string().into_bytes();
    proxy.provider(provider).list_always(raw(200, &[], list));
    proxy.read_models().await;
    assert_eq!(chat(&proxy, &question()).await?.header("x-model"), Some(second));
    Ok(())
}

#[tokio::test]
async fn a_paid_model_in_a_variable_is_warned_about() -> anyhow::Result<()> {
    for (its_name, paid) in PAID {
        let profile = row(its_name).profile();
        let config = ai_proxy_free::internals::config::Config::from_lookup(|variable| {
            (variable == profile.models_variable).then(|| paid[0].to_owned())
        })?;
        let warning = config.warnings.iter().find(|it| it.contains(profile.models_variable));
        assert!(
            warning.is_some_and(|it| it.contains(paid[0]) && it.contains("never used")),
            "{:?}",
            config.warnings
        );
    }
    assert_eq!(
        rows().count(),
        PAID.len() + 2,
        "NVIDIA's accounts cannot be billed, and OVHcloud's callers have none"
    );
    Ok(())
}
