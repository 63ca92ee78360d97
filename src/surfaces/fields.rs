//! Reading a client's JSON without building what nobody asked for: a hostile body costs little more memory than its
//! bytes, and every mistake is said with its place.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::surfaces::ApiError;

/// The most unknown names that are told of.
const MAX_UNKNOWN: usize = 16;
/// The longest unknown name that is told of, in bytes.
const MAX_UNKNOWN_LEN: usize = 40;

/// The fields of an object that have the names asked for, in that order; and what else there is.
pub(super) struct Fields<'a, const N: usize> {
    pub(super) known: [Option<&'a RawValue>; N],
    /// Names nobody asked for: plain ones, and not very many.
    pub(super) unknown: Vec<String>,
}

/// The object in `body`.
///
/// # Errors
/// [`ApiError::BadRequest`]: it is not UTF-8, not JSON, or not an object.
pub(super) fn body_object(body: &[u8]) -> Result<&RawValue, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| not_json(&error))?;
    let body: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if !body.get().starts_with('{') {
        return Err(bad(format!("Request body must be a JSON object, not {}", kind(body))));
    }
    Ok(body)
}

/// That the body cannot be read at all.
pub(super) fn not_json(error: &dyn fmt::Display) -> ApiError {
    bad(format!("Request body is not valid JSON: {error}"))
}

/// The fields of `object` that have these names; of one that stands twice the last, as in JavaScript.
pub(super) fn object_fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&'static str; N],
) -> serde_json::Result<Fields<'a, N>> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(FieldPicker(names))
}

struct FieldPicker<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldPicker<N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { known: [None; N], unknown: Vec::new() };
        while let Some(name) = entries.next_key::<Cow<'de, str>>()? {
            let position = self.0.iter().position(|known| **known == *name);
            if let Some(field) = position.and_then(|position| fields.known.get_mut(position)) {
                *field = Some(entries.next_value()?);
                continue;
            }
            entries.next_value::<IgnoredAny>()?;
            let is_plain = name.len() <= MAX_UNKNOWN_LEN
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_plain && fields.unknown.len() < MAX_UNKNOWN && !fields.unknown.iter().any(|it| *it == name)
            {
                fields.unknown.push(name.into_owned());
            }
        }
        Ok(fields)
    }
}

/// Gives the items of an array, which `list` is, one after the other to `take`, up to the first that is wrong.
///
/// # Errors
/// What `take` says, or that the array cannot be read.
pub(super) fn each<'a>(
    name: &str,
    list: &'a RawValue,
    take: impl FnMut(usize, &'a RawValue) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut taker = Taker { take, mistake: None };
    let outcome = serde_json::Deserializer::from_str(list.get()).deserialize_seq(&mut taker);
    match (outcome, taker.mistake) {
        (_, Some(mistake)) => Err(mistake),
        (Err(error), None) => Err(wrong(name, format!("cannot be read: {error}"))),
        (Ok(()), None) => Ok(()),
    }
}

struct Taker<F> {
    take: F,
    mistake: Option<ApiError>,
}

impl<'de, F: FnMut(usize, &'de RawValue) -> Result<(), ApiError>> Visitor<'de> for &mut Taker<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            if let Err(mistake) = (self.take)(index, item) {
                self.mistake = Some(mistake);
                return Err(A::Error::custom("see the mistake"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// The value of an optional field; `null` counts as absent.
///
/// # Errors
/// [`ApiError::InvalidField`], saying what is `accepted`.
pub(super) fn optional<T: DeserializeOwned>(
    name: &str,
    raw: Option<&RawValue>,
    accepted: &str,
) -> Result<Option<T>, ApiError> {
    raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get())).map_err(|_| ApiError::InvalidField {
        param: name.to_owned(),
        message: format!("'{name}' must be {accepted}"),
    })
}

/// The string that `raw` is.
///
/// # Errors
/// Why not; completes a sentence that begins with the field's name.
pub(super) fn string(raw: &RawValue) -> Result<String, String> {
    serde_json::from_str(raw.get()).map_err(|_| {
        if raw.get().starts_with('"') {
            "has a \\u escape that is no character, such as half of a surrogate pair (a cut emoji)".to_owned()
        } else {
            format!("must be a string, not {}", kind(raw))
        }
    })
}

/// A field that is not there or `null`.
pub(super) fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// What kind of JSON value it is, with its article.
pub(super) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

/// A mistake of the request as a whole.
pub(super) fn bad(message: impl Into<String>) -> ApiError {
    ApiError::BadRequest(message.into())
}

/// A mistake in the field `param`: `rest` completes a sentence that begins with its name.
pub(super) fn wrong(param: impl Into<String>, rest: impl fmt::Display) -> ApiError {
    let param = param.into();
    ApiError::InvalidField { message: format!("{param} {rest}"), param }
}
