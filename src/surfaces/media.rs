//! Images and files as clients send them: as URLs, and in base64.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::ApiError;
use super::fields::wrong;
use crate::middle::{File, Image, Part};

/// As clients write it: with or without the signs at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The image at `url`, which may hold its bytes.
///
/// # Errors
/// It is neither an http(s) URL nor an image in base64.
pub(super) fn image_at_url(at: &str, url: String) -> Result<Image, ApiError> {
    const ACCEPTED: &str = "must be an http(s) URL or data:<media type>;base64,<data>";
    if is_remote(&url) {
        return Ok(Image::Remote(url));
    }
    let (media_type, data) = data_url(&url).ok_or_else(|| wrong(at, ACCEPTED))?;
    inline_image(media_type, data).ok_or_else(|| wrong(at, format!("{ACCEPTED}, of an image")))
}

/// Whether `url` leads to another host.
pub(super) fn is_remote(url: &str) -> bool {
    begins_with(url, "https://") || begins_with(url, "http://")
}

/// The media type and the base64 of a URL that holds its bytes.
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    let inline = url.get("data:".len()..).filter(|_| begins_with(url, "data:"))?;
    let (head, data) = inline.split_once(',')?;
    let (media_type, parameters) = head.split_once(';')?;
    let coding = parameters.rsplit(';').next().unwrap_or_default().trim();
    coding.eq_ignore_ascii_case("base64").then_some((media_type, data))
}

/// The image of this media type with these bytes in base64; `None` if it is none.
pub(super) fn inline_image(media_type: &str, data: &str) -> Option<Image> {
    let (media_type, base64) = (media_type_of(media_type), base64_in(data));
    let is_image = media_type.starts_with("image/") && is_base64(&base64);
    is_image.then_some(Image::Inline { media_type, base64 })
}

/// What these bytes in base64 are to a model: an image, or a file of the name that the client gives it. `None` if they are
/// not base64.
pub(super) fn inline_part(media_type: &str, data: &str, name: Option<String>) -> Option<Part> {
    if let Some(image) = inline_image(media_type, data) {
        return Some(Part::Image(image));
    }
    let (media_type, base64) = (media_type_of(media_type), base64_in(data));
    is_base64(&base64).then_some(Part::File(File { media_type, base64, name }))
}

fn begins_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme))
}

/// The media type by its registered name: providers refuse the names that clients make up from the ends of file names.
fn media_type_of(written: &str) -> String {
    let media_type = written.trim().to_ascii_lowercase();
    match media_type.as_str() {
        "image/jpg" | "image/pjpeg" | "image/jpe" => "image/jpeg".to_owned(),
        "image/x-png" => "image/png".to_owned(),
        _ => media_type,
    }
}

/// The base64 in a data URL, without line ends and blanks, and with the characters that a URL may escape as they are.
fn base64_in(data: &str) -> String {
    const ESCAPES: [(&str, &str); 7] =
        [("%0A", ""), ("%0D", ""), ("%20", ""), ("%09", ""), ("%2B", "+"), ("%2F", "/"), ("%3D", "=")];
    let mut base64: String = data.split_ascii_whitespace().collect();
    if base64.contains('%') {
        for (escape, character) in ESCAPES {
            base64 = base64.replace(escape, character).replace(&escape.to_ascii_lowercase(), character);
        }
    }
    base64
}

/// Whether `text` is base64, and not empty.
pub(super) fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

/// The text whose bytes these are in base64; `None` if they are none.
pub(super) fn base64_text(data: &str) -> Option<String> {
    let plain = base64_in(data).replace('-', "+").replace('_', "/");
    let bytes = BASE64.decode(plain).ok()?;
    String::from_utf8(bytes).ok()
}
