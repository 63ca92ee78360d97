//! Reads the Prometheus text format as strictly as no server would: what it takes, every Prometheus takes.

use std::collections::{BTreeMap, BTreeSet};

/// The name and the labels of a series.
type Series = (String, BTreeMap<String, String>);

/// What a body of `/metrics` says.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// The type of each family.
    types: BTreeMap<String, String>,
    samples: BTreeMap<Series, f64>,
}

impl Exposition {
    /// Reads a whole body.
    ///
    /// # Panics
    /// Anything is not as the format wants it.
    pub(super) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n') && !text.contains('\r'), "lines end with a line feed: {text:?}");
        let mut read = Self::default();
        let mut family: Option<(String, String)> = None;
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a text");
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "one HELP each: {line}");
                check_escapes(help, "\\n");
                family = None;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(helped.contains(name), "HELP comes before TYPE: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(
                    read.types.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "one TYPE each: {line}"
                );
                family = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (series, value) = sample(line);
                let (name, kind) = family.as_ref().unwrap_or_else(|| panic!("outside its family: {line}"));
                assert!(belongs(&series.0, name, kind), "{line} stands in the family {name}");
                assert!(value >= 0.0 && value.is_finite(), "{line}");
                assert!(read.samples.insert(series, value).is_none(), "twice: {line}");
            }
        }
        assert_eq!(helped.len(), read.types.len());
        read.check_histograms();
        read
    }

    /// The value of exactly this series.
    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.samples.get(&(name.to_owned(), owned(labels))).copied()
    }

    /// All values of a name whose labels include these, added up.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.with(name, labels).map(|(_, value)| value).sum()
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// All values of a label.
    pub(super) fn values<'e>(&'e self, name: &'e str, label: &str) -> BTreeSet<&'e str> {
        self.with(name, &[]).filter_map(|(labels, _)| labels.get(label).map(String::as_str)).collect()
    }

    /// The names of all families.
    pub(super) fn families(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    /// The series of a name whose labels include these.
    pub(super) fn with<'e>(
        &'e self,
        name: &'e str,
        labels: &[(&str, &str)],
    ) -> impl Iterator<Item = (&'e BTreeMap<String, String>, f64)> {
        let wanted = owned(labels);
        let its = self.samples.iter().filter(move |((its, _), _)| its == name);
        its.filter(move |((_, its), _)| wanted.iter().all(|(name, value)| its.get(name) == Some(value)))
            .map(|((_, labels), value)| (labels, *value))
    }

    /// Buckets ascend and are cumulative; the last is `+Inf` and holds as many as `_count`.
    fn check_histograms(&self) {
        for (name, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut histograms: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
            for (labels, value) in self.with(&format!("{name}_bucket"), &[]) {
                let mut labels = labels.clone();
                let bound = labels.remove("le").expect("a bound").parse().expect("a number");
                histograms.entry(labels).or_default().push((bound, value));
            }
            let counts = self.with(&format!("{name}_count"), &[]).count();
            assert_eq!(counts, histograms.len(), "{name}: every histogram has its buckets");
            for (labels, mut buckets) in histograms {
                buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
                assert!(
                    buckets.is_sorted_by(|(_, one), (_, other)| one <= other),
                    "{name} {labels:?} {buckets:?}"
                );
                let (bound, most) = *buckets.last().expect("one at least");
                let whole = |suffix| self.samples.get(&(format!("{name}{suffix}"), labels.clone())).copied();
                assert_eq!((bound, Some(most)), (f64::INFINITY, whole("_count")), "{name} {labels:?}");
                assert!(whole("_sum").is_some(), "{name} {labels:?}");
            }
        }
    }
}

fn owned(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn belongs(name: &str, family: &str, kind: &str) -> bool {
    let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(family))
}

/// Reads `name{label="value",…} number`.
fn sample(line: &str) -> (Series, f64) {
    let is_name = |text: &str| {
        let mut characters = text.chars();
        let is_first = |first: char| first.is_ascii_alphabetic() || first == '_';
        characters.next().is_some_and(is_first) && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(text) = rest.strip_prefix('{') {
        rest = text;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("no end of a value: {line}"));
            assert!(is_name(label) && labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.split_at_checked(1) {
                Some((",", after)) => rest = after,
                Some(("}", after)) => {
                    rest = after;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(!value.contains(' '), "no time stamps: {line}");
    ((name.to_owned(), labels), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

/// Reads up to the quote that is not escaped: what it means, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("\\{other} means nothing: {text}"),
            },
            character => value.push(character),
        }
    }
    None
}

fn check_escapes(help: &str, allowed: &str) {
    let plain = help.replace("\\\\", "").replace(allowed, "");
    assert!(!plain.contains('\\'), "{help}");
}

#[test]
fn the_reader_refuses_what_prometheus_would() {
    let good = "# HELP a_total What.\n# TYPE a_total counter\na_total{b=\"x\\\"y\\\\z\\n\",c=\"\"} 1\n";
    let read = Exposition::read(good);
    assert_eq!(read.get("a_total", &[("b", "x\"y\\z\n"), ("c", "")]), Some(1.0));
    let histogram =
        |rest: &str| format!("# HELP h What.\n# TYPE h histogram\nh_bucket{{le=\"1.0\"}} 1\n{rest}");
    Exposition::read(&histogram("h_bucket{le=\"+Inf\"} 2\nh_sum 3.0\nh_count 2\n"));
    let bad = [
        good.trim_end().to_owned(),
        good.replace("# HELP a_total What.\n", ""),
        good.replace("counter", "number"),
        good.replace("\\\\z", "\\z"),
        good.replace("a_total{", "b_total{"),
        good.replace(",c=", ",b="),
        good.replace("} 1", "} one"),
        good.replace("} 1", "} 1 1700000000"),
        good.replace("} 1", "} -1"),
        format!("{good}{}", good.lines().last().expect("a line")) + "\n",
        format!("{good}{good}"),
        good.replace("a_total", "a"),
        histogram("h_bucket{le=\"+Inf\"} 2\nh_sum 3.0\nh_count 3\n"),
        histogram("h_bucket{le=\"+Inf\"} 0\nh_sum 3.0\nh_count 0\n"),
        histogram("h_sum 3.0\nh_count 1\n"),
        histogram("h_bucket{le=\"+Inf\"} 2\nh_count 2\n"),
    ];
    for text in bad {
        let read = std::panic::catch_unwind(|| Exposition::read(&text));
        assert!(read.is_err(), "{text}");
    }
}
