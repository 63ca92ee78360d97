//! Reading a client's JSON without building what nobody asked for: a hostile body costs little more memory than its
//! bytes, and every mistake is said with its place.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ApiError;

/// The most unknown names that are told of.
const MAX_UNKNOWN: usize = 16;
/// The longest unknown name that is told of, in bytes.
const MAX_UNKNOWN_LEN: usize = 40;

/// A field of an object that was asked for: its name, and its value if it is there.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    pub(super) const fn absent(name: &'static str) -> Self {
        Self { name, raw: None }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Its value, unless it is not there or `null`.
    pub(super) fn present(self) -> Option<&'a RawValue> {
        self.raw.filter(|raw| raw.get() != "null")
    }

    /// Its value if it is an array.
    pub(super) fn array(self) -> Option<&'a RawValue> {
        self.raw.filter(|raw| raw.get().starts_with('['))
    }

    /// Its place in the request, below `parent`.
    pub(super) fn below(self, parent: &str) -> String {
        if parent.is_empty() { self.name.to_owned() } else { format!("{parent}.{}", self.name) }
    }

    /// Its value; `null` counts as absent. `parent` is the place of the object it stands in, empty for the request itself.
    ///
    /// # Errors
    /// [`ApiError::InvalidField`], saying what is `accepted`.
    pub(super) fn optional<T: DeserializeOwned>(
        self,
        parent: &str,
        accepted: &str,
    ) -> Result<Option<T>, ApiError> {
        let value = self.raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()));
        value.map_err(|_| {
            let param = self.below(parent);
            ApiError::InvalidField { message: format!("'{param}' must be {accepted}"), param }
        })
    }

    /// Its value, which must be there and of this type.
    ///
    /// # Errors
    /// As [`optional`](Self::optional), or that it is missing.
    pub(super) fn required<T: DeserializeOwned>(self, parent: &str, accepted: &str) -> Result<T, ApiError> {
        self.optional(parent, accepted)?.ok_or_else(|| wrong(self.below(parent), "is missing"))
    }
}

/// What [`fields!`] makes: an object's fields, each in its own variable.
pub(super) trait Pick<'a> {
    fn empty() -> Self;

    /// Where the field of this name belongs; none if nobody has asked for it.
    fn place(&mut self, name: &str) -> Option<&mut Field<'a>>;

    /// The names that nobody has asked for: plain ones, and not very many.
    fn unknown(&mut self) -> &mut Vec<String>;
}

/// Reads the fields of an object by their names: `fields!(object => role, kind: "type")` gives a struct whose `role` and
/// `kind` are a [`Field`] each, and whose `unknown` are the names that nobody has asked for. A name stands once, and is the
/// variable's own or beside it, so no two can be mixed up. It is a macro because only a macro can make a struct of names.
///
/// Of a field that stands twice the last one counts, as in JavaScript. What is not asked for is skipped and never built.
macro_rules! fields {
    ($object:expr => $($field:ident $(: $name:literal)?),+ $(,)?) => {{
        struct Known<'a> {
            $($field: $crate::surfaces::fields::Field<'a>,)+
            unknown: Vec<String>,
        }
        impl<'a> $crate::surfaces::fields::Pick<'a> for Known<'a> {
            fn empty() -> Self {
                Self {
                    $($field: $crate::surfaces::fields::Field::absent(fields!(@name $field $($name)?)),)+
                    unknown: Vec::new(),
                }
            }

            fn place(&mut self, name: &str) -> Option<&mut $crate::surfaces::fields::Field<'a>> {
                match name {
                    $(fields!(@name $field $($name)?) => Some(&mut self.$field),)+
                    _ => None,
                }
            }

            fn unknown(&mut self) -> &mut Vec<String> {
                &mut self.unknown
            }
        }
        $crate::surfaces::fields::read::<Known<'_>>($object)
    }};
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(super) use fields;

/// Reads an object into what [`fields!`] has made.
pub(super) fn read<'a, P: Pick<'a>>(object: &'a RawValue) -> serde_json::Result<P> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Picker(PhantomData))
}

struct Picker<P>(PhantomData<P>);

impl<'de, P: Pick<'de>> Visitor<'de> for Picker<P> {
    type Value = P;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<P, A::Error> {
        let mut fields = P::empty();
        while let Some(name) = entries.next_key::<Cow<'de, str>>()? {
            if let Some(field) = fields.place(&name) {
                field.raw = Some(entries.next_value()?);
                continue;
            }
            entries.next_value::<IgnoredAny>()?;
            let unknown = fields.unknown();
            if is_plain(&name) && unknown.len() < MAX_UNKNOWN && !unknown.iter().any(|it| *it == name) {
                unknown.push(name.into_owned());
            }
        }
        Ok(fields)
    }
}

/// Whether a client's own name may be repeated to it in a header.
fn is_plain(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.len() <= MAX_UNKNOWN_LEN && name.bytes().all(is_fit)
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
