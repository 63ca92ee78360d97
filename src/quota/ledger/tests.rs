//! What the ledger keeps: in any file, on any disk, with any clock.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::book::{Book, MAX_OPEN_CALLS, MAX_PLACES};
use super::file::MAX_FILE_BYTES;
use super::record::{OpenCall, PastUse, PlaceId, RECORD_BYTES, Record};
use super::{Ledger, LedgerWarning, Store};

const SALT: [u8; 32] = [7; 32];
const HEADER: usize = 44;

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
    start + SignedDuration::from_secs(second)
}

fn place(number: u64) -> PlaceId {
    PlaceId { account: number, model: number }
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    (directory, path)
}

/// Opens a file that must be in order.
fn opened(path: &Path, now: Timestamp) -> Ledger {
    let (ledger, warning) = Ledger::open(path, now, SALT);
    assert!(warning.is_none(), "{warning:?}");
    ledger
}

fn total(ledger: &Ledger) -> (u64, u64) {
    let uses = ledger.uses().flat_map(|(_, uses)| uses);
    uses.fold((0, 0), |(requests, tokens), past| (requests + past.requests, tokens + past.tokens))
}

/// A file with so many calls of 10 tokens each, the entry of its start included.
fn file_with(path: &Path, calls: u64) -> Vec<u8> {
    let mut ledger = opened(path, at(0));
    for call in 0..calls {
        assert!(ledger.reserve(call, place(call), 10, at(0)).is_none());
    }
    drop(ledger);
    fs::read(path).expect("a file")
}

fn times() -> impl Strategy<Value = Timestamp> + Clone {
    any::<i64>().prop_map(|at| Timestamp::from_nanosecond(at.into()).expect("a time"))
}

fn records() -> impl Strategy<Value = Record> {
    let call = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), times()).prop_map(
        |(call, account, model, tokens, at)| OpenCall { call, place: PlaceId { account, model }, tokens, at },
    );
    prop_oneof![
        times().prop_map(|at| Record::Started { at }),
        call.clone().prop_map(|it| Record::Used {
            place: it.place,
            past: PastUse { at: it.at, requests: it.call, tokens: it.tokens },
        }),
        call.clone().prop_map(Record::StillOpen),
        call.clone().prop_map(Record::Reserved),
        call.clone().prop_map(|it| Record::Settled { call: it.call, tokens: it.tokens, at: it.at }),
        call.prop_map(|it| Record::TakenBack { call: it.call, at: it.at }),
    ]
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(record in records()) {
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn an_entry_with_any_byte_changed_is_damaged(
        record in records(), at in 0..RECORD_BYTES, change in 1..=u8::MAX,
    ) {
        let mut bytes = record.encode();
        bytes[at] ^= change;
        prop_assert_eq!(Record::decode(&bytes), None);
    }

    #[test]
    fn any_file_is_opened(content in prop::collection::vec(any::<u8>(), 0..300), is_ours in any::<bool>()) {
        let (_directory, path) = directory();
        let head = if is_ours { file_with(&path, 0)[..HEADER].to_vec() } else { Vec::new() };
        fs::write(&path, [head, content].concat()).expect("a file");
        let (mut ledger, _) = Ledger::open(&path, at(0), SALT);
        prop_assert!(ledger.reserve(1, place(1), 1, at(0)).is_none());
        drop(ledger);
        prop_assert!(total(&opened(&path, at(0))).0 >= 1);
    }

    /// Whatever is done in whatever order, what the file tells is what the book had, and never less than what was sent.
    #[test]
    fn a_restart_at_any_time_changes_nothing(
        steps in prop::collection::vec((0..3_u8, 0..20_u64, 0..3_u64, 0..100_u64, -5..400_i64), 1..200),
    ) {
        let (_directory, path) = directory();
        let mut ledger = opened(&path, at(0));
        let mut second = 0;
        let mut sent = std::collections::BTreeMap::new();
        for (index, (kind, call, to, tokens, later)) in steps.into_iter().enumerate() {
            second += later;
            let call = if kind == 0 { index as u64 + 100 } else { 100 + call };
            match kind {
                0 => {
                    ledger.reserve(call, place(to), tokens, at(second));
                    sent.insert(call, (tokens, true));
                }
                1 => {
                    ledger.settle(call, tokens, at(second));
                    sent.entry(call).and_modify(|it| if it.1 { *it = (tokens, false) });
                }
                _ => {
                    ledger.take_back(call, at(second));
                    if sent.get(&call).is_some_and(|it| it.1) { sent.remove(&call); }
                }
            }
        }
        let expected = (sent.len() as u64, sent.values().map(|it| it.0).sum());
        prop_assert_eq!(total(&ledger), expected);
        drop(ledger);
        prop_assert_eq!(total(&opened(&path, at(second))), expected);
    }
}

