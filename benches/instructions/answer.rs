//! The answers whose bytes are counted: made of the recorded chunks, without thoughts, each text of them a word.

use ai_proxy_free::internals::providers::Provider;

/// What stands in every text, and nowhere else.
pub(crate) const MARK: &str = "word";

/// Those that there are recordings of.
pub(crate) const PROVIDERS: [Provider; 3] = [Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI];

/// The parts of an answer, each as the provider writes it: without a chunk's length, with its blank line.
pub(crate) struct Answer {
    /// What comes before the first text.
    pub(crate) opening: Vec<String>,
    pub(crate) texts: Vec<String>,
    /// What comes behind the last one.
    pub(crate) closing: Vec<String>,
}

impl Answer {
    pub(crate) fn new(provider: Provider, texts: usize) -> Self {
        let recorded = recorded(provider);
        // Google ends its lines as HTTP does.
        let blank = if recorded.contains("\r\n") { "\r\n\r\n" } else { "\n\n" };
        let recorded: Vec<String> =
            recorded.trim_end().split(blank).map(|event| format!("{event}{blank}")).collect();
        let place = recorded.iter().position(|event| event.contains("¡Hola")).expect("a text");
        let is_opening = |event: &&String| event.contains("\"role\":\"assistant\"");
        // Gemini counts in each chunk; the others leave no difference but the text.
        let count = |event: &str, number: usize| {
            let total = format!("\"totalTokenCount\":{}", 9 + number);
            let event =
                event.replace("\"candidatesTokenCount\":1,", &format!("\"candidatesTokenCount\":{number},"));
            event.replace("\"totalTokenCount\":13", &total)
        };
        let text =
            |number: usize| count(&recorded[place].replace("¡Hola", &format!("{MARK} {number:04} ")), number);
        Self {
            opening: recorded[..place].iter().filter(is_opening).cloned().collect(),
            texts: (1..=texts).map(text).collect(),
            closing: recorded[place + 2..].to_vec(),
        }
    }
}

fn recorded(provider: Provider) -> &'static str {
    match provider.name() {
        "Groq" => include_str!("../../tests/fixtures/groq/stream.sse"),
        "Cerebras" => include_str!("../../tests/fixtures/cerebras/stream.sse"),
        "Gemini" => include_str!("../../tests/fixtures/gemini/stream.sse"),
        other => panic!("no recording of {other}"),
    }
}

/// The provider's list of models.
pub(crate) fn models(provider: Provider) -> &'static str {
    match provider.name() {
        "Groq" => include_str!("../../tests/fixtures/groq/models.json"),
        "Cerebras" => include_str!("../../tests/fixtures/cerebras/models.json"),
        "Gemini" => include_str!("../../tests/fixtures/gemini/models.json"),
        other => panic!("no recording of {other}"),
    }
}
