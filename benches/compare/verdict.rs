//! The figures that matter, each beside what it must be and what it should be.

use crate::table::{Table, short};
use crate::ways::{NGINX, Setup};
use crate::{failing, paced, short, start, streams};

/// How a figure is looked at.
#[derive(Clone, Copy)]
enum Measure {
    /// As a multiple of this way's, in the same round.
    To(&'static str),
    /// As it is.
    Itself,
}

struct Line {
    what: String,
    table: String,
    figure: &'static str,
    way: &'static str,
    measure: Measure,
    must: f64,
    goal: f64,
    /// What a quick run accepts on whatever machine: far more than what was measured when this was written.
    bearable: f64,
}

const CHAT: &str = "/chat over Groq";

/// Prints the lines; in a quick run gives the figures that are unbearable.
pub(crate) fn judge(setup: &Setup, tables: &[Table]) -> Vec<String> {
    let mut unbearable = Vec::new();
    println!("### The figures that matter\n");
    println!("| figure | must | goal | measured | reached |");
    println!("| --- | --- | --- | --- | --- |");
    for line in lines(setup) {
        let Some(value) = line.value(tables) else { continue };
        let sign = if matches!(line.measure, Measure::To(_)) { " ×" } else { "" };
        let reached = match value {
            _ if line.must.is_infinite() => "–",
            value if value <= line.goal => "goal",
            value if value <= line.must => "must",
            _ => "no",
        };
        let (must, goal, measured) = (short_or_any(line.must), short_or_any(line.goal), short(value));
        println!("| {} | {must}{sign} | {goal}{sign} | {measured}{sign} | {reached} |", line.what);
        if setup.is_quick && value > line.bearable {
            unbearable.push(format!("{}: {measured}{sign}, more than {}{sign}", line.what, line.bearable));
        }
    }
    println!();
    unbearable
}

fn short_or_any(value: f64) -> String {
    if value.is_finite() { short(value) } else { "–".to_owned() }
}

impl Line {
    fn value(&self, tables: &[Table]) -> Option<f64> {
        let table = tables.iter().find(|table| table.name == self.table)?;
        match self.measure {
            Measure::To(other) => table.ratio(self.way, other, self.figure),
            Measure::Itself => table.median(self.way, self.figure),
        }
    }
}

fn lines(setup: &Setup) -> Vec<Line> {
    let mut all = beside_nginx(setup);
    all.extend(itself(setup));
    all.extend(beside_chat());
    all
}

fn line(what: impl Into<String>, table: impl Into<String>, figure: &'static str, way: &'static str) -> Line {
    let (must, goal, bearable) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let (what, table) = (what.into(), table.into());
    Line { what, table, figure, way, measure: Measure::To(NGINX), must, goal, bearable }
}

impl Line {
    fn at_most(self, must: f64, goal: f64, bearable: f64) -> Self {
        Self { must, goal, bearable, ..self }
    }

    fn measured(self, measure: Measure) -> Self {
        Self { measure, ..self }
    }
}

fn beside_nginx(setup: &Setup) -> Vec<Line> {
    let failure = "the first provider fails each time: added, to nginx's";
    vec![
        line("CPU a request, 64 connections", short::name(64), short::CPU, CHAT).at_most(3.0, 2.0, 5.0),
        line("CPU a request, 1 connection", short::name(1), short::CPU, CHAT).at_most(
            f64::INFINITY,
            f64::INFINITY,
            8.0,
        ),
        line("added latency p50, 1 connection", short::name(1), short::P50, CHAT).at_most(1.8, 1.3, 20.0),
        line("CPU a token", paced::NAME, paced::CPU, CHAT).at_most(1.25, 1.0, 3.0),
        line("added to first token p50", paced::NAME, paced::P50, CHAT).at_most(1.1, 1.0, f64::INFINITY),
        line("added to first token p99", paced::NAME, paced::P99, CHAT).at_most(1.1, 1.0, f64::INFINITY),
        line("memory a stream", streams::name(setup), streams::MEMORY, CHAT).at_most(1.3, 0.8, 3.0),
        line("slow streams: lateness p99", streams::name(setup), streams::LATE_P99, CHAT).at_most(
            1.0,
            1.0,
            f64::INFINITY,
        ),
        line("slow streams: latest event", streams::name(setup), streams::LATEST, CHAT).at_most(
            1.0,
            1.0,
            f64::INFINITY,
        ),
        line(failure, failing::NAME, failing::ADDED, failing::CHAT).at_most(1.0, 1.0, f64::INFINITY),
    ]
}

fn itself(setup: &Setup) -> Vec<Line> {
    let program =
        |what: &str, figure| line(what, start::NAME, figure, start::PROGRAM).measured(Measure::Itself);
    let errors = line("slow streams: errors", streams::name(setup), streams::ERRORS, CHAT);
    vec![
        errors.measured(Measure::Itself).at_most(0.0, 0.0, 0.0),
        program("idle memory, MB", start::IDLE).at_most(7.5, 6.0, 25.0),
        program("program, MB", start::SIZE).at_most(6.5, 6.0, 25.0),
        program("start to the first answer, ms", start::START).at_most(10.0, 5.0, 500.0),
    ]
}

/// Every surface and dialect beside `/chat` over Groq.
fn beside_chat() -> Vec<Line> {
    let ways =
        ["/v1 over Groq", "/chat over Cerebras", "/v1 over Cerebras", "/chat over Gemini", "/v1 over Gemini"];
    let both = |way: &'static str| {
        let request = line(format!("{way}: CPU a request"), short::name(64), short::CPU, way);
        let token = line(format!("{way}: CPU a token"), paced::NAME, paced::CPU, way);
        [request, token].map(|line| line.measured(Measure::To(CHAT)).at_most(1.1, 1.1, 3.0))
    };
    ways.into_iter().flat_map(both).collect()
}