#[test]
fn a_missing_or_empty_file_is_the_first_start() {
    let (_directory, path) = directory();
    assert_eq!(total(&opened(&path, at(0))), (0, 0));
    fs::write(&path, "").expect("a file");
    drop(opened(&path, at(0)));
    assert_eq!(total(&opened(&path, at(0))), (0, 0));
}

#[test]
fn calls_are_counted_as_reserved_until_they_are_settled_or_taken_back() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    for call in 1..=4 {
        ledger.reserve(call, place(1), 100, at(0));
    }
    ledger.settle(1, 30, at(1));
    ledger.settle(2, 500, at(1));
    ledger.take_back(3, at(1));
    // What is closed stays closed.
    ledger.take_back(1, at(2));
    ledger.settle(3, 9, at(2));
    ledger.settle(99, 9, at(2));
    assert_eq!(total(&ledger), (3, 630));
    drop(ledger);
    let mut ledger = opened(&path, at(3));
    assert_eq!(total(&ledger), (3, 630));
    // Calls of this process have the same numbers and are others.
    ledger.settle(4, 0, at(3));
    ledger.reserve(4, place(1), 7, at(3));
    ledger.take_back(4, at(3));
    drop(ledger);
    assert_eq!(total(&opened(&path, at(4))), (3, 630));
}

#[test]
fn a_call_of_the_day_before_stays_as_it_was_reserved() {
    let mut book = Book::new();
    let call = |call| OpenCall { call, place: place(1), tokens: 100, at: at(0) };
    book.apply(&Record::Reserved(call(1)));
    book.apply(&Record::Reserved(call(2)));
    book.apply(&Record::Settled { call: 1, tokens: 1, at: at(86_400) });
    book.apply(&Record::TakenBack { call: 2, at: at(86_401) });
    let (_, uses) = book.uses().next().expect("a place");
    assert_eq!(uses, [PastUse { at: at(0), requests: 2, tokens: 101 }]);
}

#[test]
fn a_file_that_ends_within_an_entry_is_ordinary() {
    let (_directory, path) = directory();
    let content = file_with(&path, 3);
    for length in HEADER..=content.len() {
        fs::write(&path, &content[..length]).expect("a file");
        let mut ledger = opened(&path, at(1));
        // One entry tells of the start.
        let whole = ((length - HEADER) / RECORD_BYTES).saturating_sub(1) as u64;
        assert_eq!(total(&ledger).0, whole, "{length}");
        ledger.reserve(1, place(1), 10, at(1));
        drop(ledger);
        assert_eq!(total(&opened(&path, at(1))).0, whole + 1, "what is appended then is read: {length}");
    }
}

#[test]
fn a_damaged_entry_costs_itself_and_one_warning() {
    let (_directory, path) = directory();
    let content = file_with(&path, 3);
    for at_byte in HEADER..content.len() {
        let mut damaged = content.clone();
        damaged[at_byte] ^= 0x10;
        fs::write(&path, &damaged).expect("a file");
        let (ledger, warning) = Ledger::open(&path, at(1), SALT);
        assert!(matches!(warning, Some(LedgerWarning::Damaged { damaged: 1, .. })), "{at_byte}: {warning:?}");
        let is_start = at_byte < HEADER + RECORD_BYTES;
        let expected = if is_start { 3 } else { 2 };
        assert_eq!(total(&ledger).0, expected, "{at_byte}");
        drop(ledger);
        assert_eq!(total(&opened(&path, at(1))).0, expected, "warned once");
    }
}

