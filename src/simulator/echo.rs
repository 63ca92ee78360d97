//! The small model behind every simulated provider: its answer to a request, in no provider's dialect.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, Reply, SimulatedCall};
use super::{schema_instance, small_talk};

/// How the small model answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// It repeats the question, so that a test can tell what has arrived.
    #[default]
    Echo,
    /// It talks as people expect it from a model, and calls no tool that could do harm: for a demo.
    SmallTalk,
}

/// The parts of a request that matter to this model.
#[derive(Default)]
pub(super) struct Prompt {
    /// The text of the last turn.
    pub(super) question: String,
    /// The mime types of its images.
    pub(super) images: Vec<String>,
    /// The results of the tools, if the last turn is theirs.
    pub(super) results: Vec<String>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    pub(super) form: Form,
    /// Whether thoughts are requested.
    pub(super) thinks: bool,
    /// Words before which the answer ends.
    pub(super) stops: Vec<String>,
}

/// A tool that is offered.
pub(super) struct Tool {
    pub(super) name: String,
    /// The schema of its parameters, or null if there is none.
    pub(super) parameters: Value,
}

/// Whether the model may or must call tools.
#[derive(Default)]
pub(super) enum Choice {
    #[default]
    Auto,
    Never,
    /// One of these tools, or any tool if the list is empty.
    Always(Vec<String>),
}

/// The form of an answer.
#[derive(Default)]
pub(super) enum Form {
    #[default]
    Words,
    JsonObject,
    JsonSchema(Value),
}

/// What a simulated model says.
pub(super) struct Said {
    pub(super) thoughts: Vec<String>,
    pub(super) text: Vec<String>,
    pub(super) calls: Vec<SimulatedCall>,
    /// In the words of OpenAI's dialect.
    pub(super) finish: &'static str,
}

impl Said {
    /// Each piece of text and each call counts as one token.
    pub(super) fn tokens(&self) -> u64 {
        (self.text.len() + self.calls.len()) as u64
    }

    fn nothing(finish: &'static str) -> Self {
        Self { thoughts: Vec::new(), text: Vec::new(), calls: Vec::new(), finish }
    }

    /// Ends the text before the first of these words.
    fn cut(mut self, stops: &[String]) -> Self {
        let whole = self.text.concat();
        let Some(end) = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|it| whole.find(it)).min()
        else {
            return self;
        };
        let mut left = end;
        for piece in &mut self.text {
            piece.truncate(left);
            left -= piece.len();
        }
        self.text.retain(|piece| !piece.is_empty());
        self
    }

    fn text(pieces: Vec<String>) -> Self {
        Self { text: pieces, ..Self::nothing("stop") }
    }

    fn calls(calls: Vec<SimulatedCall>) -> Self {
        Self { calls, ..Self::nothing("tool_calls") }
    }
}

/// What the simulated model of the provider `name` says to `prompt`.
pub(super) fn said(name: &str, voice: Voice, behaviour: &Behaviour, prompt: &Prompt) -> Said {
    let said = match &behaviour.reply {
        Reply::Answer { thoughts, text, calls, finish } => {
            Said { thoughts: thoughts.clone(), text: text.clone(), calls: calls.clone(), finish }
        }
        Reply::Blocked => Said::nothing("content_filter"),
        Reply::GarbledCall => Said::nothing("stop"),
        Reply::Calls(count) if !prompt.tools.is_empty() => {
            Said::calls(prompt.tools.iter().cycle().take(*count).map(call).collect())
        }
        Reply::Echo | Reply::Calls(_) | Reply::Trouble(_) | Reply::Html(_) | Reply::Raw { .. } => {
            let thoughts = if prompt.thinks { vec![thought(voice).to_owned()] } else { Vec::new() };
            Said { thoughts, ..usual(name, voice, prompt) }
        }
    };
    said.cut(&prompt.stops)
}

fn thought(voice: Voice) -> &'static str {
    match voice {
        Voice::Echo => "I shall echo.",
        Voice::SmallTalk => "A simulated thought.",
    }
}

fn usual(name: &str, voice: Voice, prompt: &Prompt) -> Said {
    let calls = chosen_calls(voice, prompt);
    if !calls.is_empty() {
        return Said::calls(calls);
    }
    let answer = match voice {
        Voice::Echo => echo(name, prompt),
        Voice::SmallTalk => small_talk::answer(name, prompt),
    };
    Said::text(match &prompt.form {
        // An echo in JSON is the bare question.
        Form::JsonObject if voice == Voice::Echo && prompt.results.is_empty() => {
            in_pieces(&json!({ "answer": prompt.question }))
        }
        Form::JsonObject => in_pieces(&json!({ "answer": answer })),
        Form::JsonSchema(schema) => in_pieces(&schema_instance::instance(schema)),
        Form::Words => words(&answer),
    })
}

