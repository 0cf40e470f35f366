//! The figures for people: a table in Markdown, for the terminal and for the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cell::{Cell, Price};
use crate::floor::is_ours;
use crate::prices::Size;

/// The tables: times, then bytes.
#[must_use]
pub fn tables(cells: &[Cell]) -> String {
    let mut threads: Vec<_> = cells.iter().map(|cell| cell.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads.iter().map(|threads| tables_of(cells, *threads)).collect()
}

fn tables_of(cells: &[Cell], threads: usize) -> String {
    let cells: Vec<_> = cells.iter().filter(|cell| cell.threads == threads).collect();
    let mut implementations = Vec::new();
    for cell in &cells {
        if !implementations.contains(&cell.implementation.as_str()) {
            implementations.push(cell.implementation.as_str());
        }
    }
    let mut rows: BTreeMap<(usize, &str, u32), BTreeMap<&str, &Cell>> = BTreeMap::new();
    for cell in &cells {
        let place = (position(&cell.op), cell.op.as_str(), cell.n);
        rows.entry(place).or_default().insert(&cell.implementation, cell);
    }
    let mut out = String::new();
    let plural = if threads == 1 { "thread" } else { "threads" };
    let _ = writeln!(
        out,
        "\nTimes with {threads} {plural}: the median by the clock, and in brackets the shortest, on one thread the processor's.\n"
    );
    head(&mut out, &["operation", "members"], &implementations, &["to best peer", "floor", "to floor"]);
    for ((_, op, n), row) in &rows {
        if row.values().all(|cell| cell.min_us.is_none() && cell.status == "ok") {
            continue;
        }
        let _ = write!(out, "| {op} | {n} |");
        for name in &implementations {
            let _ = write!(out, " {} |", row.get(name).map_or(String::new(), |cell| time_of(cell)));
        }
        let ours = row.values().filter(|cell| is_ours(cell));
        let time = |cell: &Cell| cell.time_us().unwrap_or(f64::MAX);
        let ours = ours.min_by(|a, b| time(a).total_cmp(&time(b)));
        let ratio = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        let floor = ours.and_then(|cell| cell.floor_us).map_or(String::new(), microseconds);
        let of = |field: fn(&Cell) -> Option<f64>| ratio(ours.and_then(|cell| field(cell)));
        let _ = writeln!(
            out,
            " {} | {floor} | {} |",
            of(|cell| cell.ratio_best_peer),
            of(|cell| cell.ratio_floor)
        );
    }
    bytes(&mut out, &rows, &implementations);
    out
}

#[expect(clippy::type_complexity, reason = "the rows of both tables")]
fn bytes(
    out: &mut String,
    rows: &BTreeMap<(usize, &str, u32), BTreeMap<&str, &Cell>>,
    implementations: &[&str],
) {
    let kinds: [(&str, fn(&Cell) -> Option<String>); 3] = [
        ("wire", |cell| cell.wire_bytes.map(size)),
        ("store", |cell| Some(format!("{} in {}", size(cell.store_bytes?), cell.store_rows?))),
        ("heap", |cell| cell.peak_bytes.map(size)),
    ];
    let _ = writeln!(out, "\nBytes: on the wire, handed to the store in so many records, and heap.\n");
    head(out, &["operation", "members", "bytes"], implementations, &[]);
    for ((_, op, n), row) in rows {
        for (kind, field) in kinds {
            if row.values().all(|cell| field(cell).is_none()) {
                continue;
            }
            let _ = write!(out, "| {op} | {n} | {kind} |");
            for name in implementations {
                let value = row.get(name).and_then(|cell| field(cell));
                let _ = write!(out, " {} |", value.unwrap_or_default());
            }
            out.push('\n');
        }
    }
}

/// What primitives cost, by implementation, as a table.
#[must_use]
pub fn prices(prices: &[Price]) -> String {
    let mut implementations: Vec<&str> = Vec::new();
    let mut rows: BTreeMap<(&str, Size), BTreeMap<&str, f64>> = BTreeMap::new();
    for (implementation, what, size, price) in prices {
        if !implementations.contains(&implementation.as_str()) {
            implementations.push(implementation);
        }
        rows.entry((what, *size)).or_default().insert(implementation, *price);
    }
    let mut out = String::new();
    head(&mut out, &["primitive", "on"], &implementations, &[]);
    for ((what, size), row) in &rows {
        let on = match size {
            Size::Bytes(0) => String::new(),
            Size::Bytes(bytes) => format!("{bytes} B"),
            Size::Signatures(together) => format!("{together} together"),
        };
        let _ = write!(out, "| {what} | {on} |");
        for name in &implementations {
            let price = row.get(name).map_or(String::new(), |price| nanoseconds(*price));
            let _ = write!(out, " {price} |");
        }
        out.push('\n');
    }
    out
}

fn nanoseconds(ns: f64) -> String {
    if ns < 1_000.0 { format!("{ns:.0} ns") } else { microseconds(ns / 1_000.0) }
}

fn head(out: &mut String, before: &[&str], implementations: &[&str], after: &[&str]) {
    let columns: Vec<_> = before.iter().chain(implementations).chain(after).copied().collect();
    let _ = writeln!(out, "| {} |", columns.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
}

fn time_of(cell: &Cell) -> String {
    match (cell.median_us, cell.time_us()) {
        (Some(median), Some(min)) => format!("{} ({})", microseconds(median), microseconds(min)),
        _ => cell.status.clone(),
    }
}

/// A time with a fitting unit.
#[must_use]
pub fn microseconds(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1} µs"),
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 100_000.0 => format!("{:.2} ms", us / 1e3),
        us if us < 1_000_000.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// A number of bytes with a fitting unit.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes < 10_000 => format!("{bytes} B"),
        bytes if bytes < 1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        bytes => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}

fn position(op: &str) -> usize {
    let family = op.split('.').next().unwrap_or(op);
    crate::recorder::OPERATIONS.iter().position(|name| *name == family).unwrap_or(usize::MAX)
}
