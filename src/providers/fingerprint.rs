//! Short texts that stand for long ones.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// So many letters and digits that depend on all of `text`, and on nothing else: FNV-1a, in base 62. Eleven hold all of
/// it.
pub(super) fn fingerprint(text: &str, digits: usize) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut rest = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mut written = String::with_capacity(digits);
    for _ in 0..digits {
        let digit = usize::try_from(rest % 62).ok().and_then(|at| DIGITS.get(at)).copied();
        written.push(char::from(digit.unwrap_or(b'0')));
        rest /= 62;
    }
    written
}
