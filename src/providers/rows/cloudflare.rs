//! Cloudflare Workers AI: OpenAI's dialect below the account's own path.
//!
//! An account on the free plan is never billed: beyond its day calls fail. One on the paid plan is.
//!
//! Sources: <https://developers.cloudflare.com/workers-ai/platform/pricing/>,
//! <https://developers.cloudflare.com/workers-ai/platform/limits/> (17 September 2026),
//! <https://developers.cloudflare.com/workers-ai/platform/errors/>; models of 20 November 2026. Neurons are the list price
//! divided by $0.011 for a thousand. Fixtures: `tests/fixtures/cloudflare/`.

use std::time::Duration;

use crate::middle::{Cause, Effort, Feature, FreePlan, Limit, Measure, Pool, Renewal, Unit, Window, Zone};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{ListForm, NullContent, Quirks};
use crate::providers::profile::{AccountId, Dialect, Profile};
use crate::providers::words::rules::{FailureRule, Pause};

const GPT_OSS: Capabilities = Capabilities {
    window: 128_000,
    max_output: 16_384,
    schema: true,
    efforts: &[Effort::Low, Effort::Medium, Effort::High],
    ..Capabilities::USUAL
};
const SEEING: Capabilities =
    Capabilities { images: Images::Inline, max_output: 16_384, ..Capabilities::USUAL };

const PLAN: FreePlan = &[
    Limit::new(Measure::REQUESTS_A_MINUTE, 300),
    Limit::new(Measure::new(Unit::Neurons, Window::Day), 10_000)
        .shared(Pool::Account)
        .renewed(Renewal::Calendar(Zone::Utc)),
];

/// Cloudflare's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Cloudflare",
    key_variables: &["CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"],
    account_id: Some(AccountId {
        variable: "CLOUDFLARE_ACCOUNT_ID",
        before: "/client/v4/accounts/",
        hex_digits: 32,
    }),
    models_variable: "CLOUDFLARE_MODEL",
    limits_variable: "CLOUDFLARE_LIMITS",
    base_url_variable: "CLOUDFLARE_BASE_URL",
    base_url: "https://api.cloudflare.com",
    path_prefix: "/ai/v1",
    // For paying accounts only since 28 July 2026, or likely to be.
    free: FreeFilter::Without(&["kimi", "glm-5", "deepseek-v4", "inkling"]),
    models: &[
        Model::new("@cf/openai/gpt-oss-20b", GPT_OSS, PLAN).working(18_200, 27_300),
        Model::new(
            "@cf/google/gemma-4-26b-a4b-it",
            Capabilities { window: 256_000, schema: true, ..SEEING },
            PLAN,
        )
        .working(9_100, 27_300),
        Model::new("@cf/openai/gpt-oss-120b", GPT_OSS, PLAN).working(31_800, 68_200),
        Model::new("@cf/meta/llama-4-scout-17b-16e-instruct", SEEING, PLAN).working(24_500, 77_300),
        Model::new("@cf/ibm-granite/granite-4.0-h-micro", Capabilities::USUAL, PLAN).working(1_550, 10_200),
    ],
    preferred_families: &["gpt-oss", "gemma", "glm", "qwen3", "llama-4", "mistral"],
    families: &[("", Capabilities { window: 24_000, max_output: 8_192, ..Capabilities::USUAL })],
    first_token: Some(Duration::from_secs(200)),
    remark: Some("an account on the Workers Paid plan is billed beyond its daily allowance"),
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/ai/v1/chat/completions",
        models_path: "/ai/models/search?task=Text%20Generation&per_page=100",
        list: ListForm::Search,
        // Its own default ends an answer after 256 tokens.
        unasked_max_tokens: Some(4_096),
        null_content: NullContent::Empty,
        joins_texts: true,
        // Some reasoning models, passed on as they are.
        thinks_in_text: true,
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::FrequencyPenalty,
            Feature::PresencePenalty,
        ],
        failures: &[
            FailureRule::codes(0, &["3036", "4006"], Cause::AccountExhausted).waiting(Pause::Day),
            FailureRule::words(429, &["daily free allocation"], Cause::AccountExhausted).waiting(Pause::Day),
            FailureRule::codes(0, &["3040"], Cause::Overloaded),
            FailureRule::codes(429, &["3021"], Cause::RateLimited),
            // For paying accounts, or behind a licence that the account has not accepted.
            FailureRule::codes(0, &["5035", "5018", "5016", "3041", "2021"], Cause::NotInPlan),
            FailureRule::codes(0, &["3023", "10000"], Cause::KeyRefused),
            FailureRule::codes(0, &["5007", "3042"], Cause::ModelGone),
            FailureRule::codes(0, &["3006"], Cause::TooLarge),
            FailureRule::codes(0, &["3007"], Cause::Overloaded),
        ],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
