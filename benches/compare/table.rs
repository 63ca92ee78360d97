//! Figures of ways, one value a round, and how they are told: median, least and most, and the ratio to nginx.

use std::fmt::Write as _;
use std::time::Duration;

use crate::ways::{DIRECT, NGINX};

/// The figures of one scenario.
pub(crate) struct Table {
    pub(crate) name: String,
    rows: Vec<Row>,
}

struct Row {
    way: String,
    figures: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rows: Vec::new() }
    }

    /// One more value, of the next round.
    pub(crate) fn add(&mut self, way: &str, figure: &'static str, value: f64) {
        let at = self.rows.iter().position(|row| row.way == way).unwrap_or_else(|| {
            self.rows.push(Row { way: way.to_owned(), figures: Vec::new() });
            self.rows.len() - 1
        });
        let figures = &mut self.rows[at].figures;
        match figures.iter_mut().find(|(name, _)| *name == figure) {
            Some((_, values)) => values.push(value),
            None => figures.push((figure, vec![value])),
        }
    }

    /// Says of `figure` only how much more it is than directly, round by round, and calls it `added`.
    pub(crate) fn subtract_direct(&mut self, figure: &'static str, added: &'static str) {
        let direct = self.values(DIRECT, figure).to_vec();
        for row in self.rows.iter_mut().filter(|row| row.way != DIRECT) {
            for (name, values) in row.figures.iter_mut().filter(|(name, _)| *name == figure) {
                *name = added;
                values.iter_mut().zip(&direct).for_each(|(value, direct)| *value -= direct);
            }
        }
    }

    fn values(&self, way: &str, figure: &str) -> &[f64] {
        let row = self.rows.iter().find(|row| row.way == way);
        let values = row.and_then(|row| row.figures.iter().find(|(name, _)| *name == figure));
        values.map_or(&[], |(_, values)| values)
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, way: &str, figure: &str) -> Option<f64> {
        median(self.values(way, figure).to_vec())
    }

    /// The median of the rounds' ratios of one way to another.
    pub(crate) fn ratio(&self, way: &str, to: &str, figure: &str) -> Option<f64> {
        let pairs = self.values(way, figure).iter().zip(self.values(to, figure));
        median(pairs.map(|(own, other)| own / other).collect())
    }

    /// As Markdown.
    pub(crate) fn print(&self) {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| &row.figures) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        println!("### {}\n", self.name);
        println!("| way | {} |", names.join(" | "));
        println!("| --- {}|", "| --- ".repeat(names.len()));
        for row in &self.rows {
            let cells: Vec<String> = names.iter().map(|name| self.cell(&row.way, name)).collect();
            println!("| {} | {} |", row.way, cells.join(" | "));
        }
        println!();
    }

    fn cell(&self, way: &str, figure: &str) -> String {
        let values = self.values(way, figure);
        let Some(middle) = median(values.to_vec()) else { return "–".to_owned() };
        let mut text = short(middle);
        if values.len() > 1 {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let _ = write!(text, " ({}–{})", short(least), short(most));
        }
        let ratio = self.ratio(way, NGINX, figure).filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        if let Some(ratio) = ratio.filter(|_| way != NGINX && way != DIRECT) {
            let _ = write!(text, " **{ratio:.2} ×**");
        }
        text
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    let is_even = values.len().is_multiple_of(2);
    Some(if is_even { f64::midpoint(values[middle - 1], *upper) } else { *upper })
}

/// With three digits or so.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value below which `share` of all are; they get sorted.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (values.len() as f64 * share) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