#[test]
fn a_file_of_somebody_else_is_kept_under_another_name() {
    let content = {
        let (_directory, path) = directory();
        file_with(&path, 1)
    };
    let mut foreign: Vec<Vec<u8>> =
        vec![b"GROQ_API_KEY=".to_vec(), vec![0; 5_000], vec![1; MAX_FILE_BYTES as usize + 1]];
    foreign.extend((1..HEADER).map(|length| content[..length].to_vec()));
    foreign.extend((0..HEADER).map(|byte| {
        let mut changed = content.clone();
        changed[byte] ^= 1;
        changed
    }));
    for foreign in foreign {
        let (directory, path) = directory();
        fs::write(&path, &foreign).expect("a file");
        let (mut ledger, warning) = Ledger::open(&path, at(0), SALT);
        let Some(LedgerWarning::Unreadable { kept, .. }) = warning else { panic!("{warning:?}") };
        assert_eq!(kept, directory.path().join("state.unreadable"));
        assert_eq!(fs::read(kept).expect("kept"), foreign);
        ledger.reserve(1, place(1), 1, at(0));
        drop(ledger);
        assert_eq!(total(&opened(&path, at(0))), (1, 1));
        // The next one does not overwrite the first.
        fs::write(&path, "other").expect("a file");
        let (_, warning) = Ledger::open(&path, at(0), SALT);
        assert!(warning.is_some_and(|it| it.to_string().contains("state.unreadable.2")));
    }
}

#[test]
fn what_is_no_file_is_left_alone() {
    let (directory, device) = directory();
    // A link, lest a device be moved.
    #[cfg(unix)]
    std::os::unix::fs::symlink("/dev/zero", &device).expect("a link");
    let paths = [directory.path(), &device];
    for path in paths.into_iter().filter(|path| path.exists()) {
        let (mut ledger, warning) = Ledger::open(path, at(0), SALT);
        assert!(matches!(warning, Some(LedgerWarning::NotAFile { .. })), "{warning:?}");
        assert!(ledger.reserve(1, place(1), 1, at(0)).is_none(), "warned once");
        assert!(ledger.reserve(2, place(1), 1, at(61)).is_none(), "warned once");
        assert_eq!(total(&ledger), (2, 2), "it is counted all the same");
        assert!(path.exists());
    }
}

#[test]
fn a_folder_that_comes_later_is_used_within_a_minute() {
    let (directory, _) = directory();
    // Root may write everywhere, but not below a file.
    let folder = directory.path().join("folder");
    fs::write(&folder, "").expect("a file");
    let path = folder.join("state");
    let (mut ledger, warning) = Ledger::open(&path, at(0), SALT);
    assert!(matches!(warning, Some(LedgerWarning::Unwritable { .. })), "{warning:?}");
    assert!(ledger.reserve(1, place(1), 1, at(1)).is_none());
    fs::remove_file(&folder).expect("removed");
    fs::create_dir(&folder).expect("a folder");
    assert!(ledger.reserve(2, place(1), 1, at(59)).is_none());
    assert!(!path.exists());
    assert!(ledger.settle(1, 50, at(60)).is_none());
    drop(ledger);
    assert_eq!(total(&opened(&path, at(61))), (2, 51));
}

#[test]
fn a_file_that_comes_while_there_is_none_is_kept_aside() {
    let (directory, _) = directory();
    let folder = directory.path().join("folder");
    fs::write(&folder, "").expect("a file");
    let path = folder.join("state");
    let (mut ledger, _) = Ledger::open(&path, at(0), SALT);
    fs::remove_file(&folder).expect("removed");
    fs::create_dir(&folder).expect("a folder");
    let (mut other, _) = Ledger::open(&path, at(0), [9; 32]);
    other.reserve(1, place(1), 1, at(0));
    drop(other);
    let others = fs::read(&path).expect("a file");
    ledger.reserve(1, place(1), 7, at(60));
    drop(ledger);
    assert_eq!(fs::read(folder.join("state.unreadable")).expect("kept"), others);
    assert_eq!(total(&opened(&path, at(60))), (1, 7));
}

