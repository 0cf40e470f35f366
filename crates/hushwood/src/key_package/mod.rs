//! RFC 9420 §10: key packages.

pub mod create;
pub mod private;
pub mod types;
pub mod validate;

pub use create::{KeyPackageBuilder, NewKeyPackage};
pub use private::KeyPackagePrivate;
pub use types::KeyPackage;
pub use validate::{KeyPackageChecks, ValidKeyPackage, validate, validate_many};
