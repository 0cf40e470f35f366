//! Old copies of a store that are put back.

use test_support::random::SeededRandom;

use crate::client::Client;
use crate::command::{Answer, Command, Trouble};
use crate::disk::{ANCHOR, DiskOptions, SqliteDisk};
use crate::failure::{Failure, Kind};
use crate::images::{Disk, Files, Loss, Outage, outages, write};
use crate::run::{Place, Recorded};
use crate::scenarios::Scenario;
use crate::{ME, PROGRESS, provider};

/// What became of the anchor while the store was put back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Survives {
    /// It is as it was.
    Yes,
    /// It is gone.
    No,
    /// It is damaged.
    Damaged,
    /// It was put back with the store: nobody can notice.
    PutBack,
}

impl Survives {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Yes, Self::No, Self::Damaged, Self::PutBack];
}

/// Puts back the copies that were made at these places of a recorded run, when it is over, and opens them: how many were
/// opened or refused.
///
/// # Errors
/// [`Kind::Accepted`] if one was opened that had to be refused; [`Kind::Liveness`] if one was refused that is no older.
pub fn put_back(recorded: &Recorded, scenario: &Scenario, chosen: &[Outage]) -> Result<u64, Failure> {
    let (mut disk, mut at, mut count) = (Disk::default(), 0, 0);
    let mut random = SeededRandom::new(1);
    let mut whole = Disk::default();
    recorded.events.iter().for_each(|event| whole.apply(event));
    let last = whole.image(Loss::Nothing, &mut random);
    let newest = opened(&last, scenario).map_err(|trouble| {
        Failure::new(Kind::Liveness, format!("the newest state is refused: {trouble:?}"))
    })?;
    for outage in chosen {
        while at < outage.event {
            disk.apply(&recorded.events[at]);
            at += 1;
        }
        let copy = disk.image(Loss::Nothing, &mut random);
        // What was not a store yet is none.
        let Ok(then) = opened(&copy, scenario) else { continue };
        for survives in Survives::ALL {
            let mut files = copy.clone();
            match survives {
                Survives::Yes => files.insert(ANCHOR.into(), last[ANCHOR].clone()),
                Survives::No => files.remove(ANCHOR),
                Survives::Damaged => files.insert(ANCHOR.into(), vec![7; 9000]),
                Survives::PutBack => None,
            };
            let found = opened(&files, scenario);
            let older = then < newest;
            let expected = match survives {
                Survives::Yes if older => Err("RolledBack"),
                Survives::No | Survives::Damaged if then > 0 => Err("AnchorMissing"),
                _ => Ok(then),
            };
            count += 1;
            let right = match (&found, expected) {
                (Ok(generation), Ok(expected)) => *generation == expected,
                (Err(Trouble::NotOpened(error)), Err(expected)) => error == expected,
                _ => false,
            };
            if !right {
                let kind = if found.is_ok() { Kind::Accepted } else { Kind::Liveness };
                let what = format!("{outage:?}, anchor {survives:?}: {found:?}, not {expected:?}");
                return Err(Failure::new(kind, what));
            }
        }
    }
    Ok(count)
}

/// One of so many places for copies.
#[must_use]
pub fn places(recorded: &Recorded, one_of: usize) -> Vec<Outage> {
    outages(recorded).into_iter().step_by(one_of.max(1)).collect()
}

/// How many steps a store has taken, if it opens.
fn opened(files: &Files, scenario: &Scenario) -> Result<u64, Trouble> {
    let place = Place::new();
    write(files, &place.disk());
    if !files.contains_key("store") {
        return Err(Trouble::NotOpened("there is none".into()));
    }
    let options = DiskOptions { ..place.options(scenario, 99) };
    let mut client = Client::start(ME, PROGRESS, provider(), SqliteDisk::open(options)?)?;
    match client.ask(&Command::view()) {
        Answer::Done(view) => Ok(view.generation),
        other => Err(Trouble::NotOpened(format!("{other:?}"))),
    }
}