#[test]
fn without_a_file_memory_is_bounded_too() {
    let (directory, _) = directory();
    let (mut ledger, _) = Ledger::open(directory.path(), at(0), SALT);
    for call in 0..50_000 {
        ledger.reserve(call, place(1), 1, at(0) + SignedDuration::from_millis(call.cast_signed()));
    }
    assert_eq!(total(&ledger).0, 50_000);
    let uses: usize = ledger.uses().map(|(_, uses)| uses.len()).sum();
    assert!(uses < 30_000, "{uses}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_one_warning_and_nothing_once_there_is_room() {
    let (directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    ledger.reserve(1, place(1), 1, at(0));
    let Store::File(file) = &mut ledger.store else { panic!("a file") };
    file.write_to(OpenOptions::new().append(true).open("/dev/full").expect("a device"));
    let warning = ledger.reserve(2, place(1), 1, at(1)).expect("a warning");
    assert!(warning.to_string().contains("No space left on device"), "{warning}");
    // There is no room for the new file either.
    let new = directory.path().join("state.new");
    fs::create_dir(&new).expect("in the way");
    for second in 2..200 {
        assert!(ledger.reserve(second, place(1), 1, at(second.cast_signed())).is_none());
    }
    fs::remove_dir(&new).expect("room");
    for second in 200..300 {
        assert!(ledger.reserve(second, place(1), 1, at(second.cast_signed())).is_none());
    }
    assert!(matches!(ledger.store, Store::File(_)));
    drop(ledger);
    assert_eq!(total(&opened(&path, at(300))), (300, 300));
}

#[test]
fn a_file_that_cannot_be_replaced_grows_to_its_limit_with_one_warning() {
    let (directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    let new = directory.path().join("state.new");
    fs::create_dir(&new).expect("in the way");
    let calls = 30_000;
    let warnings: Vec<_> = (0..calls).filter_map(|call| ledger.reserve(call, place(1), 1, at(0))).collect();
    assert!(matches!(warnings.as_slice(), [LedgerWarning::Irreplaceable { .. }]), "{warnings:?}");
    let length = fs::metadata(&path).expect("a file").len();
    assert!((MAX_FILE_BYTES - 100..=MAX_FILE_BYTES).contains(&length), "{length}");
    fs::remove_dir(&new).expect("out of the way");
    ledger.reserve(calls, place(1), 1, at(60));
    drop(ledger);
    assert!(fs::metadata(&path).expect("a file").len() < MAX_FILE_BYTES / 2);
    assert_eq!(total(&opened(&path, at(60))).0, calls + 1);
}

#[test]
fn a_second_process_has_no_file() {
    let (_directory, path) = directory();
    let mut first = opened(&path, at(0));
    let (mut second, warning) = Ledger::open(&path, at(0), SALT);
    assert!(matches!(warning, Some(LedgerWarning::InUse { .. })), "{warning:?}");
    second.reserve(1, place(1), 1, at(0));
    // The lock goes along when the file is written anew.
    for call in 0..15_000 {
        first.reserve(call, place(1), 1, at(0));
    }
    assert!(matches!(Ledger::open(&path, at(0), SALT).1, Some(LedgerWarning::InUse { .. })));
    drop(first);
    assert_eq!(total(&opened(&path, at(0))).0, 15_000);
}

#[test]
fn a_clock_that_was_set_back_forgets_nothing_and_holds_nothing_longer() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    ledger.reserve(1, place(1), 10, at(0));
    ledger.reserve(2, place(1), 20, at(86_400));
    ledger.reserve(3, place(2), 30, at(90_000));
    drop(ledger);
    let mut ledger = opened(&path, at(50));
    let latest = |ledger: &Ledger| ledger.uses().flat_map(|(_, uses)| uses).map(|it| it.at).max();
    assert_eq!(total(&ledger), (3, 60));
    assert_eq!(latest(&ledger), Some(at(50)));
    // And while it runs, with a call under way.
    ledger.reserve(4, place(2), 100, at(500));
    ledger.reserve(5, place(1), 1, at(20));
    assert_eq!(latest(&ledger), Some(at(20)));
    ledger.reserve(6, place(2), 1, at(25));
    ledger.settle(4, 5, at(30));
    assert_eq!(total(&ledger), (6, 67));
    drop(ledger);
    let ledger = opened(&path, at(30));
    assert_eq!(total(&ledger), (6, 67));
    let (_, uses) = ledger.uses().find(|(it, _)| *it == place(2)).expect("a place");
    assert_eq!(uses.last(), Some(&PastUse { at: at(25), requests: 1, tokens: 1 }));
}

#[test]
fn minutes_are_exact_and_older_uses_never_cross_an_hour_nor_end_early() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    let calls = 3 * 86_400 / 30;
    for call in 0..calls {
        ledger.reserve(call, place(1), 1, at(30 * call.cast_signed()));
    }
    let now = at(30 * (calls.cast_signed() - 1));
    ledger.book.compact(now);
    let (_, uses) = ledger.uses().next().expect("a place");
    let mut first = 0;
    for past in uses {
        let last = first + past.requests - 1;
        let (from, to) = (at(30 * first.cast_signed()), at(30 * last.cast_signed()));
        assert_eq!(past.at, to, "the latest of its uses");
        assert_eq!(from.as_second().div_euclid(3_600), to.as_second().div_euclid(3_600));
        let age = now.as_second() - to.as_second();
        let longest = if age <= 120 {
            0
        } else if age <= 86_400 {
            300
        } else {
            3_600
        };
        assert!(to.as_second() - from.as_second() <= longest, "{from} to {to}");
        first = last + 1;
    }
    assert_eq!(first, calls, "none is missing");
    assert!((300..400).contains(&uses.len()), "{}", uses.len());
}

#[test]
fn what_is_older_than_a_month_is_forgotten() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    ledger.reserve(1, place(1), 1, at(0));
    ledger.reserve(2, place(2), 1, at(86_400));
    let month = 31 * 86_400;
    ledger.book.compact(at(month));
    assert_eq!(total(&ledger), (2, 2));
    ledger.book.compact(at(month + 1));
    assert_eq!(total(&ledger), (1, 1));
}

