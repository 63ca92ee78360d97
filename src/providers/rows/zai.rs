//! Z.ai (Zhipu): OpenAI's dialect at `/api/paas/v4`. Its flash models are free; its list names only those that bill.
//!
//! Keys of the Chinese site work there alone: `ZAI_BASE_URL=https://open.bigmodel.cn`.
//!
//! Sources: <https://docs.z.ai/api-reference/api-code> (codes are digits in a text), <https://docs.z.ai/guides/overview/pricing>,
//! checked 2026-11; limits and times as measured by others in September 2026. Fixtures: `tests/fixtures/z.ai/`.

use std::time::Duration;

use crate::middle::{Cause, Effort, Feature, FreePlan, Limit, Measure, Unit, Window};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::free::FreeFilter;
use crate::providers::openai::{EffortForm, ListForm, Quirks};
use crate::providers::profile::{Dialect, Profile};
use crate::providers::words::rules::{FailureRule, Pause};

/// It thinks or does not; how much cannot be set. It decides by itself whether it calls a tool.
const FLASH: Capabilities = Capabilities {
    window: 200_000,
    max_output: 131_072,
    forced_calls: false,
    efforts: &[Effort::None, Effort::High],
    ..Capabilities::USUAL
};

/// One request at a time for each model; no other limit is published.
const PLAN: FreePlan = &[Limit::new(Measure::new(Unit::Requests, Window::AtOnce), 1)];

/// Z.ai's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Z.ai",
    also_called: &["zai", "zhipu"],
    key_variables: &["ZAI_API_KEY"],
    models_variable: "ZAI_MODEL",
    limits_variable: "ZAI_LIMITS",
    base_url_variable: "ZAI_BASE_URL",
    base_url: "https://api.z.ai",
    path_prefix: "/api/paas/v4",
    // `glm-5.3-flash` bills here in spite of its name.
    free: FreeFilter::InRow,
    models: &[
        Model::new("glm-4.7-flash", FLASH, PLAN),
        Model::new(
            "glm-4.6v-flash",
            Capabilities { window: 128_000, max_output: 32_768, images: Images::Inline, ..FLASH },
            PLAN,
        ),
        // To be retired; it answered on 24 September 2026.
        Model::new("glm-4.5-flash", Capabilities { window: 128_000, max_output: 98_304, ..FLASH }, PLAN),
    ],
    // 41 seconds to the first byte were seen.
    first_token: Some(Duration::from_secs(90)),
    dialect: Dialect::OpenAi(Quirks {
        chat_path: "/api/paas/v4/chat/completions",
        models_path: "/api/paas/v4/models",
        list: ListForm::None,
        asks_for_usage: false,
        takes: &[Feature::TopP, Feature::Stop, Feature::User],
        effort: EffortForm::Switch,
        // The same code comes with several statuses.
        failures: &[
            FailureRule::codes(0, &["1000", "1001", "1002", "1003", "1004"], Cause::KeyRefused),
            FailureRule::codes(0, &["1110", "1111", "1112", "1121"], Cause::KeyRefused),
            // A model that bills, and no balance: told as a 429.
            FailureRule::codes(0, &["1113", "1220", "1311"], Cause::NotInPlan),
            FailureRule::codes(0, &["1211", "1221", "1222"], Cause::ModelGone),
            FailureRule::codes(0, &["1210", "1212", "1213", "1214", "1215"], Cause::RequestRefused),
            FailureRule::codes(0, &["1301"], Cause::Moderated),
            FailureRule::codes(0, &["1261"], Cause::ContextTooLong),
            FailureRule::codes(0, &["1302"], Cause::RateLimited).waiting(Pause::Seconds(10)),
            FailureRule::codes(0, &["1303", "1305", "1312"], Cause::RateLimited).waiting(Pause::Seconds(30)),
            FailureRule::codes(0, &["1304", "1308", "1310", "1316", "1317"], Cause::QuotaExhausted),
            FailureRule::codes(0, &["500", "1120", "1230", "1234"], Cause::ServerError),
        ],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
