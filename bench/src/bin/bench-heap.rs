//! The same scenes under an allocator that counts. A program of its own: counting costs time.

use anyhow::Result;
use bench::args::Args;
use bench::recorder::{Heap, Mode};
use clap::Parser;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> Result<()> {
    let heap = Heap {
        in_use: || HEAP.current_usage(),
        peak: || HEAP.peak_usage(),
        reset: || HEAP.reset_peak_usage(),
    };
    bench::program::heap(&Args::parse(), Mode::Heap(heap))
}
