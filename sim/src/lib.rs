//! A simulated world: clients that create, join, leave and talk, whose disks and random sources fail, that crash,
//! that are copied or mean harm, and a delivery service that orders what they send and now and then does not behave.
//!
//! Everything follows from a seed ([`action::drawn`]), so that what was found is found again, and actions can be left
//! out until only those are left that a fault needs ([`shrink`]). After every action the members that it has touched
//! are compared with what the model knows ([`checks`]), and after the last one all faults end and all have to come
//! together ([`heal`](world::World::heal)).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests depend on this crate"
)]

pub mod action;
pub mod campaign;
pub mod checks;
pub mod client;
pub mod delivery;
mod faults;
mod grow;
mod heal;
pub mod hostile;
mod join;
mod make;
mod receive;
pub mod shrink;
#[cfg(test)]
mod tests;
pub mod world;
