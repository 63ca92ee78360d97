//! What the simulated models of a demo say: short answers in English and Spanish, the same for the same question.
//!
//! They are honest: no model has read the question, so an answer either fits every question of its kind or says that it
//! is simulated and what to do next.

use super::echo::{Prompt, Tool};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    Spanish,
}

/// What a question is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    Joke,
    Code,
    Ideas,
    Explanation,
    Greeting,
    Other,
}

/// Words that tell the languages apart; words of both stand in neither.
const ENGLISH: &[&str] = &[
    "the", "is", "are", "what", "how", "why", "who", "tell", "you", "to", "of", "and", "it", "hello", "hi",
    "hey", "write", "explain", "please", "can", "do", "joke", "this",
];
const SPANISH: &[&str] = &[
    "hola",
    "buenas",
    "buenos",
    "que",
    "como",
    "quien",
    "dime",
    "cuenta",
    "cuentame",
    "un",
    "una",
    "el",
    "la",
    "los",
    "las",
    "de",
    "por",
    "para",
    "es",
    "en",
    "y",
    "chiste",
    "explica",
    "explicame",
    "escribe",
    "codigo",
    "gracias",
    "haz",
    "hazme",
    "puedes",
    "quiero",
    "funcion",
    "tal",
];

/// The words and phrases of each topic, in both languages; the first topic that is met counts.
const TOPICS: &[(Topic, &[&str])] = &[
    (Topic::Joke, &["joke", "jokes", "funny", "chiste", "chistes", "broma", "gracioso"]),
    (
        Topic::Code,
        &[
            "code",
            "function",
            "program",
            "script",
            "python",
            "javascript",
            "rust",
            "codigo",
            "funcion",
            "programa",
        ],
    ),
    (Topic::Ideas, &["idea", "ideas"]),
    (Topic::Explanation, &["explain", "what is", "why", "explica", "explicame", "que es", "por que"]),
    (Topic::Greeting, &["hello", "hi", "hey", "good morning", "hola", "buenas", "buenos dias", "que tal"]),
];

const JOKES: [[&str; 2]; 3] = [
    [
        "Why do programmers prefer dark mode? Because light attracts bugs.",
        "¿Por qué los programadores prefieren el modo oscuro? Porque la luz atrae a los bichos.",
    ],
    [
        "There are 10 kinds of people: those who understand binary, and those who do not.",
        "Hay 10 tipos de personas: las que entienden el binario y las que no.",
    ],
    [
        "A database query walks into a bar, goes up to two tables and asks: \"May I join you?\"",
        "¿Qué le dice un bit a otro? Nos vemos en el bus.",
    ],
];

const FUNCTION: &str = "```python\ndef primes(limit):\n    found = []\n    for number in range(2, limit):\n        \
                        if all(number % prime for prime in found):\n            found.append(number)\n    \
                        return found\n```\n\n`primes(20)`";

/// Parts of the names of tools and parameters with which an agent changes the machine it runs on. A made-up argument
/// there would be a command or a file named `text`.
const ACTING: &[&str] = &[
    "bash", "shell", "command", "cmd", "terminal", "exec", "write", "edit", "patch", "delete", "path", "file",
];
/// The same, but only as the whole name of a parameter: they are parts of harmless words.
const ACTING_PARAMETERS: &[&str] = &["code", "script"];

/// What the simulated model of the provider `name` says in words.
pub(super) fn answer(name: &str, prompt: &Prompt) -> String {
    let question = normal(&prompt.question);
    let language = language(&prompt.question, &question);
    if !prompt.results.is_empty() {
        return told(language, &prompt.results.join(" | "));
    }
    let mut feared = prompt.tools.iter().filter(|tool| !is_harmless(tool));
    if let Some(tool) = feared.find(|tool| is_named(&prompt.question, &tool.name)) {
        return declined(language, &tool.name);
    }
    let said = match topic(&question) {
        Topic::Joke => joke(language, name).to_owned(),
        Topic::Code => code(language),
        Topic::Ideas => ideas(language).to_owned(),
        Topic::Explanation => explanation(language, name),
        Topic::Greeting => greeting(language).to_owned(),
        Topic::Other => other(language).to_owned(),
    };
    match prompt.images.len() {
        0 => said,
        count => format!("{said}\n\n{}", images(language, count)),
    }
}

