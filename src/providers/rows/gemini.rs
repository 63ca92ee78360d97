//! Google Gemini through its native API.
//!
//! Not Google's OpenAI-compatible endpoint, which refuses ordinary fields and hides why a prompt was blocked.
//!
//! Sources, checked 2026-11: <https://ai.google.dev/api/generate-content>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>. Fixtures: `tests/fixtures/gemini/`.

use crate::middle::{Effort, FreePlan, Limit, Measure, Renewal, TokenCharge, Zone};
use crate::providers::capabilities::{Capabilities, Images, JsonBesideTools, Model, Work};
use crate::providers::profile::{Auth, Dialect, Guesses, Profile};

/// The third generation. The full Flash models always think at least a little, and so do the names that always mean the
/// newest model.
const FLASH: Capabilities = Capabilities {
    window: 1_048_576,
    max_output: 65_536,
    images: Images::Inline,
    files: true,
    tools: true,
    forced_calls: true,
    json: true,
    schema: true,
    json_beside_tools: JsonBesideTools::Unforced,
    efforts: &[Effort::Low, Effort::Medium, Effort::High],
    thinks_by_budget: false,
    instructions: true,
    signs_calls: true,
};

const FLASH_LITE: Capabilities =
    Capabilities { efforts: &[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High], ..FLASH };

/// The documents promise neither tools nor JSON, and the third generation refuses instructions.
const GEMMA: Capabilities = Capabilities {
    window: 131_072,
    max_output: 32_768,
    images: Images::None,
    files: false,
    tools: false,
    forced_calls: false,
    json: false,
    schema: false,
    json_beside_tools: JsonBesideTools::Never,
    efforts: &[],
    thinks_by_budget: false,
    instructions: false,
    signs_calls: false,
};

/// It sees images: measured by others on 11 September 2026, when it wrote no JSON that follows a schema.
const GEMMA_4: Capabilities = Capabilities { images: Images::Inline, ..GEMMA };

/// The second generation, which ends in December 2026. How much it thinks is set as a number of tokens.
const SECOND: Capabilities = Capabilities {
    json_beside_tools: JsonBesideTools::Never,
    efforts: &[Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High],
    thinks_by_budget: true,
    signs_calls: false,
    ..FLASH
};

/// Google publishes no numbers. Figures that others read in AI Studio from July to September 2026; Flash-Lite and Gemma
/// were measured on 11 September 2026. The limits of tokens count prompts alone: their id is
/// `GenerateContentInputTokensPerModelPerMinute`.
const fn plan(a_minute: u64, a_day: u64, tokens_a_minute: u64) -> [Limit; 3] {
    [
        Limit::new(Measure::REQUESTS_A_MINUTE, a_minute),
        Limit::new(Measure::REQUESTS_A_DAY, a_day).renewed(Renewal::Calendar(Zone::Pacific)),
        Limit::new(Measure::TOKENS_A_MINUTE, tokens_a_minute),
    ]
}

const FLASH_PLAN: FreePlan = &plan(5, 20, 250_000);
const FLASH_LITE_PLAN: FreePlan = &plan(15, 500, 250_000);
const GEMMA_PLAN: FreePlan = &plan(30, 14_400, 16_000);

/// Gemini's row of data.
pub(crate) static PROFILE: Profile = Profile {
    name: "Gemini",
    also_called: &["google"],
    is_core: true,
    key_variables: &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
    models_variable: "GEMINI_MODEL",
    limits_variable: "GEMINI_LIMITS",
    base_url_variable: "GOOGLE_GEMINI_BASE_URL",
    base_url: "https://generativelanguage.googleapis.com",
    path_prefix: "/v1beta",
    models: &[
        Model {
            id: "gemini-3.5-flash-lite",
            can: FLASH_LITE,
            free_plan: FLASH_LITE_PLAN,
            work: Work::UNCOUNTED,
        },
        Model {
            id: "gemini-3.1-flash-lite",
            can: FLASH_LITE,
            free_plan: FLASH_LITE_PLAN,
            work: Work::UNCOUNTED,
        },
        Model { id: "gemini-3.8-flash", can: FLASH, free_plan: FLASH_PLAN, work: Work::UNCOUNTED },
        Model { id: "gemma-4-31b-it", can: GEMMA_4, free_plan: GEMMA_PLAN, work: Work::UNCOUNTED },
    ],
    // Other models have no free quota or hardly any.
    preferred_families: &["flash-lite", "flash", "gemma"],
    // "Omni" and the fourth generation have prices and no free quota that anybody has seen (catalogues of November 2026).
    guesses: Guesses::Only { with: &["flash", "gemma", "pro"], without: &["omni"] },
    token_charge: TokenCharge::Prompt,
    families: &[
        (
            "gemini-2.5-pro",
            Capabilities { efforts: &[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High], ..SECOND },
        ),
        ("gemini-2", SECOND),
        ("gemini-", FLASH),
        ("gemma-4", GEMMA_4),
        ("gemma-", GEMMA),
    ],
    auth: Auth::Header("x-goog-api-key"),
    dialect: Dialect::Gemini,
    ..Profile::PLAIN
};
