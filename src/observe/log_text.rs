//! A line of the log as text, as tracing-subscriber's own format has it: that one goes through `fmt` for every piece and
//! looks at every character, which took 5,400 instructions a line instead of 2,900 (2026-11). Bytes are looked at without
//! a branch, so that the compiler takes many at once.

use std::fmt::{self, Debug, Write as _};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::time::Clock;

/// Writes `[2025-12-30T06:10:05.124Z] INFO: Sentence key=value`.
pub(super) struct TextFormat {
    clock: Clock,
    second: Mutex<Second>,
}

/// A second of the day as written, because lines of the same second follow each other.
#[derive(Default)]
struct Second {
    since_epoch: i64,
    /// `2025-12-30T06:10:05`
    text: String,
}

impl TextFormat {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, second: Mutex::default() }
    }

    fn write_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        let now = (self.clock)().wall;
        let (since_epoch, ms) = (now.as_second(), now.subsec_millisecond());
        // Before 1970 the fraction counts downwards, and nobody waits for a log.
        if since_epoch < 0 || ms < 0 {
            return write!(line, "{now:.3}");
        }
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.since_epoch != since_epoch || second.text.is_empty() {
            let whole = Timestamp::from_second(since_epoch).unwrap_or(now);
            *second = Second { since_epoch, text: format!("{whole:.0}").trim_end_matches('Z').to_owned() };
        }
        line.write_str(&second.text)?;
        let digit = |value: i32| b'0' + (value % 10).unsigned_abs() as u8;
        let fraction = [b'.', digit(ms / 100), digit(ms / 10), digit(ms), b'Z'];
        line.write_str(str::from_utf8(&fraction).unwrap_or("Z"))
    }
}

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_char('[')?;
        self.write_time(&mut writer)?;
        writer.write_str("] ")?;
        writer.write_str(event.metadata().level().as_str())?;
        writer.write_str(": ")?;
        let mut fields = Fields { line: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_char('\n')
    }
}

/// Writes the sentence, which comes first, and each field behind it.
struct Fields<'a> {
    line: Writer<'a>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = write_name(&mut self.line, field).and_then(|()| value(&mut self.line));
        }
    }
}

fn write_name(line: &mut Writer<'_>, field: &Field) -> fmt::Result {
    if field.name() == "message" {
        return Ok(());
    }
    line.write_char(' ')?;
    line.write_str(field.name())?;
    line.write_char('=')
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = value.bytes().fold(true, |is_plain, byte| {
            is_plain & (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\')
        });
        match field.name() {
            "message" => self.write(field, |line| Harmless(line).write_str(value)),
            _ if is_plain => self.write(field, |line| {
                line.write_char('"')?;
                line.write_str(value)?;
                line.write_char('"')
            }),
            _ => self.write(field, |line| write!(Harmless(line), "{value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |line| write!(Harmless(line), "{value:?}"));
    }
}

/// Writes what could move a terminal's cursor as an escape, in case that a value of others has got in.
struct Harmless<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // In UTF-8, C1 controls begin with C2; so do some harmless characters.
        let may_harm = |byte| (byte < b' ') | (byte == 0x7F) | (byte == 0xC2);
        if !text.bytes().fold(false, |harms, byte| harms | may_harm(byte)) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| match character {
            '\n' | '\t' => self.0.write_char(character),
            _ if character.is_control() => write!(self.0, "{}", character.escape_debug()),
            _ => self.0.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::Registry;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::time::Moment;

    /// What is written at `time` while `log` logs.
    fn written(time: Timestamp, log: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let its = lines.clone();
        let clock: Clock = Arc::new(move || Moment::at(time));
        let text = layer().with_ansi(false).event_format(TextFormat::new(clock));
        let subscriber = Registry::default().with(text.with_writer(move || Lines(its.clone())));
        tracing::subscriber::with_default(subscriber, log);
        let lines = lines.lock().unwrap();
        String::from_utf8(lines.clone()).unwrap()
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_the_time_the_level_the_sentence_and_its_fields() {
        let time = "2025-12-30T06:10:05.124Z".parse().unwrap();
        let line = written(time, || {
            tracing::info!(
                id = "a \"b\"\u{1b}\n",
                plain = "x",
                number = 7,
                is = true,
                "Sentence {}",
                "ñ\u{1b}[2K\u{9b}"
            );
        });
        let fields = r#"id="a \"b\"\u{1b}\n" plain="x" number=7 is=true"#;
        assert_eq!(
            line,
            format!("[2025-12-30T06:10:05.124Z] INFO: Sentence ñ\\u{{1b}}[2K\\u{{9b}} {fields}\n")
        );
    }

    proptest! {
        #[test]
        fn every_time_is_written_as_a_library_writes_it(ms in -9_999_999_999_i64..99_999_999_999_999) {
            let time = Timestamp::from_millisecond(ms).unwrap();
            let line = written(time, || tracing::info!("x"));
            prop_assert_eq!(line, format!("[{time:.3}] INFO: x\n"));
        }
    }
}
