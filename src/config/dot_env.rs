//! The format of `.env`, as people write it: any usual encoding, line ends, quotes, comments.
//!
//! ```text
//! # a comment
//! export GROQ_API_KEY = "gsk_a, gsk_b"   # a list
//! PROXY_API_KEY=clave$ecreta#1           # one value: nothing is substituted, and this comment begins behind a blank
//! ```
//!
//! The reader is our own because those on crates.io replace `$NAME` and cannot be told not to (dotenvy, dotenvs), cut a
//! value at every `#` (dotenvor, dotenv-parser), or stop at the first bad line without its number. Each of these makes
//! another key of a key.

use std::collections::HashMap;

/// What a `.env` file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DotEnv {
    /// The variables; of two with one name the later one counts.
    pub variables: HashMap<String, String>,
    /// The lines that cannot be read, a sentence each with the number of the line and the name of its variable. None
    /// has anything of a value, which may be a key.
    pub mistakes: Vec<String>,
}

/// Why a line cannot be read.
enum Mistake {
    /// It is not of the form `NAME=value`.
    Form,
    /// The quote that its value begins with stands nowhere again, or first behind another variable.
    OpenQuote,
    /// Something stands behind the closing quote.
    BehindQuote,
    /// Something was appended in another encoding.
    Encoding,
}

impl DotEnv {
    /// Reads the bytes of a file: UTF-8, UTF-16 or Latin-1.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = decoded(bytes).replace("\r\n", "\n").replace('\r', "\n");
        let order = byte_order(bytes);
        let mut file = Self::default();
        let mut number = 0;
        let mut rest = text.as_str();
        while !rest.is_empty() {
            number += 1;
            let (line, below) = first_line(rest);
            let named = name_and_value(line);
            let read = match named {
                _ if order.is_some_and(|order| has_ascii_in_utf16(line, order)) => Err(Mistake::Encoding),
                Some((_, value)) => read_value(rest.split_at(line.len() - value.len()).1),
                None if is_blank_or_comment(line) => Ok(("", below)),
                None => Err(Mistake::Form),
            };
            match read {
                Ok((value, below)) => {
                    if let Some((name, _)) = named {
                        file.variables.insert(name.to_owned(), value.to_owned());
                    }
                    number += value.matches('\n').count();
                    rest = below;
                }
                Err(mistake) => {
                    let name = named.map(|(name, _)| name).or_else(|| name_at_start(line));
                    file.mistakes.push(sentence(number, name, &mistake));
                    // What follows is read line by line, so that its mistakes are told as well.
                    rest = below;
                }
            }
        }
        file
    }
}

