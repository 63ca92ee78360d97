//! The rotation over all connections together.

use std::collections::HashMap;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{Behaviour, Trouble};

use crate::support::{TestProxy, http_client, question};

/// Sends `requests` over `connections` that each send one after the other; gives what `x-provider` said.
async fn load(
    proxy: &TestProxy,
    requests: usize,
    connections: usize,
) -> anyhow::Result<HashMap<String, usize>> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (client, url) = (http_client()?, proxy.url("/chat"));
        tasks.spawn(async move {
            let mut served = Vec::new();
            for _ in 0..requests / connections {
                let response = client.post(&url).json(&question()).send().await?;
                anyhow::ensure!(response.status() == 200, "{}", response.status());
                served.push(response.headers()["x-provider"].to_str()?.to_owned());
                anyhow::ensure!(response.text().await?.ends_with("data: [DONE]\n\n"), "not whole");
            }
            Ok(served)
        });
    }
    let mut counts = HashMap::new();
    while let Some(served) = tasks.join_next().await {
        for provider in served?? {
            *counts.entry(provider).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Over providers that have room for thousands of requests: beyond what is known of their limits, calls are paced.
async fn roomy_proxy() -> anyhow::Result<TestProxy> {
    let limits = "rpm=100000, rpd=1000000, tpm=1000000000, tph=1000000000, tpd=1000000000";
    let providers = Directory::core().into_iter();
    let builder = providers.fold(TestProxy::builder(), |builder, provider| {
        builder.with(provider.profile().limits_variable, limits)
    });
    builder.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_requests_are_spread_evenly() -> anyhow::Result<()> {
    let proxy = roomy_proxy().await?;
    let served = load(&proxy, 1_000 * Directory::core().iter().len(), 50).await?;
    for provider in Directory::core() {
        assert_eq!(served[provider.name()], 1_000, "{served:?}");
        assert_eq!(proxy.counts(provider).await?, (1_000, 0));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_provider_failing_the_others_stay_even() -> anyhow::Result<()> {
    let troubles = [Trouble::ServerError, Trouble::RateLimited(0.0), Trouble::BadRequest, Trouble::BadKey];
    for (failing, trouble) in Directory::core().into_iter().cycle().zip(troubles) {
        let proxy = roomy_proxy().await?;
        proxy.provider(failing).always(Behaviour::trouble(trouble));
        let served = load(&proxy, 600, 50).await?;
        assert_eq!(served.get(failing.name()), None);
        assert_eq!(served.len(), Directory::core().iter().len() - 1, "{failing:?} {trouble:?}: {served:?}");
        let (least, most) = (served.values().min(), served.values().max());
        assert!(
            most.zip(least).is_some_and(|(most, least)| most - least <= 1),
            "{failing:?} {trouble:?}: {served:?}"
        );
    }
    Ok(())
}
