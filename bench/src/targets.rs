//! What was set out to be reached, and whether it is: on the default provider, in groups of ten thousand.

use std::fmt::Write;

use crate::cell::Cell;
use crate::floor::is_ours;
use crate::table::{microseconds, size};

/// The figures of one run.
struct Figures<'a>(&'a [Cell]);

/// A line of the table.
struct Row {
    what: String,
    ours: String,
    peer: String,
    floor: String,
    target: String,
    /// Of each thing asked for, whether it is so. `None`: not measured.
    so: Vec<Option<bool>>,
}

/// The table, in Markdown.
#[must_use]
pub fn table(cells: &[Cell]) -> String {
    let figures = Figures(cells);
    let mut rows: Vec<_> = TIMES.iter().map(|target| figures.time(target)).collect();
    rows.push(figures.apply_own());
    rows.push(figures.linear());
    rows.extend(STORED.iter().map(|target| figures.stored(target)));
    rows.push(figures.open());
    rows.push(figures.memory());
    rows.extend(figures.large());
    rows.extend([2, 10].map(|n| figures.small(n)));
    let mut out =
        "| members | what | measured | against the best peer | against the floor | to reach | reached |\n\
                   |---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let reached = match row.so.as_slice() {
            so if so.contains(&None) => "not measured",
            so if so.contains(&Some(false)) => "**no**",
            _ => "yes",
        };
        let Row { what, ours, peer, floor, target, .. } = row;
        let _ = writeln!(out, "| {what} | {ours} | {peer} | {floor} | {target} | {reached} |");
    }
    out
}

/// A time: at least so many times faster than the best peer, at most so many times the floor.
struct Time {
    op: &'static str,
    threads: usize,
    peer: f64,
    floor: f64,
}

const fn time(op: &'static str, threads: usize, peer: f64, floor: f64) -> Time {
    Time { op, threads, peer, floor }
}

const TIMES: [Time; 13] = [
    time("update_process", 1, 50.0, 2.0),
    time("remove_process", 1, 50.0, 2.0),
    time("add_process", 1, 50.0, 2.0),
    time("update_commit", 1, 40.0, 1.8),
    time("remove_commit", 1, 27.0, 1.8),
    time("add_commit", 1, 40.0, 2.0),
    time("create_commit", 1, 20.0, 1.5),
    time("join_merged", 1, 2.0, 1.25),
    time("external_commit", 1, 2.0, 1.25),
    // Of half the floor.
    time("join_merged", 2, 3.5, 0.65),
    time("external_commit", 2, 3.5, 0.65),
    // Not slower than a peer is within ten per cent.
    time("encrypt_1k", 1, 0.9, 1.2),
    time("decrypt_1k", 1, 0.9, 1.2),
];

/// Bytes: at least so many times fewer than the best peer hands over, at most so many.
struct Stored {
    op: &'static str,
    peer: f64,
    bytes: u64,
}

const STORED: [Stored; 3] = [
    Stored { op: "persist_commit", peer: 500.0, bytes: 10_000 },
    Stored { op: "persist_message.first", peer: 500.0, bytes: 2_000 },
    Stored { op: "persist_message", peer: 500.0, bytes: 300 },
];