#[test]
fn any_number_of_places_and_open_calls_fits_into_the_file() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    let places = MAX_PLACES as u64;
    for round in 0..3 {
        for number in 0..places {
            let call = round * places + number;
            assert!(ledger.reserve(call, place(number), 1, at(call.cast_signed())).is_none());
        }
        assert!(fs::metadata(&path).expect("a file").len() < MAX_FILE_BYTES);
    }
    assert_eq!(total(&ledger).0, 3 * places);
    ledger.reserve(u64::MAX, place(places), 1, at(40_000));
    assert_eq!(ledger.uses().count(), MAX_PLACES);
    assert!(ledger.uses().all(|(it, _)| it != place(0)), "the oldest has made room");
    assert!(ledger.book.records().filter(|it| matches!(it, Record::StillOpen(_))).count() <= MAX_OPEN_CALLS);
}

#[test]
fn a_book_is_what_its_entries_tell() {
    let mut book = Book::new();
    for call in 0..500_u64 {
        let second = at(7 * call.cast_signed());
        book.apply(&Record::Reserved(OpenCall { call, place: place(call % 3), tokens: call, at: second }));
    }
    let mut copy = Book::new();
    book.records().for_each(|record| copy.apply(&record));
    let settled = |book: &mut Book| {
        for call in 0..500_u64 {
            book.apply(&Record::Settled { call, tokens: 1, at: at(4_000) });
        }
        let mut uses: Vec<_> = book.uses().map(|(place, uses)| (place, uses.to_vec())).collect();
        uses.sort_by_key(|(place, _)| *place);
        uses
    };
    assert_eq!(settled(&mut copy), settled(&mut book));
}

#[test]
fn names_differ_by_all_that_matters_and_tell_nothing() {
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    let one = ledger.place("groq", "gsk_canary", "llama");
    assert_eq!(ledger.place("groq", "gsk_canary", "llama"), one);
    let [provider, key, model] =
        [("gro", "qgsk_canary", "llama"), ("groq", "other", "llama"), ("groq", "gsk_canary", "qwen")]
            .map(|(provider, key, model)| ledger.place(provider, key, model));
    assert!(provider.account != one.account && provider.model != one.model);
    assert!(key.account != one.account && key.model == one.model);
    assert!(model.account == one.account && model.model != one.model);
    ledger.reserve(1, one, 1, at(0));
    drop(ledger);
    let content = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
    assert!(["groq", "canary", "llama"].iter().all(|word| !content.contains(word)));
    // The salt of the file, not the one that a new file would get.
    let (ledger, _) = Ledger::open(&path, at(0), [9; 32]);
    assert_eq!(ledger.place("groq", "gsk_canary", "llama"), one);
    assert_ne!(Ledger::off().place("groq", "gsk_canary", "llama"), one);
}

#[test]
fn one_that_is_off_keeps_nothing() {
    let mut ledger = Ledger::off();
    assert!(ledger.reserve(1, place(1), 1, at(0)).is_none());
    assert!(ledger.settle(1, 1, at(0)).is_none() && ledger.take_back(1, at(0)).is_none());
    assert_eq!(total(&ledger), (0, 0));
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path) = directory();
    let mut ledger = opened(&path, at(0));
    let mode =
        || File::open(&path).and_then(|it| it.metadata()).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    for call in 0..15_000 {
        ledger.reserve(call, place(1), 1, at(0));
    }
    assert_eq!(mode(), 0o600, "after it was written anew");
}
