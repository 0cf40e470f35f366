//! A member of a group that means harm and has all that a member has, and what honest members say to it.
//!
//! [`Member`] is MLS written down from RFC 9420 once more ([`literal`]), with no check in it: it joins by an honest member's
//! Welcome, follows what honest members do, and makes commits, proposals, encrypted messages, GroupInfos and Welcomes. At
//! every place ([`At`]) somebody may change what it is about to use, and all that follows is computed from the change:
//! signed, tagged, hashed and encrypted as it should be. Nothing in the library has to be switched off for that.
//!
//! A [`Mutation`] is such a change, with the row of `spec/` that honest members have to name when they refuse what comes
//! of it. The [`campaign`] plays each at every place of the hostile member, to every honest one, and sees to it that a
//! refusal has changed nothing, and that the same message without the change is accepted after it.
//!
//! ```
//! use hostile::campaign::{Shape, Settings};
//! use hostile::{families, play};
//! use test_support::fake_crypto::PROVIDER;
//!
//! let settings = Settings { provider: PROVIDER, size: 3, position: 1, shape: Shape::Full };
//! let family = families::all().into_iter().find(|family| family.name == "path").expect("it is there");
//! let report = play(&settings, &[family]);
//! assert!(report.failures.is_empty());
//! assert!(report.cases > 100);
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests depend on this crate"
)]

pub mod at;
pub mod campaign;
mod client;
pub mod families;
pub mod honest;
pub mod literal;
pub mod member;
pub mod mutation;
pub mod scene;
mod send;
mod welcome;

pub use at::{At, Tamper, nothing};
pub use campaign::play;
pub use member::{Client, Member};
pub use mutation::{Family, Mutation};
pub use welcome::Behind;
