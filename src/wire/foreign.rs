//! Text of others that is shown to people, in the log, in a terminal or in a sentence.

/// As many characters of `text` as may be shown, on one line and without anything that changes how it is read: line
/// ends, control characters and those that turn the direction of writing are written as `\n` and `\u{202e}`. Letters of
/// every script stay. What was cut off is an ellipsis.
pub(crate) fn readable(text: &str, most_chars: usize) -> String {
    let (shown, cut) = match text.char_indices().nth(most_chars) {
        Some((end, _)) => (text.split_at(end).0, "…"),
        None => (text, ""),
    };
    let mut readable = String::with_capacity(shown.len());
    for piece in shown.split_inclusive(['"', '\'', '\\']) {
        // These three are harmless here, and would have a backslash otherwise.
        let (before, quote) = match piece.strip_suffix(['"', '\'', '\\']) {
            Some(before) => piece.split_at(before.len()),
            None => (piece, ""),
        };
        // Escapes all that is not printable, but not the accents behind a letter.
        readable.extend(before.escape_debug());
        readable.push_str(quote);
    }
    readable.push_str(cut);
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_stays_and_nothing_else() {
        let cases = [
            ("", ""),
            ("mañana, 明天, غدا, מחר, завтра 🙂", "mañana, 明天, غدا, מחר, завтра 🙂"),
            ("man\u{303}ana", "man\u{303}ana"),
            (r#"'C:\new' "x""#, r#"'C:\new' "x""#),
            ("a\r\nb\tc", r"a\r\nb\tc"),
            ("\u{1b}[2K\0\u{85}", r"\u{1b}[2K\0\u{85}"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("\u{202e}a\u{2066}b\u{200f}", r"\u{202e}a\u{2066}b\u{200f}"),
            ("a\u{200b}\u{feff}\u{e000}", r"a\u{200b}\u{feff}\u{e000}"),
        ];
        for (text, shown) in cases {
            assert_eq!(readable(text, 100), shown);
        }
    }

    #[test]
    fn no_more_is_shown_than_asked_for() {
        assert_eq!(readable("ññññ", 4), "ññññ");
        assert_eq!(readable("ñññññ", 4), "ññññ…");
        assert_eq!(readable("\n\n\n", 2), r"\n\n…");
        assert_eq!(readable("x", 0), "…");
    }
}