impl Figures<'_> {
    fn ours(&self, op: &str, n: u32, threads: usize) -> Option<&Cell> {
        let is = |cell: &&Cell| {
            cell.op == op && cell.n == n && cell.threads == threads && cell.implementation == OURS
        };
        self.0.iter().find(is)
    }

    /// The least that a peer has of something.
    fn peer(&self, op: &str, n: u32, of: impl Fn(&Cell) -> Option<u64>) -> Option<u64> {
        let peers = self.0.iter().filter(|cell| cell.op == op && cell.n == n && !is_ours(cell));
        peers.filter_map(of).filter(|value| *value > 0).min()
    }

    fn time(&self, target: &Time) -> Row {
        let cell = self.ours(target.op, LARGE, target.threads);
        let (peer, floor) =
            (cell.and_then(|cell| cell.ratio_best_peer), cell.and_then(|cell| cell.ratio_floor));
        let threads =
            if target.threads == 1 { String::new() } else { format!(", {} threads", target.threads) };
        Row {
            what: format!("{LARGE} | {}{threads}", target.op),
            ours: cell.and_then(Cell::time_us).map(microseconds).unwrap_or_default(),
            peer: peer.map(times).unwrap_or_default(),
            floor: floor.map(times).unwrap_or_default(),
            target: format!(">= {}, <= {} of the floor", times(target.peer), times(target.floor)),
            so: vec![peer.map(|ratio| ratio >= target.peer), floor.map(|ratio| ratio <= target.floor)],
        }
    }

    fn apply_own(&self) -> Row {
        let cell = self.ours("apply_own", LARGE, 1);
        let (time, peer) = (cell.and_then(Cell::time_us), cell.and_then(|cell| cell.ratio_best_peer));
        Row {
            what: format!("{LARGE} | apply_own"),
            ours: time.map(microseconds).unwrap_or_default(),
            peer: peer.map(times).unwrap_or_default(),
            floor: String::new(),
            target: ">= 300 x, < 0.1 ms".to_owned(),
            so: vec![peer.map(|ratio| ratio >= 300.0), time.map(|us| us < 100.0)],
        }
    }

    /// How a time grows from one size to another.
    fn growth(&self, op: &str, from: u32, to: u32) -> Option<f64> {
        let time = |n| self.ours(op, n, 1).and_then(Cell::time_us);
        Some(time(to)? / time(from)?)
    }

    /// Ten times the members, at most a quarter more than ten times the time: caches are no longer large enough.
    fn linear(&self) -> Row {
        let growth = self.growth("create_commit", 1_000, LARGE);
        Row {
            what: format!("1000 to {LARGE} | create_commit is linear in n"),
            ours: growth.map(times).unwrap_or_default(),
            peer: String::new(),
            floor: String::new(),
            target: "10 x for 10 x as many".to_owned(),
            so: vec![growth.map(|growth| growth <= 12.5)],
        }
    }

    fn stored(&self, target: &Stored) -> Row {
        let ours = self.ours(target.op, LARGE, 1).and_then(|cell| cell.store_bytes);
        let peer = self.peer(target.op, LARGE, |cell| cell.store_bytes);
        let ratio = ours.zip(peer).map(|(ours, peer)| peer as f64 / ours as f64);
        Row {
            what: format!("{LARGE} | handed to the store by {}", target.op),
            ours: ours.map(size).unwrap_or_default(),
            peer: ratio.map(times).unwrap_or_default(),
            floor: String::new(),
            target: format!(">= {}, <= {}", times(target.peer), size(target.bytes)),
            so: vec![ratio.map(|ratio| ratio >= target.peer), ours.map(|bytes| bytes <= target.bytes)],
        }
    }

    /// Not beyond log n: from a thousand to ten thousand log n grows by a third.
    fn open(&self) -> Row {
        let cell = self.ours("open", LARGE, 1);
        let (peer, growth) = (cell.and_then(|cell| cell.ratio_best_peer), self.growth("open", 1_000, LARGE));
        let grown = growth.map_or(String::new(), |growth| format!(", {} that of 1000", times(growth)));
        Row {
            what: format!("{LARGE} | open"),
            ours: cell.and_then(Cell::time_us).map(|us| microseconds(us) + &grown).unwrap_or_default(),
            peer: peer.map(times).unwrap_or_default(),
            floor: cell.and_then(|cell| cell.ratio_floor).map(times).unwrap_or_default(),
            target: ">= 10 x, growth of log n at most".to_owned(),
            so: vec![peer.map(|ratio| ratio >= 10.0), growth.map(|growth| growth <= 4.0 / 3.0)],
        }
    }

    fn memory(&self) -> Row {
        let cell = self.ours("memory", LARGE, 1);
        let ours = cell.and_then(|cell| cell.peak_bytes);
        let peer = self.peer("memory", LARGE, |cell| cell.peak_bytes);
        let over = |bytes: u64, other: u64| bytes as f64 / other as f64;
        let (peer, tree) = (
            ours.zip(peer).map(|(ours, peer)| over(peer, ours)),
            ours.zip(cell.and_then(|cell| cell.wire_bytes)).map(|(ours, tree)| over(ours, tree)),
        );
        Row {
            what: format!("{LARGE} | memory of an open group"),
            ours: ours.map(size).unwrap_or_default(),
            peer: peer.map(|ratio| times(ratio) + " less").unwrap_or_default(),
            floor: tree.map(|ratio| times(ratio) + " the wire tree").unwrap_or_default(),
            target: ">= 2 x less, <= 2 x the wire tree".to_owned(),
            so: vec![peer.map(|ratio| ratio >= 2.0), tree.map(|ratio| ratio <= 2.0)],
        }
    }

    /// A hundred thousand members.
    fn large(&self) -> Vec<Row> {
        let works = HUGE_WORKS
            .map(|op| self.ours(op, HUGE, 1).map(|cell| cell.status == "ok" && cell.time_us().is_some()));
        let growth = self.growth("update_process", 1_000, HUGE);
        let memory = self.ours("memory", HUGE, 1).and_then(|cell| cell.peak_bytes);
        let row = |what: &str, ours: String, target: &str, so| Row {
            what: format!("{HUGE} | {what}"),
            ours,
            peer: String::new(),
            floor: String::new(),
            target: target.to_owned(),
            so,
        };
        let done = works.iter().filter(|works| **works == Some(true)).count();
        vec![
            row(
                "works: join, create, commit, process, persist, open",
                format!("{done} of {}", works.len()),
                "all",
                works.to_vec(),
            ),
            row(
                "update_process, against a thousand members",
                growth.map(times).unwrap_or_default(),
                "<= 1.5 x",
                vec![growth.map(|growth| growth <= 1.5)],
            ),
            row(
                "memory of an open group",
                memory.map(size).unwrap_or_default(),
                "< 100 MB",
                vec![memory.map(|bytes| bytes < 100_000_000)],
            ),
        ]
    }

    /// At least as fast as the best peer at everything.
    fn small(&self, n: u32) -> Row {
        let ours =
            self.0.iter().filter(|cell| cell.implementation == OURS && cell.n == n && cell.threads == 1);
        let compared: Vec<_> =
            ours.filter_map(|cell| Some((cell.op.as_str(), cell.ratio_best_peer?))).collect();
        let slower = compared.iter().filter(|(_, ratio)| *ratio < 1.0);
        let slower: Vec<_> = slower.map(|(op, ratio)| format!("{op} ({ratio:.2})")).collect();
        let so = if compared.is_empty() { None } else { Some(slower.is_empty()) };
        Row {
            what: format!("{n} | everything"),
            ours: format!("{} of {} at least as fast", compared.len() - slower.len(), compared.len()),
            peer: if slower.is_empty() { String::new() } else { format!("slower: {}", slower.join(", ")) },
            floor: String::new(),
            target: ">= 1 x".to_owned(),
            so: vec![so],
        }
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 10.0 => format!("{ratio:.2} x"),
        ratio if ratio < 100.0 => format!("{ratio:.1} x"),
        ratio => format!("{ratio:.0} x"),
    }
}

const OURS: &str = "hushwood/aws-lc";
const LARGE: u32 = 10_000;
const HUGE: u32 = 100_000;
const HUGE_WORKS: [&str; 6] =
    ["join_merged", "create_commit", "update_commit", "update_process", "persist_commit", "open"];
