//! Thoughts that stand inside of the text, between `<think>` and `</think>`: some models write them so, and some hosts pass
//! them on as they are (Cloudflare's reasoning models, many local ones; checked 2026-11).

use super::event::Event;

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// Tells thoughts from text, piece by piece.
#[derive(Debug)]
pub(super) struct InlineThoughts {
    place: Place,
    /// What may be a part of a mark.
    held: String,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At its very beginning, where alone thoughts may begin.
    Beginning,
    /// Within the thoughts.
    Within,
    /// Behind them, where blank lines are not yet text.
    Behind,
    /// In the text.
    Text,
}

impl InlineThoughts {
    /// All text is text.
    pub(super) const NONE: Self = Self { place: Place::Text, held: String::new() };
    /// Text may begin with thoughts.
    pub(super) const EXPECTED: Self = Self { place: Place::Beginning, held: String::new() };

    /// Whether everything that follows is text.
    pub(super) fn are_over(&self) -> bool {
        self.place == Place::Text
    }

    /// What a piece of text tells, as far as that is certain.
    pub(super) fn take(&mut self, piece: &str) -> Vec<Event> {
        self.held.push_str(piece);
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.extend(event);
        }
        events
    }

    /// What was held back, when the answer has ended.
    pub(super) fn end(&mut self) -> Option<Event> {
        let held = std::mem::take(&mut self.held);
        let event = if self.place == Place::Within { Event::Reasoning(held) } else { Event::Text(held) };
        (!event.text().is_empty()).then_some(event)
    }

    /// One step: what it tells, if anything; `None` if more must come first.
    fn next(&mut self) -> Option<Option<Event>> {
        match self.place {
            Place::Beginning => {
                let begun = self.held.trim_start();
                if let Some(rest) = begun.strip_prefix(OPENING) {
                    (self.held, self.place) = (rest.to_owned(), Place::Within);
                } else if OPENING.starts_with(begun) {
                    return None;
                } else {
                    self.place = Place::Text;
                }
                Some(None)
            }
            Place::Within => self.thoughts(),
            Place::Behind => {
                self.held = self.held.trim_start().to_owned();
                self.place = if self.held.is_empty() { Place::Behind } else { Place::Text };
                (!self.held.is_empty()).then_some(None)
            }
            Place::Text if self.held.is_empty() => None,
            Place::Text => Some(Some(Event::Text(std::mem::take(&mut self.held)))),
        }
    }

    /// The thoughts up to their end, or up to what may be the beginning of it.
    fn thoughts(&mut self) -> Option<Option<Event>> {
        let (thought, rest, place) = match self.held.split_once(CLOSING) {
            Some((thought, rest)) => (thought.to_owned(), rest.to_owned(), Place::Behind),
            None => {
                let is_begun =
                    |length: &usize| CLOSING.get(..*length).is_some_and(|it| self.held.ends_with(it));
                let kept = (1..CLOSING.len()).rev().find(is_begun).unwrap_or(0);
                let (thought, rest) = self.held.split_at(self.held.len() - kept);
                (thought.to_owned(), rest.to_owned(), Place::Within)
            }
        };
        let is_stuck = thought.is_empty() && place == Place::Within;
        (self.held, self.place) = (rest, place);
        let event = (!thought.is_empty()).then_some(Event::Reasoning(thought));
        (!is_stuck).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thoughts and text of an answer that comes in these pieces.
    fn told<'p>(pieces: impl IntoIterator<Item = &'p str>) -> (String, String) {
        let mut inline = InlineThoughts::EXPECTED;
        let mut events: Vec<Event> = pieces.into_iter().flat_map(|piece| inline.take(piece)).collect();
        events.extend(inline.end());
        let (mut thoughts, mut text) = (String::new(), String::new());
        for event in events {
            match event {
                Event::Reasoning(piece) => thoughts.push_str(&piece),
                event => text.push_str(event.text()),
            }
        }
        (thoughts, text)
    }

    #[test]
    fn thoughts_and_text_are_told_apart_however_they_are_cut() {
        let cases = [
            ("Hola", "", "Hola"),
            ("<think>Hm.</think>Hola", "Hm.", "Hola"),
            ("\n<think>\nHm.\n</think>\n\nHola", "\nHm.\n", "Hola"),
            ("<think></think>\n\nHola", "", "Hola"),
            ("<think>a < b </thin </think>¿Qué?", "a < b </thin ", "¿Qué?"),
            ("<think>never closed", "never closed", ""),
            ("<think>never closed </thi", "never closed </thi", ""),
            ("<thi", "", "<thi"),
            ("<thinking> is HTML", "", "<thinking> is HTML"),
            ("Use <think>x</think> so", "", "Use <think>x</think> so"),
            ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
            ("", "", ""),
        ];
        for (answer, thoughts, text) in cases {
            let expected = (thoughts.to_owned(), text.to_owned());
            assert_eq!(told([answer]), expected, "{answer}");
            for (cut, _) in answer.char_indices() {
                let (first, second) = answer.split_at(cut);
                assert_eq!(told([first, second]), expected, "{answer} cut at {cut}");
            }
            let characters: Vec<String> = answer.chars().map(String::from).collect();
            assert_eq!(told(characters.iter().map(String::as_str)), expected, "{answer} by characters");
        }
    }
}
