//! Refusals of one field: the request is sent again without it, and no request after it has it.

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};

use super::{alone, fixture, name, raw, row};
use crate::support::{TestProxy, complete};

/// What was asked for, call by call.
fn bodies(proxy: &TestProxy, provider: Provider) -> Vec<Value> {
    proxy.provider(provider).chats().iter().map(|chat| chat.json()).collect()
}

/// A request to one model, with this field.
fn asking(provider: Provider, model: &str, field: &str, value: &Value) -> Value {
    let mut body = json!({"model": format!("{}/{model}", name(provider)), "messages": [{"role": "user", "content": "Hola"}]});
    body[field] = value.clone();
    body
}

/// What Mistral says of a field that it does not know.
fn forbidden(field: &str) -> Vec<u8> {
    let detail =
        json!([{"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted"}]);
    json!({"object": "error", "message": {"detail": detail}, "code": null}).to_string().into_bytes()
}

#[tokio::test]
async fn a_field_that_a_model_refuses_is_left_out_and_told() -> anyhow::Result<()> {
    let mistral = row("Mistral");
    let [first, second] = [0, 1].map(|at| mistral.profile().models[at].id);
    for (field, on_the_wire, value) in [("top_p", "top_p", json!(0.5)), ("seed", "random_seed", json!(7))] {
        let proxy = alone(mistral).start().await?;
        proxy.provider(mistral).then(raw(422, &[], forbidden(on_the_wire)));
        let reply = complete(&proxy, &asking(mistral, first, field, &value)).await?;
        assert_eq!(
            (reply.status, reply.header("x-attempts"), reply.header("x-ignored-fields")),
            (200, Some("Mistral:bad_request, Mistral:ok"), Some(field)),
            "{}",
            reply.text()
        );
        // It is remembered, for this model alone.
        for (model, trail) in [(first, "Mistral:ok"), (second, "Mistral:ok")] {
            let reply = complete(&proxy, &asking(mistral, model, field, &value)).await?;
            assert_eq!((reply.status, reply.header("x-attempts")), (200, Some(trail)), "{field} {model}");
        }
        let has: Vec<bool> = bodies(&proxy, mistral).iter().map(|it| it.get(on_the_wire).is_some()).collect();
        assert_eq!(has, [true, false, false, true], "{field}");
    }
    Ok(())
}

/// It was not sent, or is refused without being there: then the request is at fault, and costs one call.
#[tokio::test]
async fn a_refusal_that_leaving_out_does_not_cure_is_the_requests_fault() -> anyhow::Result<()> {
    let mistral = row("Mistral");
    let model = mistral.profile().models[0].id;
    let wrong_value =
        json!({"detail": [{"type": "less_than_equal", "loc": ["body", "top_p"], "msg": "at most 1"}]});
    for (refusal, calls) in [
        (forbidden("stream_options"), 1),
        (forbidden("tools"), 1),
        (wrong_value.to_string().into_bytes(), 1),
        (forbidden("top_p"), 2),
    ] {
        let proxy = alone(mistral).start().await?;
        proxy.all(&raw(422, &[], refusal.clone()));
        let reply = complete(&proxy, &asking(mistral, model, "top_p", &json!(0.5))).await?;
        assert_eq!(
            (reply.status, bodies(&proxy, mistral).len()),
            (400, calls),
            "{}",
            String::from_utf8(refusal)?
        );
    }
    Ok(())
}

/// The highest price of nothing guards against a bill, so it is left out only where the model's name says that there is none.
#[tokio::test]
async fn the_guard_against_a_bill_is_left_out_for_free_models_alone() -> anyhow::Result<()> {
    let openrouter = row("OpenRouter");
    let refusal = || raw(404, &[], fixture(openrouter, "error_constraint"));
    for (model, status, has_guard) in [
        (openrouter.profile().models[0].id, 200, vec![true, false, false]),
        // A router that picks any model: free itself, but nothing says so of what it picks.
        ("openrouter/free", 502, vec![true]),
    ] {
        let proxy = alone(openrouter).with("OPENROUTER_MODEL", model).start().await?;
        proxy.provider(openrouter).then(refusal());
        for _ in 0..2 {
            let reply = complete(&proxy, &asking(openrouter, model, "user", &json!("u"))).await?;
            assert_eq!(reply.status, status, "{model}: {}", reply.text());
        }
        let has: Vec<bool> =
            bodies(&proxy, openrouter).iter().map(|it| it.get("provider").is_some()).collect();
        assert_eq!(has, has_guard, "{model}");
    }
    Ok(())
}