/// Whether the simulated model calls this tool, although nobody knows what it does: never one that acts on the machine.
pub(super) fn is_harmless(tool: &Tool) -> bool {
    let acts = |name: &str| {
        let name = name.to_lowercase();
        ACTING.iter().any(|word| name.contains(word))
    };
    let parameters = tool.parameters.get("properties").and_then(|it| it.as_object());
    let mut names = parameters.into_iter().flat_map(|properties| properties.keys());
    !acts(&tool.name) && !names.any(|name| acts(name) || ACTING_PARAMETERS.contains(&name.as_str()))
}

/// Whether a question names a tool: the whole name, and in backticks if it is an ordinary word such as `list`.
pub(super) fn is_named(question: &str, name: &str) -> bool {
    let is_ordinary = name.chars().skip(1).all(|letter| letter.is_lowercase());
    if name.is_empty() || is_ordinary {
        return !name.is_empty() && question.contains(&format!("`{name}`"));
    }
    let belongs = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    question.match_indices(name).any(|(at, _)| {
        let (before, after) = (question.get(..at), question.get(at + name.len()..));
        !before.is_some_and(|text| text.ends_with(belongs))
            && !after.is_some_and(|text| text.starts_with(belongs))
    })
}

/// The words in lower case without accents, with a blank before and behind each.
fn normal(question: &str) -> String {
    let mut words = String::from(" ");
    for letter in question.chars().flat_map(char::to_lowercase) {
        let plain = match letter {
            'á' => 'a',
            'é' => 'e',
            'í' => 'i',
            'ó' => 'o',
            'ú' | 'ü' => 'u',
            letter if letter.is_alphanumeric() => letter,
            _ => ' ',
        };
        if plain != ' ' || !words.ends_with(' ') {
            words.push(plain);
        }
    }
    words.push(' ');
    words
}

fn language(question: &str, words: &str) -> Language {
    let count = |known: &[&str]| words.split(' ').filter(|word| known.contains(word)).count();
    let signs = question.contains(['¿', '¡', 'ñ']);
    if count(SPANISH) + usize::from(signs) > count(ENGLISH) { Language::Spanish } else { Language::English }
}

fn topic(words: &str) -> Topic {
    let is_met = |phrases: &&[&str]| phrases.iter().any(|phrase| words.contains(&format!(" {phrase} ")));
    TOPICS.iter().find(|(_, phrases)| is_met(phrases)).map_or(Topic::Other, |(topic, _)| *topic)
}

/// Names of three lengths have three jokes, so that asking again shows another.
fn joke(language: Language, name: &str) -> &'static str {
    let number = name.len() % JOKES.len();
    let [english, spanish] = JOKES.get(number).copied().unwrap_or_default();
    if language == Language::Spanish { spanish } else { english }
}

fn greeting(language: Language) -> &'static str {
    match language {
        Language::English => {
            "Hello! I am a simulated model: no key and no network were needed for this answer. Ask me for a joke, for \
             some code, or to explain how this works."
        }
        Language::Spanish => {
            "¡Hola! Soy un modelo simulado: para esta respuesta no hizo falta ninguna clave ni conexión a internet. \
             Pídeme un chiste, algo de código o que te explique cómo funciona esto."
        }
    }
}

fn code(language: Language) -> String {
    match language {
        Language::English => format!(
            "Here is a small function in Python:\n\n{FUNCTION} gives `[2, 3, 5, 7, 11, 13, 17, 19]`. A simulated model has \
             only this one; a real model writes the one you ask for."
        ),
        Language::Spanish => format!(
            "Aquí tienes una función corta en Python:\n\n{FUNCTION} da `[2, 3, 5, 7, 11, 13, 17, 19]`. Un modelo simulado solo \
             tiene esta; uno real escribe la que le pidas."
        ),
    }
}

