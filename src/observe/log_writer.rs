//! Writes the log in the background: lines are gathered and written together, because waking a thread and writing for
//! each of them took 25 to 40 % of a request's time (2026-11).
//!
//! Nobody who logs ever waits for who reads: what does not fit into the buffer is lost, counted and told. The thread
//! sleeps without a clock while nothing is logged.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered. A reader does not notice, and a busy process writes at most 25 times a second.
const GATHERING_TIME: Duration = Duration::from_millis(40);

/// The most bytes that may wait; as many may be on their way. At 40 ms that is 25 MB of log a second.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// How much room a buffer keeps once it is empty.
const KEPT_BYTES: usize = 64 * 1024;

/// How long the end of the process waits for a reader that does not read.
const END_TIME: Duration = Duration::from_secs(1);

/// Takes lines. Clones share one buffer.
#[derive(Clone)]
pub(super) struct LogWriter {
    shared: Arc<Shared>,
    /// The target of lines that are written at once, with all before them.
    urgent: &'static str,
}

/// Writes the waiting lines when it is dropped.
pub(crate) struct LogGuard(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The thread has something to do before its clock says so.
    is_wanted: Condvar,
    has_ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    lost: u64,
    thread: Thread,
    is_urgent: bool,
    is_ending: bool,
}

/// What the thread is doing, so that it is woken only if it has to be.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Thread {
    /// Sleeps until it is woken.
    #[default]
    Idle,
    /// Sleeps until its time is over.
    Gathering,
    Writing,
    Ended,
}

impl LogWriter {
    /// Begins to write what is logged to `out`, and tells `tell_lost` how many lines were lost once there is room again.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        urgent: &'static str,
        tell_lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<(Self, LogGuard)> {
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || its.run(out, tell_lost))?;
        Ok((Self { shared: shared.clone(), urgent }, LogGuard(shared)))
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_ending = true;
        self.0.is_wanted.notify_one();
        let is_writing = |state: &mut State| state.thread != Thread::Ended;
        let waited = self.0.has_ended.wait_timeout_while(state, END_TIME, is_writing);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line from whoever logs.
    fn push(&self, line: &[u8], is_urgent: bool) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > MAX_WAITING_BYTES {
            state.lost += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        state.is_urgent |= is_urgent;
        let must_wake = match state.thread {
            Thread::Idle => true,
            Thread::Gathering => state.must_be_written(),
            // It looks again before it sleeps.
            Thread::Writing | Thread::Ended => false,
        };
        drop(state);
        if must_wake {
            self.is_wanted.notify_one();
        }
    }

    /// What the thread does, until the end.
    fn run(&self, mut out: impl Write, tell_lost: impl Fn(u64)) {
        let mut lines = Vec::new();
        while self.gather(&mut lines) {
            let written = write(&mut out, &lines);
            let failed = lines.get(written..).map_or(0, |rest| rest.split(|byte| *byte == b'\n').count() - 1);
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            let lost = self.lost(failed as u64);
            if lost > 0 {
                tell_lost(lost);
            }
        }
        self.state().thread = Thread::Ended;
        self.has_ended.notify_all();
    }

    /// Waits until there are lines to write, and moves them to `lines`; false if there will be no more.
    fn gather(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        let mut until = Instant::now() + GATHERING_TIME;
        while !state.must_be_written() {
            if state.waiting.is_empty() {
                state.thread = Thread::Idle;
                state = self.is_wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                until = Instant::now() + GATHERING_TIME;
            } else {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state.thread = Thread::Gathering;
                let waited = self.is_wanted.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.thread = Thread::Writing;
        state.is_urgent = false;
        std::mem::swap(&mut state.waiting, lines);
        !lines.is_empty()
    }

    /// The lines that were lost since the last time, with `failed` of those that were just to be written. None are told
    /// while writing fails: the sentence would be lost, too, and have to be told.
    fn lost(&self, failed: u64) -> u64 {
        let mut state = self.state();
        state.lost += failed;
        if failed > 0 { 0 } else { std::mem::take(&mut state.lost) }
    }
}

impl State {
    /// Whether lines have to be written before their time, or there will be no more.
    fn must_be_written(&self) -> bool {
        self.is_urgent || self.is_ending || self.waiting.len() > MAX_WAITING_BYTES / 2
    }
}

/// Writes all of `lines`, and gives how many bytes it could.
fn write(out: &mut impl Write, lines: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return written,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody who shares the pipe wants it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(GATHERING_TIME),
            Err(_) => return written,
        }
    }
    written
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.shared, is_urgent: false }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.shared, is_urgent: event.target() == self.urgent }
    }
}

