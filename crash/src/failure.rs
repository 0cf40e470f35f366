//! What was found not to hold.

use std::fmt;

/// What does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Something that was acknowledged is not there.
    Lost,
    /// Something has happened twice.
    Twice,
    /// Part of a change is there, and part is not.
    Torn,
    /// A key has encrypted twice.
    Nonce,
    /// Members of one epoch differ.
    Agreement,
    /// Something does not work that has to: a store or a group that does not open, a message that is refused.
    Liveness,
    /// Something was taken that had to be refused, an old copy for example.
    Accepted,
    /// The test itself does not do what it should: a process is not killed where it had to be.
    Test,
}

/// Something that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What.
    pub kind: Kind,
    /// What was seen.
    pub what: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}
