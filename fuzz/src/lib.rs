//! A program for each of `test_support::fuzz_targets`, with the heap counted.

pub use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use test_support::fuzz_targets::{HEAP, Target, targets};

#[global_allocator]
static ALLOCATOR: PeakAlloc = HEAP;

/// The target of that name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    *targets().iter().find(|target| target.name == name).expect("a target of that name")
}

/// The program of a target.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        $crate::fuzz_target!(|data: &[u8]| ($crate::target($name).run)(data));
    };
}