fn ideas(language: Language) -> &'static str {
    match language {
        Language::English => {
            "1. A bot that answers in your group chat.\n2. A page that turns your notes into questions to practise \
             with.\n3. A script that sums up what is new in your favourite blogs.\n\nA simulated model always has these \
             three. A real one has yours."
        }
        Language::Spanish => {
            "1. Un bot que responda en tu grupo de amigos.\n2. Una página que convierta tus apuntes en preguntas para \
             repasar.\n3. Un script que resuma las novedades de tus blogs favoritos.\n\nUn modelo simulado siempre da \
             estas tres. Uno de verdad da las tuyas."
        }
    }
}

fn explanation(language: Language, name: &str) -> String {
    match language {
        Language::English => format!(
            "I am simulated, so I can explain only how this answer came about:\n\n1. It was the turn of **{name}**, \
             and {name} had room left on its free plan.\n2. The proxy sent your question there and waited for the \
             first word.\n3. If {name} had failed, the next provider would have answered, and you would have noticed \
             nothing.\n\nThe header `x-attempts` shows who was asked."
        ),
        Language::Spanish => format!(
            "Soy un modelo simulado, así que solo puedo explicarte cómo llegó esta respuesta:\n\n1. Era el turno de \
             **{name}**, y a {name} le quedaba cuota en su plan gratuito.\n2. El proxy le envió tu pregunta y esperó \
             la primera palabra.\n3. Si {name} hubiera fallado, habría respondido el siguiente proveedor y tú ni te \
             habrías enterado.\n\nLa cabecera `x-attempts` muestra a quién se preguntó."
        ),
    }
}

fn other(language: Language) -> &'static str {
    match language {
        Language::English => {
            "This is a simulated answer: no model has read your question. For real answers, get a free key from \
             [Groq](https://console.groq.com/keys) or [Google](https://aistudio.google.com/apikey), put it into the \
             file `.env` and start the proxy without `demo`. Until then, try \"Tell me a joke\", \"Write some code\" \
             or \"Explain how this works\"."
        }
        Language::Spanish => {
            "Esta respuesta es simulada: ningún modelo ha leído tu pregunta. Para recibir respuestas de verdad, \
             consigue una clave gratuita en [Groq](https://console.groq.com/keys) o en \
             [Google](https://aistudio.google.com/apikey), ponla en el archivo `.env` y arranca el proxy sin `demo`. \
             Mientras tanto, prueba con «Cuéntame un chiste», «Escribe algo de código» o «Explícame cómo funciona \
             esto»."
        }
    }
}

fn images(language: Language, count: usize) -> String {
    match (language, count) {
        (Language::English, 1) => "Your image has arrived, but a simulated model cannot see it.".to_owned(),
        (Language::English, _) => {
            format!("Your {count} images have arrived, but a simulated model cannot see them.")
        }
        (Language::Spanish, 1) => "Tu imagen ha llegado, pero un modelo simulado no puede verla.".to_owned(),
        (Language::Spanish, _) => {
            format!("Tus {count} imágenes han llegado, pero un modelo simulado no puede verlas.")
        }
    }
}

fn told(language: Language, results: &str) -> String {
    match language {
        Language::English => format!("The tool says: {results}"),
        Language::Spanish => format!("La herramienta dice: {results}"),
    }
}

