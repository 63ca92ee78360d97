//! `bench/instructions.txt`: what each case is expected to take, and which functions it goes to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::callgrind::Profile;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/instructions.txt");

/// By how much a count may exceed the expected one. Repeated counts differ by less than 1 %.
const TOLERANCE: f64 = 0.05;

/// And by so many instructions in any case: unrelated code moves a piece of a few hundred by that many.
const LEAST_TOLERANCE: f64 = 25.0;

/// Functions with a smaller share of their case are not written down.
const SMALLEST_SHARE: f64 = 0.02;

/// The most functions that are printed of a case that has changed.
const MAX_SHOWN: usize = 6;

/// Compares with the file, prints what has changed by more than the tolerance, and fails if something costs more. What costs
/// less is only told: the file should follow, or the next rise is hidden.
pub(crate) fn compare(counted: &[(String, Profile)]) -> ExitCode {
    let file = std::fs::read_to_string(FILE).unwrap_or_default();
    let expected = parse(&file);
    let (mut dearer, mut cheaper): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (name, now) in counted {
        let none = Profile::default();
        let before = expected.get(name).unwrap_or(&none);
        let total = before.0.get("").copied().unwrap_or(0.0);
        let change = now.total() - total;
        println!("{name:24} {:>9.0} expected {total:>9.0} {:>+7.1} %", now.total(), change / total * 100.0);
        // A case that is not in the file is expected to take nothing.
        let tolerated = (total * TOLERANCE).max(LEAST_TOLERANCE);
        if change.abs() > tolerated {
            if change > 0.0 { &mut dearer } else { &mut cheaper }.push(name);
            print!("{}", most_changed(before, now));
        }
    }
    tell("Cheaper", &cheaper);
    if dearer.is_empty() {
        return ExitCode::SUCCESS;
    }
    tell("Dearer", &dearer);
    if let Some(then) =
        file.lines().find_map(|line| line.strip_prefix(COMPILER)).filter(|it| *it != compiler())
    {
        println!("The counts there were made by {then}; this is {}.", compiler());
    }
    ExitCode::FAILURE
}

fn tell(how: &str, cases: &[&str]) {
    if cases.is_empty() {
        return;
    }
    let names: Vec<String> = cases.iter().map(|name| format!("'{name}'")).collect();
    println!(
        "\n{how} by more than {:.0} % than bench/instructions.txt says: {}.\nIf that is meant to be, `bench/instructions \
         accept {}` writes it down; say why in the commit.",
        TOLERANCE * 100.0,
        cases.join(", "),
        names.join(" ")
    );
}

/// Writes what was counted into the file, and keeps what it says of other cases.
pub(crate) fn write(counted: &[(String, Profile)]) {
    let file = std::fs::read_to_string(FILE).unwrap_or_default();
    let mut sections: Vec<(String, String)> = file
        .split("\n\n")
        .skip(1)
        .filter_map(|section| Some((name_of(section)?, section.trim_end().into())))
        .collect();
    for (name, profile) in counted {
        let section = section(name, profile);
        match sections.iter_mut().find(|(there, _)| there == name) {
            Some((_, there)) => *there = section,
            None => sections.push((name.clone(), section)),
        }
    }
    let mut text = format!(
        "# Instructions of a token or a request, and of the functions that take {:.0} % of them or more.\n\
         # Written by `bench/instructions accept`.\n{COMPILER}{}\n",
        SMALLEST_SHARE * 100.0,
        compiler()
    );
    for (_, section) in sections {
        let _ = write!(text, "\n{section}\n");
    }
    std::fs::write(FILE, text).expect("the file");
}

fn section(name: &str, profile: &Profile) -> String {
    let mut text = format!("{:9.0} {name}", profile.total());
    let mut functions: Vec<_> = profile.0.iter().collect();
    functions.sort_by(|one, other| other.1.total_cmp(one.1));
    for (function, count) in functions {
        if *count >= profile.total() * SMALLEST_SHARE {
            let _ = write!(text, "\n{count:13.0} {function}");
        }
    }
    text
}

/// The cases of the file; what a case takes as a whole stands under an empty name.
fn parse(file: &str) -> BTreeMap<String, Profile> {
    let mut cases = BTreeMap::new();
    for section in file.split("\n\n").skip(1) {
        let Some(case) = name_of(section) else { continue };
        let mut lines = section.lines().filter_map(|line| line.trim_start().split_once(' '));
        let total = lines.next().map(|(count, _)| (String::new(), count));
        let functions = lines.map(|(count, name)| (name.to_owned(), count));
        let counts = total.into_iter().chain(functions);
        cases.insert(
            case,
            Profile(counts.map(|(name, count)| (name, count.parse().unwrap_or(0.0))).collect()),
        );
    }
    cases
}

fn name_of(section: &str) -> Option<String> {
    Some(section.lines().next()?.trim_start().split_once(' ')?.1.to_owned())
}

/// The functions that account for most of the change.
fn most_changed(before: &Profile, now: &Profile) -> String {
    // What is not in the file took less than this.
    let unlisted = before.0.get("").copied().unwrap_or(0.0) * SMALLEST_SHARE;
    let names =
        now.0.keys().chain(before.0.keys().filter(|name| !now.0.contains_key(*name) && !name.is_empty()));
    let mut changes: Vec<(&str, f64, Option<f64>)> = names
        .map(|name| (&**name, now.0.get(name).copied().unwrap_or(0.0), before.0.get(name).copied()))
        .collect();
    let by =
        |(_, now, before): &(&str, f64, Option<f64>)| before.map_or((now - unlisted).max(0.0), |it| now - it);
    changes.sort_by(|one, other| by(other).abs().total_cmp(&by(one).abs()));
    let mut text = String::new();
    for change @ (name, now, before) in
        changes.iter().take(MAX_SHOWN).filter(|change| by(change).abs() >= 1.0)
    {
        let before = before.map_or_else(|| format!("< {unlisted:.0}"), |before| format!("{before:.0}"));
        let _ = writeln!(text, "    {:>+8.0}  {before:>8} → {now:<8.0} {name}", by(change));
    }
    text
}

const COMPILER: &str = "# Compiler: ";

/// What counts depend on besides the code.
fn compiler() -> String {
    let version = std::process::Command::new("rustc").arg("--version").output().expect("a compiler");
    String::from_utf8_lossy(&version.stdout).trim().to_owned()
}
