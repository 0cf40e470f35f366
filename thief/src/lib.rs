//! Whether secrets die on time.
//!
//! A recording provider ([`recorder`]) tells of every secret that goes through a primitive. So it is known which secrets
//! there were, what follows from which ([`knowledge`]), and when each has to be gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests depend on this crate"
)]

pub mod census;
pub mod event;
pub mod forward;
pub mod knowledge;
pub mod lockout;
pub mod needles;
pub mod recorder;
pub mod theft;
pub mod timing;
pub mod world;
