//! Several instances of the program over one simulator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Cost, Limit, Limits, Plan, Settings, Simulator, Window};
use ai_proxy_free::internals::time::Moment;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use crate::server::Server;
use crate::support::{Binary, http_client, question, within_patience};

/// Instances over Gemini alone, whose answers say nothing about limits, with one model and so many requests a minute.
pub(crate) struct Instances {
    pub(crate) simulator: Simulator,
    pub(crate) all: Vec<(Binary, SocketAddr)>,
    variables: HashMap<String, String>,
    client: reqwest::Client,
}

/// What has become of some requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many were answered.
    pub(crate) answered: u64,
    /// How many were refused.
    pub(crate) refused: u64,
}

impl Instances {
    /// So many instances, which share through `server` if there is one.
    pub(crate) async fn start(
        count: usize,
        server: Option<&Server>,
        rpm: u64,
        own: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let clock: ai_proxy_free::internals::time::Clock = Arc::new(|| Moment::at(Timestamp::now()));
        let window = Window::Sliding(Duration::from_secs(60));
        let plan = Plan::each_model([Limit::new(rpm, Cost::Requests, window)]);
        let simulator = Simulator::start(Directory::from_iter([Provider::GEMINI]), |provider| Settings {
            limits: Limits::Custom(plan.clone()),
            ..Settings::new(provider, clock.clone())
        })
        .await?;
        let model = Provider::GEMINI.default_models().next().expect("one");
        let limits = format!("rpm={rpm}");
        let mut variables = HashMap::from([
            ("GEMINI_MODEL".to_owned(), model.to_owned()),
            ("GEMINI_LIMITS".to_owned(), limits),
            ("STATE_FILE".to_owned(), String::new()),
        ]);
        variables.extend(server.map(|server| ("STATE_URL".to_owned(), server.url())));
        variables.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let variables = Binary::variables_over(&simulator, variables);
        let mut instances = Self { simulator, all: Vec::new(), variables, client: http_client()? };
        for _ in 0..count {
            instances.add().await?;
        }
        Ok(instances)
    }

    /// One instance more, once it has heard of the others.
    pub(crate) async fn add(&mut self) -> anyhow::Result<()> {
        let (mut binary, address) = Binary::start(&[], self.variables.clone()).await?;
        if self.variables.contains_key("STATE_URL") {
            binary.line_with("quotas are shared through").await?;
        }
        self.all.push((binary, address));
        Ok(())
    }

    /// Asks an instance once, and says whether that was answered.
    pub(crate) async fn ask(&self, number: usize) -> anyhow::Result<bool> {
        let url = format!("http://{}/chat", self.all[number].1);
        let request = self.client.post(url).json(&question()).send();
        let response = within_patience("an answer", request).await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        anyhow::ensure!(status == 200 || status == 429, "{status}: {text}");
        Ok(status == 200)
    }

    /// What an instance tells of the limit of requests a minute.
    pub(crate) async fn limit(&self, number: usize) -> anyhow::Result<Value> {
        let url = format!("http://{}/providers", self.all[number].1);
        let mut report: Value = self.client.get(url).send().await?.json().await?;
        let providers = report["providers"].as_array_mut().expect("a list");
        let gemini = providers.iter_mut().find(|it| it["name"] == "Gemini").expect("it is there");
        let limits = gemini["models"][0]["limits"].as_array_mut().expect("a list");
        let is_meant = |it: &&mut Value| it["unit"] == "requests" && it["window"] == "minute";
        Ok(limits.iter_mut().find(is_meant).expect("it is known").take())
    }

    /// Asks so many times, at this pace; `whom` says which instance.
    pub(crate) async fn ask_many(
        &self,
        count: usize,
        pause: Duration,
        whom: impl Fn(usize) -> usize,
    ) -> anyhow::Result<Tally> {
        let whom = &whom;
        let each = (0..count).map(|number| async move {
            tokio::time::sleep(pause * u32::try_from(number).expect("a small number")).await;
            self.ask(whom(number)).await
        });
        let mut tally = Tally::default();
        for answered in join_all(each).await {
            if answered? {
                tally.answered += 1;
            } else {
                tally.refused += 1;
            }
        }
        Ok(tally)
    }

    /// How many calls the provider has refused, given how many requests were answered.
    pub(crate) fn burnt(&self, answered: u64) -> u64 {
        self.simulator.provider(Provider::GEMINI).chat_count() - answered
    }
}
