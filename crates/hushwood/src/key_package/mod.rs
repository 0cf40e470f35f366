//! RFC 9420 §10: key packages.

pub mod types;

pub use types::KeyPackage;
