//! The order of the rooms in `src/`: which room may import which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms from the lowest to the highest. Each may import those before it and none after it. So a reader of one room
/// needs to know only the rooms below it, and no change to a room can break a room below it.
const ROOMS: [&str; 17] = [
    // Words and bytes: what everybody shares.
    "middle",
    "wire",
    "time",
    // What upstreams speak, as data and pure functions; and the settings, which name providers.
    "providers",
    "config",
    // The simulated upstreams: they know what providers speak and nothing of the proxy.
    "simulator",
    // Who may be asked, and with which model.
    "models",
    "observe",
    "quota",
    // The way to the providers, and the loop that asks them.
    "upstream",
    // What several instances tell each other.
    "share",
    "dispatch",
    // What clients speak, what the proxy tells of itself, and the way in.
    "surfaces",
    "status",
    "http",
    "commands",
    // What tests see.
    "internals",
];

/// The only room whose files may import each other in a circle, because it is a self-contained server.
const MAY_HAVE_CIRCLES: &str = "simulator";

/// A use of one file by another.
struct Arrow {
    from: PathBuf,
    line: usize,
    text: String,
    /// What follows `crate::`, with the way through `super` written out.
    target: Vec<String>,
    is_in_test: bool,
}

impl Arrow {
    fn place(&self) -> String {
        format!("src/{}:{}: {}", self.from.display(), self.line, self.text.trim())
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below `src`, relative to it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| self::files(folder));
    files.into_iter().chain(below).filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

/// The module of a file: `quota/state.rs` is `["quota", "state"]`.
fn module(file: &Path) -> Vec<String> {
    let module = file.with_extension("");
    let names = module.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "lib" && name != "main").collect()
}

/// The paths that begin in the first line of `text` with `crate::` or `super::`, with every name of a group.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let line = text.lines().next().unwrap_or_default();
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in line.match_indices(start) {
            let is_beginning = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if is_beginning {
                found.extend(expanded(&text[at..]).into_iter().map(|names| absolute(&names, module)));
            }
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// The names of a path, for each member of the group that it may end in.
fn expanded(text: &str) -> Vec<Vec<String>> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let names: Vec<String> =
        text[..end].split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let Some(group) = text[end..].strip_prefix('{').filter(|_| text[..end].ends_with("::")) else {
        return vec![names];
    };
    let mut depth = 0;
    let mut members = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().expect("one at least").push(c);
            }
        }
    }
    let tails = members.iter().flat_map(|member| expanded(member.trim()));
    tails.map(|tail| [names.clone(), tail].concat()).collect()
}

/// A path from the crate's root on.
fn absolute(names: &[String], module: &[String]) -> Vec<String> {
    let ups = names.iter().filter(|name| *name == "super").count();
    let own = if ups == 0 { 0 } else { module.len().saturating_sub(ups) };
    let names = names.iter().filter(|name| !["crate", "self", "super"].contains(&name.as_str()));
    module[..own].iter().chain(names).cloned().collect()
}

/// Every use of one file by another. Test modules count too, but for their `use super::*`.
fn arrows() -> Vec<Arrow> {
    let source = source();
    let mut arrows = Vec::new();
    for file in files(&source) {
        let from = file.strip_prefix(&source).expect("below src").to_owned();
        let own = module(&from);
        let text = std::fs::read_to_string(&file).expect("a text");
        // From here on `super` is the file itself.
        let tests = text.find("mod tests {").unwrap_or(text.len());
        let mut offset = 0;
        for (index, line) in text.lines().enumerate() {
            let is_in_test = offset >= tests;
            let inner = is_in_test.then(|| "tests".to_owned());
            let module: Vec<String> = own.iter().cloned().chain(inner).collect();
            let rest = &text[offset..];
            offset += line.len() + 1;
            // A visibility is no use.
            if line.trim_start().starts_with("//") || line.trim_start().starts_with("pub(in ") {
                continue;
            }
            arrows.extend(paths(rest, &module).into_iter().map(|target| Arrow {
                from: from.clone(),
                line: index + 1,
                text: line.to_owned(),
                target,
                is_in_test,
            }));
        }
    }
    assert!(arrows.len() > 200, "the arrows are read: {}", arrows.len());
    arrows
}

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|it| *it == room)
}

