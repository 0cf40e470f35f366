//! What operations cost: in time, beside other implementations, and beside what cryptography alone costs.
//!
//! Every [`library::Library`] does the same operations on the same bytes: wire in, wire out. A [`scene`] leads its
//! members through them, and a [`recorder::Recorder`] notes what each took. The same scenes are played with a provider
//! that counts ([`counting`]): what it has counted, at the lowest price of each primitive that was measured in the same
//! run ([`prices`]), is the floor.
//!
//! Groups of thousands are not grown member by member: [`fixture`] writes a whole tree from the RFC, as it is after
//! everybody has committed, and members enter it by an external commit.

#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "nothing here is published, and what goes wrong ends the measurement"
)]

pub mod args;
pub mod cell;
pub mod counting;
pub mod docs;
pub mod fixture;
pub mod floor;
pub mod hushwood_library;
pub mod instructions;
pub mod library;
pub mod measured_store;
#[cfg(feature = "peers")]
pub mod mls_rs_library;
#[cfg(feature = "peers")]
pub mod openmls_library;
#[cfg(feature = "peers")]
pub mod openmls_store;
pub mod plots;
pub mod prices;
pub mod program;
pub mod recorder;
pub mod run;
pub mod scene;
pub mod table;
pub mod targets;

/// The implementations to compare with.
#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Box<dyn library::Library>> {
    Vec::new()
}

/// The implementations to compare with.
#[cfg(feature = "peers")]
fn peers() -> Vec<Box<dyn library::Library>> {
    vec![
        Box::new(mls_rs_library::MlsRs::aws_lc()),
        Box::new(mls_rs_library::MlsRs::rustcrypto()),
        Box::new(openmls_library::OpenMls::rustcrypto()),
        Box::new(openmls_library::OpenMls::libcrux()),
    ]
}
