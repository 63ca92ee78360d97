//! Images, documents and results of searches.

use crate::middle::{Image, Part};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read, wrong};
use crate::surfaces::media::{image_at_url, inline_image, inline_part};

/// Where the bytes of an image or a document are.
const SOURCE: &str = "must have the 'type' 'base64' or 'url'";

/// There is no store of files.
const NO_FILES: &str = "is a file that was uploaded before, and none is kept here: send its bytes";

/// What a client says about a document.
pub(super) struct Document {
    pub(super) title: Option<String>,
    pub(super) context: Option<String>,
}

fields!(struct Source { kind: "type", media_type, data, url, content, file_id });

fn source<'a>(at: &str, field: Field<'a>) -> Result<(String, Source<'a>), ApiError> {
    let at = field.below(at);
    let raw = field.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let source: Source<'_> =
        read(raw).map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(raw))))?;
    Ok((at, source))
}

/// The image at `source`.
pub(super) fn image(at: &str, field: Field<'_>) -> Result<Image, ApiError> {
    let (at, source) = source(at, field)?;
    let kind_of_source: Option<String> = source.kind.optional(&at, "a string")?;
    match kind_of_source.as_deref() {
        Some("base64") => {
            let (media_type, data) = bytes(&at, &source)?;
            let not_an_image = || {
                wrong(
                    at.as_str(),
                    "must be an image in base64, with a 'media_type' that begins with 'image/'",
                )
            };
            inline_image(&media_type, &data).ok_or_else(not_an_image)
        }
        Some("url") => image_at_url(&source.url.below(&at), source.url.required(&at, "a string")?),
        Some("file") => Err(wrong(at, NO_FILES)),
        _ => Err(wrong(at, SOURCE)),
    }
}

fn bytes(at: &str, source: &Source<'_>) -> Result<(String, String), ApiError> {
    Ok((source.media_type.required(at, "a string")?, source.data.required(at, "a string")?))
}

/// The document at `source`: text as text, anything else as a file. `parts` reads content in blocks.
pub(super) fn document(
    at: &str,
    field: Field<'_>,
    about: Document,
    parts: impl FnOnce(&str, Field<'_>) -> Result<Vec<Part>, ApiError>,
) -> Result<Vec<Part>, ApiError> {
    let (at, source) = source(at, field)?;
    let kind_of_source: Option<String> = source.kind.optional(&at, "a string")?;
    match kind_of_source.as_deref() {
        Some("text") => {
            let text: String = source.data.required(&at, "a string")?;
            Ok(about.before(vec![Part::Text(text)]))
        }
        Some("content") => Ok(about.before(parts(&source.content.below(&at), source.content)?)),
        Some("base64") => {
            let (media_type, data) = bytes(&at, &source)?;
            let file = inline_part(&media_type, &data, about.title.clone());
            let file = file.ok_or_else(|| wrong(source.data.below(&at), "must be base64"))?;
            Ok(about.before(vec![file]))
        }
        Some("url") => Err(wrong(at, "is a URL, and documents are not fetched here: send its bytes")),
        Some("file") => Err(wrong(at, NO_FILES)),
        _ => Err(wrong(at, "must have the 'type' 'text', 'content' or 'base64'")),
    }
}

impl Document {
    /// What is said about the document, and then what is in it.
    fn before(self, content: Vec<Part>) -> Vec<Part> {
        let about = [self.title, self.context];
        in_front(about.into_iter().flatten().collect(), content)
    }
}

/// What a search has found, as text.
pub(super) fn search_result(title: Option<String>, source: Option<String>, content: Vec<Part>) -> Vec<Part> {
    in_front([title, source].into_iter().flatten().collect(), content)
}

/// `content` with `lines` in front, in the same text if it begins with one.
fn in_front(lines: Vec<String>, mut content: Vec<Part>) -> Vec<Part> {
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    content.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    if lines.is_empty() {
        return content;
    }
    let head = lines.join("\n");
    match content.first_mut() {
        Some(Part::Text(text)) => *text = format!("{head}\n\n{text}"),
        _ => content.insert(0, Part::Text(head)),
    }
    content
}
