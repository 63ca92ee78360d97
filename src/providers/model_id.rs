//! What the id of a model may look like.

/// Whether `text` can be a model's id. It may become part of a URL, where any other character could change the target.
pub(crate) fn is_model_id(text: &str) -> bool {
    const MAX_BYTES: usize = 200;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@".contains(&byte));
    is_plain && text.len() <= MAX_BYTES && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}
