//! [`Secret`]: what all instances with the same keys know and the server does not. Names and seals are made of it.
//!
//! The server of `STATE_URL` is trusted with numbers, not with what people say. What it keeps of that is sealed
//! (AES-256-GCM), and named by hashes. Whoever has other keys neither finds nor reads it.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

/// So many bytes of a hash name something.
const NAME_BYTES: usize = 16;

/// Made of the keys of providers.
pub(crate) struct Secret(Prk);

/// Names something to the server: a hash from which nothing can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name([u8; NAME_BYTES]);

/// Closes what the server keeps, and opens it again.
pub(crate) struct Seal(LessSafeKey);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Made of what is called `name` and has this key, in this order. `None` if there is no key at all: then there is
    /// nothing that the server does not know.
    pub(crate) fn of<'a>(keys: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut words = Vec::new();
        for word in keys.filter(|(_, key)| !key.is_empty()).flat_map(|(name, key)| [name, key]) {
            words.extend((word.len() as u64).to_le_bytes());
            words.extend(word.as_bytes());
        }
        let salt = Salt::new(HKDF_SHA256, b"ai-proxy-free:v1");
        (!words.is_empty()).then(|| Self(salt.extract(&words)))
    }

    /// Hashes what is of this `kind`.
    pub(crate) fn hashes(&self, kind: &str) -> Option<hmac::Key> {
        self.0.expand(&[b"hash:", kind.as_bytes()], HMAC_SHA256).ok().map(hmac::Key::from)
    }

    /// Seals what is of this `kind` and belongs to `owner`.
    pub(crate) fn seal(&self, kind: &str, owner: &[u8]) -> Option<Seal> {
        let info = [b"seal:", kind.as_bytes(), b":", owner];
        let key = self.0.expand(&info, &AES_256_GCM).ok()?;
        Some(Seal(LessSafeKey::new(UnboundKey::from(key))))
    }
}

impl Name {
    /// The beginning of a hash.
    pub(crate) fn new(tag: &hmac::Tag) -> Self {
        let mut name = [0; NAME_BYTES];
        name.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Self(name)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_name = text.len() == 2 * NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_name)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Seal {
    /// Closes `text`, which is opened only with the same `context`. `None` if this machine has no randomness to give.
    pub(crate) fn close(&self, context: &[u8], mut text: Vec<u8>) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(context), &mut text).ok()?;
        text.extend(nonce);
        Some(text)
    }

    /// What was closed with the same secret and `context`; `None` if it is something else.
    pub(crate) fn open(&self, context: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = sealed.split_off(sealed.len().checked_sub(NONCE_LEN)?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// Texts one after the other, each behind its length.
pub(crate) fn joined(texts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum::<usize>() + 64);
    for text in texts {
        all.extend((text.len() as u64).to_le_bytes());
        all.extend(*text);
    }
    all
}

/// The first of the texts that [`joined`] has put together, and the others.
pub(crate) fn first(all: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = all.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&'static str, &'static str)]) -> Secret {
        Secret::of(keys.iter().copied()).unwrap()
    }

    #[test]
    fn a_seal_is_opened_with_the_same_keys_owner_and_context_alone() {
        let keys = [("Groq", "one"), ("Groq", "two")];
        let seal = secret(&keys).seal("answer", b"anna").unwrap();
        let sealed = seal.close(b"here", b"a prompt".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|it| it == b"prompt"));
        let opened = |keys: &[_], kind, owner: &[u8], context: &[u8], sealed: &[u8]| {
            secret(keys).seal(kind, owner).unwrap().open(context, sealed.to_vec())
        };
        assert_eq!(opened(&keys, "answer", b"anna", b"here", &sealed).unwrap(), b"a prompt");
        let others = [("Groq", "two"), ("Groq", "one")];
        assert_eq!(opened(&others, "answer", b"anna", b"here", &sealed), None);
        assert_eq!(opened(&keys, "signature", b"anna", b"here", &sealed), None);
        assert_eq!(opened(&keys, "answer", b"bert", b"here", &sealed), None);
        assert_eq!(opened(&keys, "answer", b"anna", b"there", &sealed), None);
        for cut in 0..sealed.len() {
            assert_eq!(opened(&keys, "answer", b"anna", b"here", &sealed[..cut]), None);
        }
        let again = seal.close(b"here", b"a prompt".to_vec()).unwrap();
        assert_ne!(again, sealed, "the same text looks different each time");
    }

    #[test]
    fn without_any_key_there_is_no_secret() {
        assert!(Secret::of([("Groq", "")].into_iter()).is_none());
    }

    #[test]
    fn texts_are_parted_as_they_were_joined_and_nothing_foreign_is_read_beyond_its_end() {
        let all = joined(&[b"", "é".as_bytes(), b"rest"]);
        let (one, rest) = first(&all).unwrap();
        let (two, rest) = first(rest).unwrap();
        let (three, rest) = first(rest).unwrap();
        assert_eq!((one, two, three, rest), ("", "é", "rest", &b""[..]));
        assert!(first(&[255; 20]).is_none() && first(b"short").is_none());
        assert!(first(&joined(&[b"\xff"])).is_none());
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let key = secret(&[("Groq", "one")]).hashes("answer").unwrap();
        let name = Name::new(&hmac::sign(&key, b"id"));
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        for text in ["", "0", "+0000000000000000000000000000000", &"é".repeat(16)] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