#[test]
fn every_file_is_in_a_room() {
    let source = source();
    for file in files(&source) {
        let file = file.strip_prefix(&source).expect("below src");
        let room = module(file).first().cloned();
        let is_known = room.as_deref().is_none_or(|room| floor(room).is_some());
        assert!(
            is_known,
            "src/{} is in no room: put it into one, or name its room in {}",
            file.display(),
            file!()
        );
    }
    let map = std::fs::read_to_string(source.join("../ARCHITECTURE.md")).expect("the map");
    for room in ROOMS {
        assert!(map.contains(&format!("`{room}")), "ARCHITECTURE.md does not tell of {room}");
    }
}

#[test]
fn every_arrow_points_down() {
    let mut wrong = String::new();
    for arrow in arrows() {
        let from = module(&arrow.from).first().cloned().unwrap_or_else(|| "internals".to_owned());
        let Some(to) = arrow.target.first().and_then(|room| floor(room)) else { continue };
        if floor(&from).is_some_and(|from| to > from) {
            let _ = writeln!(wrong, "{}", arrow.place());
        }
    }
    assert!(
        wrong.is_empty(),
        "a room may only import rooms that come before it in ROOMS (tests/it/rooms.rs); move the item to a lower room, or \
         pass it in as an argument:\n{wrong}"
    );
}

#[test]
fn rooms_are_entered_by_their_doors() {
    let mut wrong = String::new();
    for arrow in arrows() {
        let own = module(&arrow.from);
        let Some(room) = arrow.target.first().filter(|room| floor(room).is_some()) else { continue };
        let is_inside =
            source().join(room).join(format!("{}.rs", arrow.target.get(1).map_or("", String::as_str)));
        let face = std::fs::read_to_string(source().join(format!("{room}.rs"))).unwrap_or_default();
        let name = arrow.target.get(1).cloned().unwrap_or_default();
        let is_public =
            face.contains(&format!("pub mod {name};")) || face.contains(&format!("pub(crate) mod {name};"));
        if own.first() != Some(room) && is_inside.exists() && !is_public {
            let _ = writeln!(wrong, "{}", arrow.place());
        }
    }
    assert!(
        wrong.is_empty(),
        "import from the room's own file, which re-exports what others may have:\n{wrong}"
    );
}

#[test]
fn no_two_files_need_each_other() {
    let source = source();
    let all: BTreeSet<Vec<String>> =
        files(&source).iter().map(|file| module(file.strip_prefix(&source).expect("below src"))).collect();
    // A file uses the longest module of the path that is a file.
    let file_of = |target: &[String]| {
        (1..=target.len()).rev().map(|length| target[..length].to_vec()).find(|module| all.contains(module))
    };
    let mut uses: BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>> = BTreeMap::new();
    for arrow in arrows() {
        let own = module(&arrow.from);
        // A test stands above everything that its room has.
        if own.first().is_some_and(|room| room == MAY_HAVE_CIRCLES) || own.is_empty() || arrow.is_in_test {
            continue;
        }
        if let Some(target) = file_of(&arrow.target).filter(|target| *target != own) {
            uses.entry(own).or_default().entry(target).or_insert_with(|| arrow.place());
        }
    }
    // Faces declare their files and pass on what is in them.
    for file in &all {
        let text =
            std::fs::read_to_string(source.join(file.join("/")).with_extension("rs")).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let Some(rest) = line.split_once("use self::").map(|(_, rest)| rest) else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let target: Vec<String> = file.iter().cloned().chain([name]).collect();
            if all.contains(&target) && file.first().is_none_or(|room| room != MAY_HAVE_CIRCLES) {
                let place = format!("src/{}.rs:{}: {line}", file.join("/"), index + 1);
                uses.entry(file.clone()).or_default().entry(target).or_insert(place);
            }
        }
    }
    let mut circles = String::new();
    for file in uses.keys() {
        if let Some(way) = way_back(&uses, file) {
            let _ = writeln!(circles, "{}", way.join("\n  "));
        }
    }
    assert!(
        circles.is_empty(),
        "files must not import each other in a circle; move what both need into a file below them:\n{circles}"
    );
}

/// The uses that lead from `file` back to it, if any do.
fn way_back(
    uses: &BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>>,
    file: &Vec<String>,
) -> Option<Vec<String>> {
    let mut ways = vec![(file, Vec::new())];
    let mut seen = BTreeSet::new();
    while let Some((at, way)) = ways.pop() {
        for (next, place) in uses.get(at).into_iter().flatten() {
            let way: Vec<String> = way.iter().cloned().chain([place.clone()]).collect();
            if next == file {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push((next, way));
            }
        }
    }
    None
}
