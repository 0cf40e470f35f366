//! All figures, and the tables that they are shown in.

use std::fmt::Write;

use serde::Serialize;

use crate::bare::Disk;
use crate::chain::{Sizes, TEXT};
use crate::closed::{OTHERS, Rate};
use crate::fanout::{Delay, Fanout};
use crate::flood::Flood;

/// All figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What they were measured on.
    pub machine: String,
    /// When.
    pub date: String,
    /// With which command.
    pub command: String,
    /// Bytes of entries.
    pub sizes: Option<Sizes>,
    /// The disk by itself.
    pub disk: Option<Disk>,
    /// Engines by themselves, and the service on them.
    pub rates: Vec<Rate>,
    /// Messages to connected devices.
    pub fanouts: Vec<Fanout>,
    /// Floods.
    pub floods: Vec<Flood>,
    /// What must not be: each is a measurement that has failed, and why.
    pub failures: Vec<String>,
}

impl Report {
    /// Everything as Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut out = String::new();
        if let Some(Disk { per_second, p50, p99 }) = &self.disk {
            let rate = whole(*per_second);
            let _ = writeln!(
                out,
                "The disk alone makes a KiB durable {rate} times a second ({p50:.2} ms at the median, {p99:.2} at the 99th percentile)."
            );
        }
        if let Some(Sizes { message, commit, group_info }) = self.sizes {
            let members = OTHERS + 1;
            let _ = writeln!(
                out,
                "A message has {message} bytes with a text of {TEXT}; a commit {commit}, with a GroupInfo of {group_info}, in a group of {members}."
            );
        }
        self.rates(&mut out);
        self.fanouts(&mut out);
        self.floods(&mut out);
        for failure in &self.failures {
            let _ = writeln!(out, "\n**Failed:** {failure}");
        }
        out
    }

    fn rates(&self, out: &mut String) {
        if self.rates.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n| on | what | writers | a second | a second and node | p50 ms | p99 ms | processor of nodes, µs each | memory of a node, MiB |\n|---|---|---|---|---|---|---|---|---|"
        );
        // The engine by itself, and below it the service on it.
        let mut rates: Vec<_> = self.rates.iter().collect();
        rates.sort_by_key(|rate| (rate.what, rate.engine, rate.nodes));
        for rate in rates {
            let _ = writeln!(out, "{}", line(rate));
        }
    }

    fn fanouts(&self, out: &mut String) {
        if self.fanouts.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n| on | devices | a message | p50 ms | p99 ms | last ms | to devices a second | KiB a connection | memory of a node at most, MiB | connections made a second |\n|---|---|---|---|---|---|---|---|---|---|"
        );
        for fanout in &self.fanouts {
            let Fanout { groups, readers, connection, peak, connections_per_second, .. } = fanout;
            let on = on(fanout.engine.name(), fanout.nodes);
            let devices = match groups {
                1 => format!("{readers} of one group"),
                _ => format!("{readers} of each of {groups} groups"),
            };
            let Delay { p50, p99, last } = &fanout.one;
            let rest = format!("{connection:.0} | {peak:.0} | {connections_per_second:.0}");
            let deliveries = if *groups == 1 { whole(fanout.deliveries) } else { String::new() };
            let _ = writeln!(
                out,
                "| {on} | {devices} | in one group | {p50:.1} | {p99:.1} | {last:.1} | {deliveries} | {rest} |"
            );
            if *groups > 1 {
                let Delay { p50, p99, last } = &fanout.all;
                let deliveries = whole(fanout.deliveries);
                let _ = writeln!(
                    out,
                    "| {on} | {devices} | in each at once | {p50:.1} | {p99:.1} | {last:.1} | {deliveries} | {rest} |"
                );
            }
        }
    }

    fn floods(&self, out: &mut String) {
        for flood in &self.floods {
            let on = on(flood.engine.name(), 1);
            let _ = writeln!(
                out,
                "\n| honest clients, {on} | sent | answered p50 ms | p99 ms | read | read p50 ms | p99 ms | refused, lost |\n|---|---|---|---|---|---|---|---|"
            );
            for (name, served) in [("before", &flood.calm), ("during the flood", &flood.flooded)] {
                let _ = writeln!(
                    out,
                    "| {name} | {} | {:.1} | {:.1} | {} | {:.1} | {:.1} | 0 |",
                    served.sent,
                    served.sent_p50,
                    served.sent_p99,
                    served.read,
                    served.read_p50,
                    served.read_p99
                );
            }
            let _ = writeln!(
                out,
                "\nMemory of the node: {:.0} MiB before, {:.0} at most, {:.0} afterwards. Its processors' time: {:.2} s a second.",
                flood.before, flood.peak, flood.after, flood.processors
            );
            let list = |items: Vec<(&str, u64)>| {
                items.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
            };
            let hostile = flood.hostile.iter().map(|(name, count)| (*name, *count)).collect();
            let turned_away = flood.turned_away.iter().map(|(why, count)| (why.as_str(), *count)).collect();
            let _ = writeln!(
                out,
                "Begun by hostile clients: {}. Turned away: {}.",
                list(hostile),
                list(turned_away)
            );
        }
    }
}

/// A line of the table.
#[must_use]
pub fn line(rate: &Rate) -> String {
    let Rate { nodes, writers, batch, per_second, p50, p99, processor, memory, .. } = rate;
    let (on, a_node, rest) = match nodes {
        0 => (of_engine(rate.engine.name(), *writers, *batch), String::new(), " | ".to_owned()),
        _ => {
            let a_node = whole(per_second / f64::from(u32::try_from(*nodes).unwrap_or(1)));
            (on(rate.engine.name(), *nodes), a_node, format!("{processor:.0} | {memory:.0}"))
        }
    };
    let (what, per_second) = (rate.what.name(), whole(*per_second));
    format!("| {on} | {what} | {writers} | {per_second} | {a_node} | {p50:.2} | {p99:.2} | {rest} |")
}

/// The engine by itself: connections, and entries of each transaction.
fn of_engine(engine: &str, writers: usize, batch: usize) -> String {
    let connections = writers.checked_div(batch).unwrap_or(1).max(1);
    match (connections, batch) {
        (1, 1) => format!("{engine} by itself"),
        (1, _) => format!("{engine} by itself, {batch} in a transaction"),
        (_, 1) => format!("{engine} by itself, {connections} connections"),
        _ => format!("{engine} by itself, {connections} connections, {batch} in a transaction"),
    }
}

fn on(engine: &str, nodes: usize) -> String {
    match nodes {
        1 => format!("{engine}, one node"),
        _ => format!("{engine}, {nodes} nodes"),
    }
}

/// A whole number with its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Engine;
    use crate::chain::What;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0.4, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.4, "1,234,567")] {
            assert_eq!(whole(number), text);
        }
    }

    #[test]
    fn the_engine_by_itself_has_no_nodes() {
        let mut rate = Rate {
            engine: Engine::Postgres,
            nodes: 0,
            what: What::Commits,
            writers: 64,
            batch: 16,
            per_second: 12_345.0,
            p50: 1.0,
            p99: 2.0,
            processor: 30.0,
            memory: 50.0,
        };
        assert_eq!(
            line(&rate),
            "| PostgreSQL by itself, 4 connections, 16 in a transaction | commits | 64 | 12,345 |  | 1.00 | 2.00 |  |  |"
        );
        rate.nodes = 3;
        assert_eq!(
            line(&rate),
            "| PostgreSQL, 3 nodes | commits | 64 | 12,345 | 4,115 | 1.00 | 2.00 | 30 | 50 |"
        );
    }
}