fn declined(language: Language, tool: &str) -> String {
    match language {
        Language::English => format!(
            "You name the tool `{tool}`. A simulated model does not call it: it would have to make up what to do with \
             it on your machine."
        ),
        Language::Spanish => format!(
            "Mencionas la herramienta `{tool}`. Un modelo simulado no la usa: tendría que inventarse qué hacer con \
             ella en tu equipo."
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(name: &str, question: &str) -> String {
        answer(name, &Prompt { question: question.to_owned(), ..Prompt::default() })
    }

    fn tool(name: &str, properties: Value) -> Tool {
        Tool { name: name.to_owned(), parameters: json!({"type": "object", "properties": properties}) }
    }

    #[test]
    fn the_answer_is_in_the_language_of_the_question_and_about_it() {
        for (question, begins) in [
            ("Hello", "Hello! "),
            ("Hola", "¡Hola! "),
            ("¿Qué tal? 🎈", "¡Hola! "),
            ("HI THERE", "Hello! "),
            ("Write a function that adds", "Here is a small function"),
            ("Escribe una función", "Aquí tienes una función"),
            ("Hola, explícame la recursión", "Soy un modelo simulado"),
            ("¿Por qué el cielo es azul?", "Soy un modelo simulado"),
            ("What is la Tomatina?", "I am simulated"),
            ("Write a Python function that finds primes", "Here is a small function"),
            ("Tres ideas para un proyecto de fin de semana", "1. Un bot "),
            ("Three ideas for a weekend project", "1. A bot "),
            ("Explica la recursividad con un ejemplo de cocina", "Soy un modelo simulado"),
            ("Capital of France", "This is a simulated answer"),
            ("Dime la capital de Francia", "Esta respuesta es simulada"),
            ("", "This is a simulated answer"),
        ] {
            let said = says("Groq", question);
            assert!(said.starts_with(begins), "{question}: {said}");
        }
    }

    #[test]
    fn every_provider_has_its_own_joke_in_both_languages() {
        let mut jokes = std::collections::BTreeSet::new();
        for (question, place) in [("Tell me a joke", 0), ("Cuéntame un chiste", 1)] {
            for name in ["Groq", "Cerebras", "Gemini"] {
                let joke = says(name, question);
                assert!(JOKES.iter().any(|both| both[place] == joke), "{joke}");
                assert_eq!(says(name, question), joke, "the same again");
                jokes.insert(joke);
            }
        }
        assert_eq!(jokes.len(), 6, "{jokes:?}");
    }

    #[test]
    fn code_is_a_block_of_markdown() {
        let said = says("Groq", "Some code in Python, please");
        assert!(said.contains("\n\n```python\ndef primes(limit):\n    found = []\n"), "{said}");
        assert!(
            said.contains("\n            found.append(number)\n    return found\n```\n\n`primes(20)`"),
            "{said}"
        );
    }

    #[test]
    fn a_tool_is_meant_only_by_its_whole_name() {
        for (question, name, is_meant) in [
            ("Call get_weather for Madrid", "get_weather", true),
            ("get_weather", "get_weather", true),
            ("What is get_weather_tomorrow?", "get_weather", false),
            ("the forget_weather of it", "get_weather", false),
            ("Can you list my files?", "list", false),
            ("Read this text", "Read", false),
            ("Use `list` for that", "list", true),
            ("anything", "", false),
            ("¡getTime!", "getTime", true),
        ] {
            assert_eq!(is_named(question, name), is_meant, "{question}");
        }
    }

    #[test]
    fn what_acts_on_the_machine_is_never_harmless() {
        let word = || json!({"type": "string"});
        for (name, parameter) in [
            ("bash", "command"),
            ("Bash", "description"),
            ("execute_command", "x"),
            ("run_terminal_cmd", "x"),
            ("local", "command"),
            ("python_tool", "code"),
            ("Write", "content"),
            ("apply_patch", "input"),
            ("look", "file_path"),
        ] {
            assert!(!is_harmless(&tool(name, json!({parameter: word()}))), "{name}");
        }
        for (name, parameter) in [("get_weather", "city"), ("search_web", "query"), ("zip", "country_code")] {
            assert!(is_harmless(&tool(name, json!({parameter: word()}))), "{name}");
        }
        assert!(is_harmless(&Tool { name: "now".to_owned(), parameters: Value::Null }));
    }
}
