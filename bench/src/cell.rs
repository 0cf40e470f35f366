//! The figures, and those of them that `--json` writes.

use serde::{Deserialize, Serialize};

use crate::prices::Size;

/// An operation of one implementation at one size.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Cell {
    /// Which operation; variants have a name after a dot.
    pub op: String,
    /// Members of the group.
    pub n: u32,
    /// The suite's number.
    pub suite: u16,
    /// Implementation and provider.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// Threads that it may use.
    pub threads: usize,
    /// The median of the runs.
    pub median_us: Option<f64>,
    /// The shortest.
    pub min_us: Option<f64>,
    /// The least that the processor has spent on a run, on all threads.
    pub cpu_us: Option<f64>,
    /// The best peer's time divided by this one's ([`time_us`](Self::time_us)).
    pub ratio_best_peer: Option<f64>,
    /// This one's time divided by the floor.
    pub ratio_floor: Option<f64>,
    /// The floor: what the operation asks of cryptography, at the lowest prices.
    pub floor_us: Option<f64>,
    /// The same at the prices of this one's provider.
    pub own_floor_us: Option<f64>,
    /// Bytes that go out; for a joiner, that come in.
    pub wire_bytes: Option<u64>,
    /// Bytes handed to the store.
    pub store_bytes: Option<u64>,
    /// Records handed to the store.
    pub store_rows: Option<u64>,
    /// Most heap beyond what there was; of `memory`, the heap of an open group.
    pub peak_bytes: Option<u64>,
    /// What the operation asks of cryptography.
    pub work: Option<String>,
    /// How many runs.
    pub runs: usize,
    /// `ok`, or why there is no more.
    pub status: String,
}

impl Cell {
    /// The time that ratios are made of: on one thread the processor's, as other programs may run beside this one;
    /// on more than one the clock's.
    #[must_use]
    pub fn time_us(&self) -> Option<f64> {
        match self.threads {
            1 => self.cpu_us.or(self.min_us),
            _ => self.min_us,
        }
    }

    /// Its place in the result.
    #[must_use]
    pub fn key(&self) -> (String, u32, usize, String) {
        (self.op.clone(), self.n, self.threads, self.implementation.clone())
    }
}

/// A price of a primitive: implementation, what, on how many bytes or signatures, nanoseconds.
pub type Price = (String, String, Size, f64);

/// What a run has found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Results {
    /// The figures.
    pub cells: Vec<Cell>,
    /// The prices that floors are made of.
    pub prices: Vec<Price>,
}

/// A figure as `--json` writes it.
#[derive(Clone, Debug, Serialize)]
pub struct Published<'a> {
    op: &'a str,
    n: u32,
    suite: u16,
    #[serde(rename = "impl")]
    implementation: &'a str,
    threads: usize,
    median_us: Option<f64>,
    /// What ratios are made of ([`Cell::time_us`]).
    min_us: Option<f64>,
    ratio_best_peer: Option<f64>,
    ratio_floor: Option<f64>,
    wire_bytes: Option<u64>,
    store_bytes: Option<u64>,
    store_rows: Option<u64>,
    peak_bytes: Option<u64>,
    status: &'a str,
}

impl<'a> From<&'a Cell> for Published<'a> {
    fn from(cell: &'a Cell) -> Self {
        Self {
            op: &cell.op,
            n: cell.n,
            suite: cell.suite,
            implementation: &cell.implementation,
            threads: cell.threads,
            median_us: cell.median_us,
            min_us: cell.time_us(),
            ratio_best_peer: cell.ratio_best_peer,
            ratio_floor: cell.ratio_floor,
            wire_bytes: cell.wire_bytes,
            store_bytes: cell.store_bytes,
            store_rows: cell.store_rows,
            peak_bytes: cell.peak_bytes,
            status: &cell.status,
        }
    }
}
