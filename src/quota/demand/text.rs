//! How many tokens a text has, without a tokenizer: each byte costs what its class costs after the class of the byte
//! before it.
//!
//! A tokenizer cuts where the kind of character changes, so pairs of classes tell most of it: a letter after a space
//! begins a word, and the first digit of a number costs more than the second. Lowercase letters have three classes,
//! because words alternate vowels and consonants while base64 and identifiers do not.
//!
//! The costs are a least-squares fit (November 2026, 1,754 pieces of 1.5 to 2.5 kB: prose, code, JSON, logs and random
//! data, and the translated texts of a web framework in 23 languages) to o200k, the tokenizer of gpt-oss. Other
//! tokenizers differ by a factor; see [`Correction`](super::Correction).

/// What a byte of UTF-8 is.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Class {
    /// Space and tab.
    Space,
    /// `\n` and `\r`.
    Line,
    /// `aeiou`.
    Vowel,
    /// The other lowercase letters.
    Consonant,
    /// `jkqvwxz`.
    Rare,
    Capital,
    Digit,
    /// The rest of ASCII.
    Mark,
    /// All bytes of a character beyond ASCII but its first. The classes that follow are first bytes.
    Inner,
    /// Latin letters with accents.
    Latin,
    /// Greek, Armenian, Hebrew.
    Greek,
    Cyrillic,
    Arabic,
    /// The scripts of India and South-East Asia.
    Indic,
    /// Dashes, quotation marks, arrows, boxes; punctuation of full width.
    Symbol,
    /// Kana; Chinese punctuation.
    Kana,
    Han,
    Hangul,
    Emoji,
}

impl Class {
    const fn of(byte: u8) -> Self {
        match byte {
            b' ' | b'\t' => Self::Space,
            b'\n' | b'\r' => Self::Line,
            b'a' | b'e' | b'i' | b'o' | b'u' => Self::Vowel,
            b'j' | b'k' | b'q' | b'v' | b'w' | b'x' | b'z' => Self::Rare,
            b'a'..=b'z' => Self::Consonant,
            b'A'..=b'Z' => Self::Capital,
            b'0'..=b'9' => Self::Digit,
            0x00..=0x7f => Self::Mark,
            0x80..=0xbf => Self::Inner,
            0xc0..=0xcc => Self::Latin,
            0xcd..=0xcf | 0xd4..=0xd7 => Self::Greek,
            0xd0..=0xd3 => Self::Cyrillic,
            0xd8..=0xdf => Self::Arabic,
            0xe0..=0xe1 => Self::Indic,
            0xe2 | 0xef => Self::Symbol,
            0xe3 => Self::Kana,
            0xe4..=0xe9 => Self::Han,
            0xea..=0xee => Self::Hangul,
            0xf0..=0xff => Self::Emoji,
        }
    }
}

/// The classes that a byte may follow: those of ASCII, and [`Class::Inner`] for all else.
const COLUMNS: usize = Class::Inner as usize + 1;

const CLASSES: usize = Class::Emoji as usize + 1;

const CLASS: [Class; 256] = {
    let mut classes = [Class::Mark; 256];
    let mut byte = 0;
    while byte < classes.len() {
        #[expect(clippy::indexing_slicing, reason = "a mistake would not compile")]
        {
            classes[byte] = Class::of(byte as u8);
        }
        byte += 1;
    }
    classes
};

/// Hundredths of a token, by the class of the byte and that of the byte before it.
const COST: [[u8; COLUMNS]; CLASSES] = [
    // Space, line, vowel, consonant, rare, capital, digit, mark, beyond ASCII.
    [0, 80, 47, 4, 67, 0, 41, 19, 36],          // Space
    [68, 0, 59, 70, 61, 55, 65, 0, 60],         // Line
    [71, 91, 0, 12, 26, 11, 81, 52, 0],         // Vowel
    [37, 70, 0, 18, 52, 50, 98, 60, 0],         // Consonant
    [43, 90, 28, 36, 87, 106, 129, 96, 80],     // Rare
    [92, 105, 55, 34, 108, 24, 153, 62, 61],    // Capital
    [134, 108, 109, 97, 131, 175, 26, 92, 102], // Digit
    [110, 45, 55, 58, 38, 57, 85, 22, 77],      // Mark
    [0; COLUMNS],                               // Inner
    character(110, 4),                          // Latin
    character(86, 24),                          // Greek
    character(111, 8),                          // Cyrillic
    character(72, 15),                          // Arabic
    character(10, 40),                          // Indic
    character(52, 66),                          // Symbol
    character(100, 60),                         // Kana
    character(131, 77),                         // Han
    character(103, 34),                         // Hangul
    character(150, 120),                        // Emoji
];

