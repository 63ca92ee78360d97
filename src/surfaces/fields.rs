//! Reads a client's JSON field by field. Unknown fields are never built, so a hostile body costs little more memory
//! than its bytes. Every error names the place of the mistake.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ApiError;
use super::not_json::{advice, without_mark};

/// The most unknown names of one object that are reported.
const MAX_UNKNOWN: usize = 16;
/// The longest unknown name that is reported, in bytes.
const MAX_UNKNOWN_LEN: usize = 40;

/// A known field of an object: its name, and its value if it is there.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    /// A field that is there.
    pub(super) const fn new(name: &'static str, value: &'a RawValue) -> Self {
        Self { name, raw: Some(value) }
    }

    /// A field that is not there, or not yet.
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

    /// Its value; `null` counts as absent. `parent` is the place of the object it stands in, empty for the request
    /// itself.
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

    /// The field of this name; `None` if it is unknown.
    fn place(&mut self, name: &str) -> Option<&mut Field<'a>>;

    /// The unknown names: plain ones only, at most [`MAX_UNKNOWN`].
    fn unknown(&mut self) -> &mut Vec<String>;
}

/// Reads the fields of an object by their names, each of which is written once: no order ties a name to a variable, so
/// no two can be mixed up. It is a macro because only a macro can make a struct out of names.
///
/// ```text
/// let part = fields!(item => text, kind: "type")?;    // in one place
/// part.text, part.kind                                // a `Field` each; `kind` is the field "type"
/// part.unknown                                        // the unknown names
///
/// fields!(struct Part { text, kind: "type" });        // the same with a name, for functions that take the struct
/// let part: Part<'_> = read(item)?;
/// ```
///
/// If a field stands twice, the last one counts, as in JavaScript. Unknown fields are skipped and never built.
macro_rules! fields {
    (struct $Fields:ident { $($field:ident $(: $name:literal)?),+ $(,)? }) => {
        struct $Fields<'a> {
            $($field: $crate::surfaces::fields::Field<'a>,)+
            unknown: Vec<String>,
        }
        impl<'a> $crate::surfaces::fields::Pick<'a> for $Fields<'a> {
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
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    ($object:expr => $($field:ident $(: $name:literal)?),+ $(,)?) => {{
        fields!(struct Fields { $($field $(: $name)?),+ });
        $crate::surfaces::fields::read::<Fields<'_>>($object)
    }};
}
pub(super) use fields;

/// Reads an object into what [`fields!`] has made.
pub(super) fn read<'a, P: Pick<'a>>(object: &'a RawValue) -> serde_json::Result<P> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Picker(Spelling::Exact, PhantomData))
}

/// The same for a dialect that takes `inlineData` and `inline_data` for one name. The names are those in camel case.
pub(super) fn read_in_any_case<'a, P: Pick<'a>>(object: &'a RawValue) -> serde_json::Result<P> {
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Picker(Spelling::AnyCase, PhantomData))
}

struct Picker<P>(Spelling, PhantomData<P>);

/// How a name must be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Exact,
    /// In camel case or in snake case.
    AnyCase,
}

impl Spelling {
    /// A name as the fields have it.
    fn known(self, name: &str) -> Cow<'_, str> {
        if self == Self::Exact || !name.contains('_') {
            return Cow::Borrowed(name);
        }
        let mut words = name.split('_');
        let mut camel = words.next().unwrap_or_default().to_owned();
        for word in words {
            let mut letters = word.chars();
            camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            camel.push_str(letters.as_str());
        }
        Cow::Owned(camel)
    }
}

impl<'de, P: Pick<'de>> Visitor<'de> for Picker<P> {
    type Value = P;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<P, A::Error> {
        let mut fields = P::empty();
        while let Some(name) = entries.next_key::<Cow<'de, str>>()? {
            if let Some(field) = fields.place(&self.0.known(&name)) {
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

/// Whether a header may repeat a name that the client has sent.
fn is_plain(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.len() <= MAX_UNKNOWN_LEN && name.bytes().all(is_fit)
}

/// The object in `body`.
///
/// # Errors
/// [`ApiError::BadRequest`]: it is not UTF-8, not JSON, or not an object; and what probably happened to it.
pub(super) fn body_object(body: &[u8]) -> Result<&RawValue, ApiError> {
    let body = without_mark(body);
    let not_json = |error: &dyn fmt::Display| match advice(body) {
        advice if advice.is_empty() => not_json(error),
        advice => not_json(&format_args!("{error}. {advice}")),
    };
    let text = std::str::from_utf8(body).map_err(|error| not_json(&error))?;
    let body: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if !body.get().starts_with('{') {
        return Err(bad(format!("Request body must be a JSON object, not {}", kind(body))));
    }
    Ok(body)
}

/// The error of a body that is not JSON.
pub(super) fn not_json(error: &dyn fmt::Display) -> ApiError {
    bad(format!("Request body is not valid JSON: {error}"))
}

/// Hands the items of the array `list` to `take`, one after the other, up to the first mistake.
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
/// What is wrong with it; completes a sentence that begins with the field's name.
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