/// Takes one line, which is always written in one piece.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    is_urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A reader that takes what is written, each time when it is told how much.
    struct Reader {
        may_take: mpsc::Receiver<io::Result<usize>>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            // Once nobody tells, it takes everything.
            let taken = self.may_take.recv().unwrap_or(Ok(usize::MAX))?.min(lines.len());
            let _ = self.taken.send(lines[..taken].to_vec());
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Log {
        writer: LogWriter,
        guard: LogGuard,
        allow: mpsc::Sender<io::Result<usize>>,
        written: mpsc::Receiver<Vec<u8>>,
        lost: mpsc::Receiver<u64>,
    }

    fn log() -> Log {
        let (allow, may_take) = mpsc::channel();
        let (taken, written) = mpsc::channel();
        let (tell, lost) = mpsc::channel();
        let told = move |lines| tell.send(lines).unwrap();
        let (writer, guard) = LogWriter::start(Reader { may_take, taken }, "urgent", told).unwrap();
        Log { writer, guard, allow, written, lost }
    }

    impl Log {
        fn line(&self, line: &str) {
            self.writer.make_writer().write_all(line.as_bytes()).unwrap();
        }

        /// Waits until the thread is about to write.
        fn until_writing(&self) {
            let begun = Instant::now();
            while self.guard.0.state().thread != Thread::Writing {
                assert!(begun.elapsed() < PATIENCE, "it does not write");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn lines_are_written_together_and_in_order() {
        let log = log();
        log.allow.send(Ok(usize::MAX)).unwrap();
        // Long enough apart from the clock's end on any machine: the lock is held.
        let mut state = log.guard.0.state();
        for line in ["one\n", "two\n", "three\n"] {
            state.waiting.extend_from_slice(line.as_bytes());
        }
        log.guard.0.is_wanted.notify_one();
        drop(state);
        assert_eq!(log.written.recv_timeout(PATIENCE).unwrap(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_stuck_reader_holds_up_nobody_and_is_told_what_it_missed() {
        let log = log();
        log.line("first\n");
        log.until_writing();
        // The reader takes nothing now.
        let line = "x".repeat(1023) + "\n";
        for _ in 0..MAX_WAITING_BYTES / 1024 + 7 {
            log.line(&line);
        }
        assert_eq!(log.guard.0.state().waiting.len(), MAX_WAITING_BYTES, "memory is bounded");
        // It takes a part of a line, and then the rest.
        log.allow.send(Ok(3)).unwrap();
        drop(log.allow);
        assert_eq!(log.lost.recv_timeout(PATIENCE).unwrap(), 7);
        drop(log.guard);
        let written: Vec<u8> = log.written.try_iter().flatten().collect();
        let kept = line.repeat(MAX_WAITING_BYTES / 1024);
        assert!(
            written == ("first\n".to_owned() + &kept).into_bytes(),
            "lines are whole and none is there twice"
        );
    }

    #[test]
    fn everything_is_written_at_the_end() {
        let log = log();
        drop(log.allow);
        for number in 0..1000 {
            log.writer.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        drop(log.guard);
        let written: Vec<u8> = log.written.try_iter().flatten().collect();
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }

    #[test]
    fn a_failed_write_costs_its_lines_and_is_told_when_writing_works_again() {
        let log = log();
        log.allow.send(Err(ErrorKind::StorageFull.into())).unwrap();
        log.line("one\n");
        let begun = Instant::now();
        while log.guard.0.state().lost == 0 {
            assert!(begun.elapsed() < PATIENCE, "it is not counted");
            thread::yield_now();
        }
        log.allow.send(Ok(usize::MAX)).unwrap();
        log.line("two\n");
        assert_eq!(log.written.recv_timeout(PATIENCE).unwrap(), b"two\n");
        assert_eq!(log.lost.recv_timeout(PATIENCE).unwrap(), 1);
    }

    #[test]
    fn a_quiet_process_is_never_woken() {
        let log = log();
        log.allow.send(Ok(usize::MAX)).unwrap();
        log.line("one\n");
        log.written.recv_timeout(PATIENCE).unwrap();
        let begun = Instant::now();
        while log.guard.0.state().thread != Thread::Idle {
            assert!(begun.elapsed() < PATIENCE, "it has a clock although there is nothing to write");
            thread::yield_now();
        }
    }
}
