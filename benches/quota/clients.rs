//! Who asks for what, and when: drawn once for each scenario, the same for every strategy.

use std::time::Duration;

use ai_proxy_free::internals::simulator::Size;
use fastrand::Rng;
use jiff::Timestamp;

/// A client and the answer that it will get, wherever it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) arrives: Timestamp,
    /// The tokens of its prompt, as providers count them.
    pub(crate) prompt: u64,
    /// What a proxy estimates of that: up to a tenth off.
    pub(crate) estimate: u64,
    /// The longest answer that it allows.
    pub(crate) max_tokens: u64,
    /// What the model would say if it were allowed to.
    pub(crate) answer: u64,
    pub(crate) first_token: Duration,
    /// Tokens a second.
    pub(crate) speed: f64,
    /// Whether it comes back, once, when it was refused.
    pub(crate) returns: bool,
    /// Whether it is counted.
    pub(crate) counts: bool,
}

impl Client {
    pub(crate) fn size(&self) -> Size {
        Size { prompt: self.prompt, longest_answer: self.max_tokens }
    }
}

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// A line or two each way.
    Short,
    /// Documents of some thousand tokens.
    Long,
    /// Conversations of 10,000 tokens that ask for long answers.
    Agents,
    /// Mostly conversations, with some of each of the others.
    Mixed,
}

impl Mix {
    pub(crate) const ALL: [Self; 4] = [Self::Mixed, Self::Short, Self::Long, Self::Agents];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short prompts",
            Self::Long => "long prompts",
            Self::Agents => "agents",
            Self::Mixed => "mixed prompts",
        }
    }

    /// Prompt and longest answer, in tokens.
    fn draw(self, random: &mut Rng) -> (u64, u64) {
        match self {
            Self::Short => (random.u64(30..200), 256),
            Self::Long => (random.u64(2_000..6_000), *random.choice(&[1_024, 2_048]).expect("one")),
            Self::Agents => (random.u64(8_000..12_000), 4_096),
            Self::Mixed => match random.u32(0..20) {
                0 => Self::Agents.draw(random),
                1..=3 => Self::Long.draw(random),
                4..=8 => Self::Short.draw(random),
                _ => (random.u64(200..1_500), *random.choice(&[512, 1_024, 2_048]).expect("one")),
            },
        }
    }

    /// A client that comes at `arrives`.
    pub(crate) fn client(self, arrives: Timestamp, random: &mut Rng) -> Client {
        let (prompt, max_tokens) = self.draw(random);
        // One in twenty would say more than it may.
        let share = if random.u32(0..20) == 0 { 2.0 } else { 0.05 + 0.55 * random.f64() };
        Client {
            arrives,
            prompt,
            estimate: ((prompt as f64) * (0.9 + 0.2 * random.f64())).round() as u64,
            max_tokens,
            answer: ((max_tokens as f64) * share) as u64,
            first_token: Duration::from_secs_f64(0.2 + 0.8 * random.f64()),
            speed: 50.0 * 10_f64.powf(random.f64()),
            returns: false,
            counts: true,
        }
    }

    /// Clients at `rate` a second, so many at a time, who know nothing of those before.
    pub(crate) fn poisson(
        self,
        rate: f64,
        clump: u64,
        from: Timestamp,
        span: Duration,
        random: &mut Rng,
    ) -> Vec<Client> {
        let mut clients = Vec::new();
        let mut now = from;
        loop {
            now += Duration::from_secs_f64(-(1.0 - random.f64()).ln() * clump as f64 / rate);
            if now >= from + span {
                return clients;
            }
            clients.extend((0..clump).map(|_| self.client(now, random)));
        }
    }
}
