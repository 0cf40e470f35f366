//! Ratios: to the best peer, and to what cryptography alone costs.

use std::collections::BTreeMap;

use crate::cell::Cell;
use crate::counting::Counts;
use crate::prices::Prices;

/// What is needed to compute floors.
#[derive(Clone, Debug, Default)]
pub struct Floors {
    /// By operation and size: what it asks of the provider.
    pub counts: BTreeMap<(String, u32), Counts>,
    /// By implementation.
    pub prices: BTreeMap<String, Prices>,
}

impl Floors {
    /// Fills in what follows from the times.
    pub fn complete(&self, cells: &mut [Cell]) {
        let lowest = Prices::lowest(self.prices.values());
        for cell in &mut *cells {
            let Some(counts) = self.counts.get(&(cell.op.clone(), cell.n)) else { continue };
            let floor = lowest.total_us(counts);
            cell.work = Some(counts.words());
            cell.floor_us = Some(floor);
            cell.own_floor_us = self.prices.get(&cell.implementation).map(|own| own.total_us(counts));
            cell.ratio_floor = cell.time_us().filter(|_| floor > 0.0).map(|time| time / floor);
        }
        let best = best_peers(cells);
        for cell in cells.iter_mut().filter(|cell| is_ours(cell)) {
            let peer = best.get(&(cell.op.clone(), cell.n, cell.threads));
            cell.ratio_best_peer = peer.zip(cell.time_us()).map(|(peer, time)| peer / time);
        }
    }
}

fn best_peers(cells: &[Cell]) -> BTreeMap<(String, u32, usize), f64> {
    let mut best = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !is_ours(cell)) {
        let Some(min) = cell.time_us() else { continue };
        let entry = best.entry((cell.op.clone(), cell.n, cell.threads)).or_insert(min);
        *entry = min.min(*entry);
    }
    best
}

/// Whether it is Hushwood's.
#[must_use]
pub fn is_ours(cell: &Cell) -> bool {
    cell.implementation.starts_with("hushwood/")
}
