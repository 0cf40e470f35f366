//! What is changed, where, and what has to be said to it.

use crate::at::{At, Tamper};
use crate::scene::Scene;

/// A change, and what honest clients have to say to what comes of it.
#[derive(Clone, Copy)]
pub struct Mutation {
    /// What it is, in a few words.
    pub name: &'static str,
    /// The row of `spec/` that the error has to name.
    pub row: &'static str,
    /// Who has to refuse.
    pub who: Who,
    /// The change.
    pub how: How,
}

/// Shown each thing on its way, changes what it is about.
pub type How = fn(At<'_>, &Scene, &mut Spot);

/// Who has to refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// All.
    All,
    /// Those that [`Spot::victims`] has in the end; the others can't see it and accept.
    Victims,
}

/// A way to make things, valid unless something is changed on the way.
#[derive(Clone)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// For whom it is.
    pub to: To,
    /// Makes it.
    pub build: fn(&Scene, Tamper<'_>) -> Vec<u8>,
    /// What can be changed.
    pub mutations: Vec<Mutation>,
}

/// For whom something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum To {
    /// The members.
    Members,
    /// The members, with the proposals of [`Scene::waiting`].
    Waiting,
    /// The members of a group that has external senders.
    Open,
    /// A client that joins by a Welcome.
    Joiner,
    /// A client that joins by a GroupInfo.
    Outsider,
    /// A member that is about to add the client of a KeyPackage.
    Inviter,
}

/// Which of the places that a mutation has is to be changed: one a time, until there is none left.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    wanted: usize,
    seen: usize,
    /// Whether something was changed.
    pub hit: bool,
    /// The leaves of those who can see it.
    pub victims: Vec<usize>,
    /// Somebody who has to name another row.
    pub instead: Option<(usize, &'static str)>,
}

impl Spot {
    /// To change the place with this number.
    pub fn number(wanted: usize) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Counts a place, and tells whether it is the one.
    pub fn here(&mut self) -> bool {
        let here = self.seen == self.wanted && !self.hit;
        self.seen += 1;
        self.hit |= here;
        here
    }

    /// For what has one place: the first that is asked about.
    pub fn once(&mut self) -> bool {
        self.seen == 0 && self.here()
    }

    /// One of `count` ways to change one place, the first that is asked about.
    pub fn choice(&mut self, count: usize) -> Option<usize> {
        if self.hit || self.seen > 0 || self.wanted >= count {
            return None;
        }
        self.hit = true;
        Some(self.wanted)
    }

    /// One of these.
    pub fn one_of<T: Clone>(&mut self, values: &[T]) -> Option<T> {
        self.choice(values.len()).map(|choice| values[choice].clone())
    }
}

/// A mutation that all have to refuse.
pub const fn all(name: &'static str, row: &'static str, how: How) -> Mutation {
    Mutation { name, row, who: Who::All, how }
}

/// A mutation that some can see.
pub const fn victims(name: &'static str, row: &'static str, how: How) -> Mutation {
    Mutation { name, row, who: Who::Victims, how }
}

/// One bit of it flipped, at each of its bytes.
pub fn flip(bytes: &mut [u8], spot: &mut Spot) {
    if let Some(at) = spot.choice(bytes.len()) {
        bytes[at] ^= 1 << (at % 8);
    }
}

/// None of it, one byte, one too few, one too many, and twice.
pub fn other_length(bytes: &mut Vec<u8>, spot: &mut Spot) {
    let length = bytes.len();
    match spot.choice(5) {
        Some(0) => bytes.clear(),
        Some(1) => bytes.truncate(1),
        Some(2) => bytes.truncate(length - 1),
        Some(3) => bytes.push(0),
        Some(_) => bytes.extend_from_within(..),
        None => {}
    }
}

/// Numbers of leaves that no tree here has.
pub const NO_LEAVES: [u32; 6] = [1 << 20, (1 << 24) - 1, 1 << 24, 1 << 30, 1 << 31, u32::MAX];

/// Writes `with` over the beginning of the place where `mark` stands in an encoding, which no type can hold any more.
pub fn patch(bytes: &mut [u8], mark: &[u8], with: &[u8]) {
    let at = bytes.windows(mark.len()).position(|window| window == mark).expect("the mark is there");
    bytes[at..at + with.len()].copy_from_slice(with);
}

/// What marks an extension that is to be like another one.
pub const TWICE: &[u8] = b"this stands here twice";
