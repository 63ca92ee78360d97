//! OVHcloud AI Endpoints without a key: OpenAI's dialect at `/v1`. With a key every call is billed to a project, so none is
//! ever sent.
//!
//! Sources: <https://help.ovhcloud.com/csm/en-public-cloud-ai-endpoints-capabilities>, checked 2026-11; called by others
//! without a key on 19 September 2026; models of 27 September 2026. Its refusal of an address that comes too often has not
//! been seen. Fixtures: `tests/fixtures/ovhcloud/`.

use std::time::Duration;

use crate::middle::{Cause, FreePlan, Limit, Measure};
use crate::providers::capabilities::{Capabilities, Images, Model};
use crate::providers::openai::Quirks;
use crate::providers::profile::{AskedBy, Dialect, KeyNeed, Profile};
use crate::providers::words::rules::{FailureRule, Pause};

const TEXT: Capabilities = Capabilities { schema: true, ..Capabilities::USUAL };

/// Two requests a minute from one address, for each model.
const PLAN: FreePlan = &[Limit::new(Measure::REQUESTS_A_MINUTE, 2)];

/// OVHcloud's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "OVHcloud",
    also_called: &["ovh"],
    key: KeyNeed::Never,
    asked_by: AskedBy::Name,
    models_variable: "OVHCLOUD_MODEL",
    limits_variable: "OVHCLOUD_LIMITS",
    base_url_variable: "OVHCLOUD_BASE_URL",
    base_url: "https://oai.endpoints.kepler.ai.cloud.ovh.net",
    models: &[
        Model::new("Meta-Llama-3_3-70B-Instruct", TEXT, PLAN),
        Model::new("gpt-oss-120b", TEXT, PLAN),
        Model::new(
            "Mistral-Small-3.2-24B-Instruct-2506",
            Capabilities { images: Images::Inline, ..TEXT },
            PLAN,
        ),
        Model::new("Qwen3-Coder-30B-A3B-Instruct", TEXT, PLAN),
        Model::new("gpt-oss-20b", TEXT, PLAN),
    ],
    preferred_families: &["gpt-oss", "llama", "qwen", "mistral"],
    families: &[("", Capabilities { window: 32_768, max_output: 8_192, ..Capabilities::USUAL })],
    first_token: Some(Duration::from_secs(60)),
    list_checks_key: false,
    may_log_prompts: true,
    remark: Some(
        "served in Europe and not trained on, by its documents; whoever runs it may still log prompts",
    ),
    dialect: Dialect::OpenAi(Quirks {
        failures: &[FailureRule::status(429, Cause::RateLimited).waiting(Pause::Seconds(30))],
        ..Quirks::NONE
    }),
    ..Profile::PLAIN
};
