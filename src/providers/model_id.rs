//! What the id of a model may look like.

/// Whether `text` can be a model's id. It may become part of a URL, where any other character could change the target.
pub(super) fn is_model_id(text: &str) -> bool {
    const MAX_BYTES: usize = 200;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@".contains(&byte));
    is_plain && text.len() <= MAX_BYTES && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// The same where an id may be the path of a file. It never becomes part of a URL, only of bodies and headers.
pub(super) fn is_model_path(text: &str) -> bool {
    const MAX_BYTES: usize = 400;
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_visible && text.len() <= MAX_BYTES && !text.is_empty() && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_an_id_only_where_it_stays_out_of_urls() {
        let paths = ["/models/a.gguf", "../a.gguf", "./a (1).gguf", r"C:\models\a.gguf", "a+b#c?d.gguf"];
        for id in ["a", "a/b-1.5:free", "@cf/a/b"] {
            assert!(is_model_id(id) && is_model_path(id), "{id}");
        }
        for path in paths {
            assert!(!is_model_id(path) && is_model_path(path), "{path}");
        }
        for text in ["", " a", "a ", "a\nb", "a\0", "ä", &"a".repeat(401)] {
            assert!(!is_model_id(text) && !is_model_path(text), "{text}");
        }
    }
}
