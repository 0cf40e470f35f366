//! The table: all that is changed, by what it is changed in.

pub mod delivery;
pub mod framing;
pub mod joining;
pub mod key_packages;
pub mod leaves;
pub mod lists;
pub mod outside;
pub mod paths;
pub mod private;
pub mod proposals;
pub mod trees;

use crate::mutation::Family;

/// All families.
#[must_use]
pub fn all() -> Vec<Family> {
    [
        framing::families(),
        paths::families(),
        leaves::families(),
        key_packages::families(),
        lists::families(),
        proposals::families(),
        private::families(),
        outside::families(),
        joining::families(),
        trees::families(),
        delivery::families(),
    ]
    .concat()
}