fn echo(name: &str, prompt: &Prompt) -> String {
    let Prompt { question, images, results, .. } = prompt;
    if !results.is_empty() {
        return format!("Tool said: {}", results.join(" | "));
    }
    let seen = match images.len() {
        0 => String::new(),
        count => format!("I see {count} image(s): {}\n", images.join(", ")),
    };
    format!(
        "[simulated {name}] You said: {question}\n{seen}This answer comes word by word, as a real one would."
    )
}

/// If the choice is free, the model calls every tool that the question names. After their results it answers. To a test it
/// listens to the letter: a question that writes calls out, such as `Read({"path":"a.txt"})`, gets just these.
fn chosen_calls(voice: Voice, prompt: &Prompt) -> Vec<SimulatedCall> {
    if !prompt.results.is_empty() {
        return Vec::new();
    }
    let may_call = |tool: &&Tool| voice == Voice::Echo || small_talk::is_harmless(tool);
    let is_named = |tool: &&Tool| match voice {
        Voice::Echo => prompt.question.contains(&tool.name),
        Voice::SmallTalk => small_talk::is_named(&prompt.question, &tool.name),
    };
    if voice == Voice::Echo && matches!(prompt.choice, Choice::Auto) {
        let written: Vec<_> =
            prompt.tools.iter().filter_map(|it| written_out(&prompt.question, it)).collect();
        if !written.is_empty() {
            return written;
        }
    }
    let tools = prompt.tools.iter().filter(may_call);
    match &prompt.choice {
        Choice::Never => Vec::new(),
        Choice::Always(names) => {
            tools.filter(|tool| names.is_empty() || names.contains(&tool.name)).take(1).map(call).collect()
        }
        Choice::Auto => tools.filter(is_named).map(call).collect(),
    }
}

/// The call of `tool` that a question has in it: the tool's name and its arguments in JSON, in brackets.
fn written_out(question: &str, tool: &Tool) -> Option<SimulatedCall> {
    let (_, rest) = question.split_once(&format!("{}({{", tool.name))?;
    let arguments = format!("{{{rest}");
    let read = serde_json::Deserializer::from_str(&arguments).into_iter::<Value>().next()?.ok()?;
    Some(SimulatedCall { name: tool.name.clone(), arguments: read.to_string() })
}

fn call(tool: &Tool) -> SimulatedCall {
    let arguments = schema_instance::instance(&tool.parameters).to_string();
    SimulatedCall { name: tool.name.clone(), arguments }
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// JSON text, cut without regard to its meaning.
fn in_pieces(value: &Value) -> Vec<String> {
    let text: Vec<char> = value.to_string().chars().collect();
    text.chunks(5).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(voice: Voice, question: &str) -> Vec<(String, String)> {
        let parameters =
            json!({"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]});
        let tools =
            ["look", "look_up"].map(|name| Tool { name: name.to_owned(), parameters: parameters.clone() });
        let prompt = Prompt { question: question.to_owned(), tools: tools.into(), ..Prompt::default() };
        let said = said("Groq", voice, &Behaviour::echo(), &prompt);
        said.calls.into_iter().map(|call| (call.name, call.arguments)).collect()
    }

    #[test]
    fn a_call_that_a_question_writes_out_is_made_to_the_letter_and_alone() {
        let one = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
        for (question, made) in [
            (r#"Do look({"at":"(a) {b}"}), not look_up."#, vec![one("look", r#"{"at":"(a) {b}"}"#)]),
            (r#"look({"at":1}) and look_up({})"#, vec![one("look", r#"{"at":1}"#), one("look_up", "{}")]),
            ("Do look", vec![one("look", r#"{"at":"text"}"#)]),
            (r#"look({"at":"#, vec![one("look", r#"{"at":"text"}"#)]),
            ("Hello", vec![]),
        ] {
            assert_eq!(calls(Voice::Echo, question), made, "{question}");
        }
        assert_eq!(
            calls(Voice::SmallTalk, r#"`look`, look_up({"at":"x"})"#).len(),
            2,
            "a demo makes its own"
        );
        assert!(
            calls(Voice::SmallTalk, r#"look_up({"at":"x"})"#).iter().all(|call| call.1 != r#"{"at":"x"}"#)
        );
    }
}
