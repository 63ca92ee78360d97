//! Base64 as Google's JSON reads and writes bytes: both alphabets in, the usual one out.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` as padded base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place) & 63) as usize;
            let digit = ALPHABET.get(sextet).copied().unwrap_or(b'=');
            text.push(if place > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// Whether `text` is base64 in either alphabet, padded or not.
pub(super) fn is_valid(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    // One digit beyond a group of four is six bits, which are not a byte.
    digits.bytes().all(is_digit) && digits.len() % 4 != 1 && text.len() - digits.len() <= 2
}

/// The canonical spelling of `text`: equal bytes have equal texts.
pub(super) fn normal(text: &str) -> String {
    text.trim_end_matches('=').replace('-', "+").replace('_', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_rfc_4648_has_them() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert!(is_valid(text), "{text}");
            assert_eq!(normal(text), text.trim_end_matches('='));
        }
        for wrong in ["Z", "Zm9vY", "Zm 9v", "Zg===", "Zm9v!", "data:image/png;base64,Zm9v"] {
            assert!(!is_valid(wrong), "{wrong}");
        }
        assert_eq!(normal("-_8="), normal("+/8"));
    }
}
