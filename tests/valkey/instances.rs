//! Several instances of the program over one simulator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Cost, Limit, Limits, Plan, Settings, Simulator, Window};
use ai_proxy_free::internals::time::{Clock, Moment};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Binary, http_client, within_patience};

/// Instances over one provider with one model.
pub(crate) struct Instances {
    pub(crate) simulator: Simulator,
    pub(crate) all: Vec<(Binary, SocketAddr)>,
    pub(crate) provider: Provider,
    variables: HashMap<String, String>,
    client: Client,
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    longest_answer: u32,
}

/// What has become of some requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many were answered.
    pub(crate) answered: u64,
    /// How many were refused.
    pub(crate) refused: u64,
}

/// What is asked.
pub(crate) const LONGEST_ANSWER: u32 = 100;

/// The real time.
pub(crate) fn clock() -> Clock {
    Arc::new(|| Moment::at(Timestamp::now()))
}

/// So many requests a minute, each of which counts for a minute.
pub(crate) fn requests_a_minute(most: u64) -> Plan {
    Plan::each_model([Limit::new(most, Cost::Requests, Window::Sliding(Duration::from_secs(60)))])
}

impl Instances {
    /// So many instances, which share through `server` if there is one, over Gemini, whose answers say nothing about limits,
    /// with so many requests a minute.
    pub(crate) async fn start(
        count: usize,
        server: Option<&Server>,
        rpm: u64,
        own: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let url = server.map(Server::url);
        let limits = format!("rpm={rpm}");
        let mut all = vec![("GEMINI_LIMITS", limits.as_str())];
        all.extend(url.as_deref().map(|url| ("STATE_URL", url)));
        all.extend(own);
        Self::over(count, Provider::GEMINI, Limits::Custom(requests_a_minute(rpm)), &all).await
    }

    /// The same over a provider with other limits.
    pub(crate) async fn over(
        count: usize,
        provider: Provider,
        limits: Limits,
        own: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let simulator = Simulator::start(Directory::from_iter([provider]), |provider| Settings {
            limits: limits.clone(),
            kept_requests: 100_000,
            ..Settings::new(provider, clock())
        })
        .await?;
        let model = provider.default_models().next().expect("one");
        let mut variables = HashMap::from([
            (provider.profile().models_variable.to_owned(), model.to_owned()),
            ("STATE_FILE".to_owned(), String::new()),
        ]);
        variables.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let variables = Binary::variables_over(&simulator, variables);
        let client = Client { http: http_client()?, longest_answer: LONGEST_ANSWER };
        let mut instances = Self { simulator, all: Vec::new(), provider, variables, client };
        for _ in 0..count {
            instances.add().await?;
        }
        Ok(instances)
    }

    /// One instance more, once it has heard of the others.
    pub(crate) async fn add(&mut self) -> anyhow::Result<()> {
        self.add_unheard().await?;
        if self.variables.contains_key("STATE_URL")
            && let Some((binary, _)) = self.all.last_mut()
        {
            binary.line_with("quotas are shared through").await?;
        }
        Ok(())
    }

    /// One instance more, whether it hears of the others or not.
    pub(crate) async fn add_unheard(&mut self) -> anyhow::Result<()> {
        self.all.push(Binary::start(&[], self.variables.clone()).await?);
        Ok(())
    }

    /// From now on, requests ask for an answer of up to so many tokens.
    pub(crate) fn ask_for(&mut self, longest_answer: u32) {
        self.client.longest_answer = longest_answer;
    }

    /// Whether an instance says that its quotas are shared.
    pub(crate) async fn is_shared(&self, number: usize) -> anyhow::Result<bool> {
        Ok(self.sharing(number).await?["state"] == "shared")
    }

    /// Tells an instance to end, and waits until it has.
    pub(crate) async fn end(&mut self, number: usize) -> anyhow::Result<()> {
        let child = &mut self.all[number].0.child;
        let process = child.id().expect("it runs").to_string();
        tokio::process::Command::new("kill").args(["-s", "TERM", &process]).status().await?;
        let ended = within_patience("the end", child.wait()).await?;
        anyhow::ensure!(ended.success(), "{ended}");
        Ok(())
    }

    /// Asks an instance once, and says whether that was answered.
    pub(crate) async fn ask(&self, number: usize) -> anyhow::Result<bool> {
        self.client.ask(self.all[number].1).await
    }

    /// Who asks, for a task of its own.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// What an instance tells of the limit of requests a minute.
    pub(crate) async fn limit(&self, number: usize) -> anyhow::Result<Value> {
        self.limit_of(number, "requests", "minute").await
    }

    /// What an instance tells of sharing.
    pub(crate) async fn sharing(&self, number: usize) -> anyhow::Result<Value> {
        Ok(self.providers(number).await?["sharing"].take())
    }

    async fn providers(&self, number: usize) -> anyhow::Result<Value> {
        let url = format!("http://{}/providers", self.all[number].1);
        Ok(self.client.http.get(url).send().await?.json().await?)
    }

    /// What an instance tells of a limit.
    pub(crate) async fn limit_of(&self, number: usize, unit: &str, window: &str) -> anyhow::Result<Value> {
        let mut report = self.providers(number).await?;
        let providers = report["providers"].as_array_mut().expect("a list");
        let its = providers.iter_mut().find(|it| it["name"] == self.provider.name()).expect("it is there");
        let limits = its["models"][0]["limits"].as_array_mut().expect("a list");
        let is_meant = |it: &&mut Value| it["unit"] == unit && it["window"] == window;
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

    /// How many calls the provider has received.
    pub(crate) fn calls(&self) -> u64 {
        self.simulator.provider(self.provider).chat_count()
    }

    /// How many calls the provider has refused, given how many requests were answered.
    pub(crate) fn burnt(&self, answered: u64) -> u64 {
        self.calls() - answered
    }

    /// The most calls that the provider has received within any minute.
    pub(crate) fn most_in_a_minute(&self) -> usize {
        let chats = self.simulator.provider(self.provider).chats();
        let times: Vec<_> = chats.iter().map(|chat| chat.received).collect();
        let within = |(number, end): (usize, &tokio::time::Instant)| {
            let begun = times.partition_point(|it| *it + Duration::from_secs(60) <= *end);
            number + 1 - begun
        };
        times.iter().enumerate().map(within).max().unwrap_or_default()
    }
}

impl Client {
    /// Asks whoever listens there, and says whether that was answered.
    pub(crate) async fn ask(&self, address: SocketAddr) -> anyhow::Result<bool> {
        let url = format!("http://{address}/chat");
        let message = json!({"role": "user", "content": "Hola"});
        let question = json!({"messages": [message], "max_tokens": self.longest_answer});
        let response = within_patience("an answer", self.http.post(url).json(&question).send()).await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        anyhow::ensure!(status == 200 || status == 429, "{status}: {text}");
        Ok(status == 200)
    }
}