/// The costs of a character beyond ASCII: the first after ASCII, and each further one.
const fn character(first: u8, further: u8) -> [u8; COLUMNS] {
    [first, first, first, first, first, first, first, first, further]
}

/// The tokens of a text, in hundredths: texts are added up before they are rounded.
pub(super) fn of_text(text: &str) -> u64 {
    of_bytes(text.bytes())
}

/// The tokens of a schema, in hundredths. Providers parse it and write it anew, so the client's line ends and indents
/// cost nothing.
pub(super) fn of_json(text: &str) -> u64 {
    let mut is_outside = true;
    of_bytes(text.bytes().filter(move |byte| match byte {
        b'\n' | b'\r' | b'\t' => {
            // They stand in no JSON string.
            is_outside = true;
            false
        }
        b' ' => !is_outside,
        _ => {
            // In a string, a space after a comma is left out as well; that is one of few.
            is_outside = byte.is_ascii_punctuation();
            true
        }
    }))
}

fn of_bytes(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut before = Class::Line as usize;
    let mut sum = 0;
    for byte in bytes {
        // Both indices are always in range, and the compiler knows it.
        let class = CLASS.get(usize::from(byte)).map_or(0, |class| *class as usize);
        let cost = COST.get(class).and_then(|row| row.get(before)).copied().unwrap_or(0);
        sum += u64::from(cost);
        before = class.min(Class::Inner as usize);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_never_costs_less_when_more_follows(text in ".{0,80}", more in ".{0,80}") {
            let both = [text.as_str(), more.as_str()].concat();
            prop_assert!(of_text(&both) >= of_text(&text));
        }

        #[test]
        fn no_text_has_two_tokens_a_byte(text in "[ -~\n]{0,200}") {
            prop_assert!(of_text(&text) <= 200 * text.len() as u64);
        }
    }

    #[test]
    fn what_looks_random_costs_half_as_much_again_as_words_of_its_length() {
        let cases = [
            ("considerable improvements everywhere", "Zx9QpLk2vB7nRtY4wHs8JdFg3mXcKq5T1uVe"),
            ("the number of people that were there", "8271 9930 1182 7745 0021 6619 3350 4"),
            ("a list of all the items in the shop", "{\"a\":[1,2],\"b\":{\"c\":null,\"d\":[{}]}"),
        ];
        for (words, random) in cases {
            assert!(2 * of_text(random) > 3 * of_text(words), "{random}");
        }
    }

    #[test]
    fn the_indent_of_a_schema_costs_nothing() {
        let compact =
            r#"{"type":"object","required":["city","day"],"properties":{"day":{"minimum":1},"city":{}}}"#;
        let schema: serde_json::Value = serde_json::from_str(compact).unwrap();
        let pretty = serde_json::to_string_pretty(&schema).unwrap();
        let compact = serde_json::to_string(&schema).unwrap();
        assert_eq!(of_json(&pretty), of_text(&compact));
        assert!(of_text(&pretty) > of_text(&compact));
    }

    #[test]
    fn the_words_in_a_schema_keep_their_spaces() {
        let schema = r#"{"description":"The earliest start of a showing in the house"}"#;
        assert_eq!(of_json(schema), of_text(schema));
    }

    #[test]
    fn every_class_stands_in_the_row_of_its_name() {
        // The second of two equal characters, in hundredths.
        let cases = [
            (' ', 0),
            ('\n', 0),
            ('a', 0),
            ('t', 18),
            ('z', 87),
            ('T', 24),
            ('7', 26),
            ('{', 22),
            ('é', 4),
            ('ω', 24),
            ('ж', 8),
            ('ع', 15),
            ('क', 40),
            ('—', 66),
            ('の', 60),
            ('山', 77),
            ('한', 34),
            ('🙂', 120),
        ];
        for (character, expected) in cases {
            let (one, two) = (String::from(character), String::from_iter([character, character]));
            assert_eq!(of_text(&two) - of_text(&one), expected, "{character}");
        }
    }
}
