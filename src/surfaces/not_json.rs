//! What probably happened to a body that is not JSON: shells take quotes away, and some programs write another encoding.
//!
//! Source: how cmd.exe, Windows PowerShell 5.1 and PowerShell 7.3 hand arguments to a program, as their documentation
//! has it (November 2026), and curl/curl#4737; not tried on Windows. Nothing of the body is repeated.

/// For cmd.exe, to which a single quote means nothing.
const IN_CMD: &str =
    r#"In cmd.exe write -d "{\"messages\":[…]}", or put the JSON into a file and write -d "@body.json""#;
/// For Windows PowerShell, which takes double quotes away.
const IN_POWERSHELL: &str =
    r#"In PowerShell write -d '{\"messages\":[…]}', or put the JSON into a file and write -d "@body.json""#;

/// For shells that leave what stands in single quotes as it is.
const IN_OTHERS: &str =
    r#"Write -d '{"messages":[…]}', or put the JSON into a file and write -d "@body.json""#;

/// The body without a byte order mark, which Windows programs put before UTF-8.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// A sentence or two for whoever sent `body`, which is not JSON; empty if it tells nothing.
pub(super) fn advice(body: &[u8]) -> String {
    if is_utf_16(body) {
        return "The body is UTF-16: send UTF-8".to_owned();
    }
    let text = body.trim_ascii_start();
    if text.starts_with(b"'") {
        return format!("The body begins with a single quote, which cmd.exe passes on. {IN_CMD}");
    }
    if text.starts_with(b"\"{") || text.starts_with(b"{\\\"") {
        return format!("The shell has passed on quotes or backslashes that were meant for it. {IN_OTHERS}");
    }
    let Some(inside) = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) else {
        return if std::str::from_utf8(body).is_err() {
            "JSON is sent in UTF-8".to_owned()
        } else {
            String::new()
        };
    };
    match inside.first() {
        Some(b'\'') => "JSON has double quotes, not single ones".to_owned(),
        Some(first) if first.is_ascii_alphabetic() => {
            format!("The names have no quotes: the shell has taken them away. {IN_POWERSHELL}. {IN_CMD}")
        }
        _ if std::str::from_utf8(body).is_err() => "JSON is sent in UTF-8".to_owned(),
        _ => String::new(),
    }
}

/// Whether `body` is JSON in UTF-16, with a mark or without: its first character is ASCII.
fn is_utf_16(body: &[u8]) -> bool {
    matches!(body, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..])
}