/// `value` without blanks around it, and without the pair of quotes around that. Quotes that belong to the items of a
/// list, as in `"a","b"`, are no pair.
pub(super) fn without_quotes(value: &str) -> &str {
    let value = trim(value);
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|it| !it.contains(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn sentence(number: usize, name: Option<&str>, mistake: &Mistake) -> String {
    let name = name.map(|name| format!(": {name}")).unwrap_or_default();
    let reason = match mistake {
        Mistake::Form => "expected NAME=value",
        Mistake::OpenQuote => "the quote before its value is never closed",
        Mistake::Encoding => "its encoding changes there, behind UTF-16: save the whole file as UTF-8",
        Mistake::BehindQuote => "only a comment may stand behind the closing quote of its value",
    };
    format!(".env line {number}{name} cannot be read: {reason}")
}

/// The text of a file. Windows' programs mark UTF-16 and UTF-8 with a byte order mark; what is neither is Latin-1, in
/// which every byte is the character of that number.
fn decoded(bytes: &[u8]) -> String {
    let text = match (byte_order(bytes), bytes) {
        (Some(ByteOrder::Little), [_, _, rest @ ..]) => utf16(rest, u16::from_le_bytes),
        (Some(ByteOrder::Big), [_, _, rest @ ..]) => utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        },
    };
    // PowerShell's `>>` appends UTF-16 to a file of any encoding. Without its NULs, ASCII in UTF-16 is ASCII.
    text.replace('\0', "")
}

/// How UTF-16 is written.
#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

/// The order that the byte order mark of UTF-16 tells.
fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    match bytes {
        [0xff, 0xfe, ..] => Some(ByteOrder::Little),
        [0xfe, 0xff, ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

/// Whether a `NAME=` in ASCII was read as UTF-16 in this line, as happens to what cmd.exe's `>>` appends. Two bytes of it
/// are one character, mostly a Chinese one; those that somebody has written spell no name.
fn has_ascii_in_utf16(line: &str, order: ByteOrder) -> bool {
    if is_blank_or_comment(line) {
        return false;
    }
    let pairs = line.encode_utf16().map(|unit| match order {
        ByteOrder::Little => unit.to_le_bytes(),
        ByteOrder::Big => unit.to_be_bytes(),
    });
    // What is ASCII in UTF-16, too, has a NUL.
    let is_ascii = |pair: &[u8; 2]| pair.iter().all(|byte| matches!(byte, 1..=0x7f));
    let bytes: Vec<u8> = pairs.flat_map(|pair| if is_ascii(&pair) { pair } else { [0, 0] }).collect();
    let runs = bytes.split(|byte| *byte == 0).filter_map(|run| std::str::from_utf8(run).ok());
    let is_name = |name: &str| {
        name.len() >= 4 && name.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '0'..='9' | '_'))
    };
    let mut lines = runs.flat_map(|run| run.split(['\r', '\n']));
    lines.any(|line| name_and_value(line).is_some_and(|(name, _)| is_name(name)))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks();
    let characters = char::decode_utf16(pairs.iter().copied().map(unit));
    characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// White space, and the byte order mark, which programs also leave in the middle of a file.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

fn is_blank_or_comment(text: &str) -> bool {
    let text = trim(text);
    text.is_empty() || text.starts_with('#')
}

/// The name, and everything behind the `=`. None if the line has no `=`, or no name before it.
fn name_and_value(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = trim(name);
    let name = name.strip_prefix("export").filter(|it| it.starts_with(is_blank)).map_or(name, trim);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'));
    is_name.then_some((name, value))
}

/// Whether a line within a value in quotes sets another variable. The padding at the end of a certificate sets none.
fn is_variable(line: &str) -> bool {
    let Some((name, value)) = name_and_value(line) else { return false };
    let is_padding = line.len().is_multiple_of(4) && !name.contains(['_', '.', '-']);
    !(is_padding && matches!(value, "" | "="))
}

/// The variable that a line of another form begins with, as in `GROQ_API_KEY: gsk_a`. A word alone may be a key.
fn name_at_start(line: &str) -> Option<&str> {
    let line = trim(line);
    let end = line.find(|it: char| !(it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_'))?;
    let (name, behind) = line.split_at(end);
    let is_name = name.contains('_') && behind.starts_with(|it| it == ':' || is_blank(it));
    is_name.then_some(name)
}

/// The value at the start of `text`, which is everything behind the `=`, and the lines below it. A value in quotes may
/// go over several lines.
fn read_value(text: &str) -> Result<(&str, &str), Mistake> {
    let start = text.trim_start_matches(|it| is_blank(it) && it != '\n');
    for quote in ['"', '\''] {
        let Some(opened) = start.strip_prefix(quote) else { continue };
        let (inner, behind) = opened.split_once(quote).ok_or(Mistake::OpenQuote)?;
        // The quote that was found is one of another variable's.
        if inner.lines().skip(1).any(is_variable) {
            return Err(Mistake::OpenQuote);
        }
        let (behind, below) = first_line(behind);
        if is_blank_or_comment(behind) {
            return Ok((inner, below));
        }
        // The first of several items, each in quotes of its own.
        let is_list = trim(behind).starts_with(',') && !inner.contains('\n');
        if !is_list {
            return Err(Mistake::BehindQuote);
        }
    }
    let (line, below) = first_line(text);
    Ok((trim(without_comment(line)), below))
}

/// A `#` begins a comment only behind a blank: keys and passwords may have one.
fn without_comment(text: &str) -> &str {
    let is_comment = |at: &usize| text.split_at(*at).0.ends_with(is_blank);
    let comment = text.match_indices('#').map(|(at, _)| at).find(is_comment);
    comment.map_or(text, |at| text.split_at(at).0)
}

fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_people_mean() {
        let cases = [
            ("plain", "plain"),
            ("two words", "two words"),
            ("", ""),
            ("a, b", "a, b"),
            ("clave$ecreta-1234567", "clave$ecreta-1234567"),
            (r"${HOME}$HOME\$x", r"${HOME}$HOME\$x"),
            (r#""clave$ecreta""#, "clave$ecreta"),
            ("'clave$ecreta'", "clave$ecreta"),
            (r#""C:\new\table""#, r"C:\new\table"),
            ("value # a comment", "value"),
            ("value\t# a comment", "value"),
            ("value#no-comment", "value#no-comment"),
            (r##""value # no comment" # a comment with "quotes""##, "value # no comment"),
            (r#""it's""#, "it's"),
            (r#"'{"a":1}'"#, r#"{"a":1}"#),
            (r#""a", 'b' # two"#, r#""a", 'b'"#),
            ("a=b=", "a=b="),
            ("it's", "it's"),
            (r#"a"b"#, r#"a"b"#),
            (r#""""#, ""),
        ];
        for (written, meant) in cases {
            for (before, behind) in [
                ("NAME=", ""),
                ("export NAME = ", "  \n"),
                ("\u{feff}\t NAME =", "\r\nOTHER=x\r\n"),
                ("#\r\rNAME=", "\rOTHER=x"),
            ] {
                let file = DotEnv::parse(format!("{before}{written}{behind}").as_bytes());
                assert_eq!(file.mistakes, [""; 0], "{before}{written}");
                assert_eq!(file.variables["NAME"], meant, "{before}{written}");
                assert_eq!(file.variables.len(), 1 + usize::from(behind.contains("OTHER")), "{written}");
            }
        }
    }

    #[test]
    fn a_number_sign_begins_a_comment_behind_a_blank_only() {
        for (line, value) in
            [("NAME=#value", "#value"), ("NAME= # a comment", ""), ("NAME=\"\"# a comment", "")]
        {
            assert_eq!(DotEnv::parse(line.as_bytes()).variables["NAME"], value, "{line}");
        }
    }

    #[test]
    fn values_in_quotes_may_have_several_lines() {
        let file = DotEnv::parse(b"A=\"one,\r\n two\" # a comment\nB='1\n\n2'\nnonsense\n");
        assert_eq!((file.variables["A"].as_str(), file.variables["B"].as_str()), ("one,\n two", "1\n\n2"));
        assert_eq!(file.mistakes, [".env line 6 cannot be read: expected NAME=value"]);
    }

    #[test]
    fn a_value_that_goes_on_with_another_variable_has_an_open_quote() {
        let told = ".env line 1: A cannot be read: the quote before its value is never closed";
        for text in ["A=\"1\nB=x\"\nC=3", "A='1\nB='x'\nC=3", "A=\"\nexport B_B = x\n\"\nC=3"] {
            let file = DotEnv::parse(text.as_bytes());
            assert_eq!(file.mistakes.first().map(String::as_str), Some(told), "{text}");
            assert_eq!(file.variables.get("C").map(String::as_str), Some("3"), "{text}");
        }
        let pem = "-----BEGIN KEY-----\nMIIBVgIBADANBg+/9w\nQEFAASCAT8w=\n-----END KEY-----";
        let file = DotEnv::parse(format!("OTHERS=\"{pem}\"\n").as_bytes());
        assert_eq!((file.mistakes.len(), file.variables["OTHERS"].as_str()), (0, pem));
    }

    #[test]
    fn ascii_behind_utf_16_is_named_as_that() {
        let marked = |text: &str, is_big: bool| -> Vec<u8> {
            let units = format!("\u{feff}{text}").encode_utf16().collect::<Vec<u16>>();
            units.iter().flat_map(|it| if is_big { it.to_be_bytes() } else { it.to_le_bytes() }).collect()
        };
        let told = "cannot be read: its encoding changes there";
        let appended =
            ["PORT=3001\r\n", "PORT=30\r\n", "# x\nGROQ_API_KEY=SECRET", "export PROXY_API_KEY=\"SECRET\"\n"];
        for is_big in [false, true] {
            for appended in appended {
                for (before, line) in [("A=1\r\n# \u{4f50}\u{4e3d}\r\n", 3), ("A=1", 1), ("", 1)] {
                    let bytes = [marked(before, is_big), appended.into()].concat();
                    let mistakes = DotEnv::parse(&bytes).mistakes;
                    let case = format!("{before:?} {appended:?}: {mistakes:?}");
                    assert!(mistakes.len() == 1 && mistakes[0].contains(told), "{case}");
                    assert!(mistakes[0].starts_with(&format!(".env line {line}")), "{case}");
                    assert!(mistakes[0].contains("UTF-8") && !mistakes[0].contains("SECRET"), "{case}");
                }
            }
            let file = DotEnv::parse(&marked("A=\u{4f50}\u{4e3d}\n# \u{4f50}\u{4e3d}\n", is_big));
            assert_eq!((file.mistakes.len(), file.variables["A"].as_str()), (0, "\u{4f50}\u{4e3d}"));
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_and_its_variable_and_never_quoted() {
        let cases: [(&str, &[(usize, &str)]); 9] = [
            ("A=1\n\n# x\nB='SECRET", &[(4, "B")]),
            ("B='SECRET\n# don't\nC=\"x\"", &[(1, "B")]),
            ("B=\"SECRET\"SECRET\nSECRET\nC=\"SECRET", &[(1, "B"), (2, ""), (3, "C")]),
            ("B=\"SECRET\n\",\"SECRET\"", &[(1, "B"), (2, "")]),
            ("GROQ_API_KEY: SECRET", &[(1, "GROQ_API_KEY")]),
            ("GROQ_API_KEY SECRET=", &[(1, "GROQ_API_KEY")]),
            ("SECRET", &[(1, "")]),
            ("SECRET SECRET = x", &[(1, "")]),
            ("=SECRET", &[(1, "")]),
        ];
        for (text, expected) in cases {
            let mistakes = DotEnv::parse(text.as_bytes()).mistakes;
            assert_eq!(mistakes.len(), expected.len(), "{text}: {mistakes:?}");
            for (mistake, (line, name)) in mistakes.iter().zip(expected) {
                let name = if name.is_empty() { String::new() } else { format!(": {name}") };
                let start = format!(".env line {line}{name} cannot be read: ");
                assert!(mistake.starts_with(&start) && !mistake.contains("SECRET"), "{text}: {mistake}");
            }
        }
    }

    #[test]
    fn a_pair_of_quotes_is_taken_off_and_no_other() {
        let cases = [
            ("\"a\"", "a"),
            (" 'a' ", "a"),
            ("\"'a'\"", "'a'"),
            ("\"a\",\"b\"", "\"a\",\"b\""),
            ("\"a'", "\"a'"),
            ("\"", "\""),
            ("\"\"", ""),
            ("a\"", "a\""),
        ];
        for (value, inner) in cases {
            assert_eq!(without_quotes(value), inner, "{value}");
        }
    }
}
