//! Plays mutations to honest clients, and says what has become of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hushwood::error::Error;
use hushwood_crypto::CryptoProvider;
use test_support::actor::Actor;

use crate::at::{At, nothing};
use crate::honest::{State, accept, look};
use crate::mutation::{Family, Mutation, Spot, To, Who};
use crate::scene::{Scene, copy};

/// A group, and where in it the hostile member is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The provider of all: real cryptography, or none.
    pub provider: CryptoProvider,
    /// How many members.
    pub size: usize,
    /// The hostile member's leaf.
    pub position: usize,
    /// What the tree looks like.
    pub shape: Shape,
}

/// What the tree looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// All parents have keys.
    Full,
    /// Nobody but the hostile member has made a path.
    Sparse,
    /// Some parents have keys, one member has come after them, and one has gone.
    Holed,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Sparse, Self::Holed];
}

/// What has become of mutations.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mutations that had a place, by name, with the number of places.
    pub mutations: BTreeMap<String, u64>,
    /// Groups and places of the hostile member in them.
    pub positions: u64,
    /// Things made by the hostile member and looked at by an honest client.
    pub cases: u64,
    /// Of these, those that honest clients can't know of, and accept.
    pub unseen: u64,
    /// Valid things that were accepted, after a refusal or by themselves.
    pub controls: u64,
    /// Refusals, by the row that was asked for.
    pub rows: BTreeMap<&'static str, u64>,
    /// What was not as it should be.
    pub failures: Vec<String>,
}

impl Report {
    /// Takes another one in.
    pub fn add(&mut self, other: Self) {
        for (name, places) in other.mutations {
            *self.mutations.entry(name).or_default() += places;
        }
        for (row, count) in other.rows {
            *self.rows.entry(row).or_default() += count;
        }
        self.positions += other.positions;
        self.cases += other.cases;
        self.unseen += other.unseen;
        self.controls += other.controls;
        self.failures.extend(other.failures);
    }

    /// In a few lines.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut text = format!(
            "{} mutations, {} positions, {} cases: {} refused, {} that could not be seen; {} controls accepted; {} failures\n",
            self.mutations.len(),
            self.positions,
            self.cases,
            self.cases - self.unseen,
            self.unseen,
            self.controls,
            self.failures.len()
        );
        for (row, count) in &self.rows {
            write!(text, "{row} {count}  ").expect("text is written");
        }
        text
    }
}

/// Plays all mutations of these families in one group.
#[must_use]
pub fn play(settings: &Settings, families: &[Family]) -> Report {
    let scene = Scene::new(settings);
    let mut report = Report { positions: 1, ..Report::default() };
    for family in families {
        play_family(settings, &scene, family, &mut report);
    }
    report
}

/// A client that something is shown to, and whether it has a place in the tree.
type Receiver<'s> = (Option<usize>, &'s Actor);

fn receivers(scene: &Scene, to: To) -> Vec<Receiver<'_>> {
    let world = match to {
        To::Members => &scene.plain,
        To::Waiting => &scene.waiting,
        To::Open => &scene.open,
        To::Joiner | To::Outsider | To::Inviter => return vec![(None, &scene.joiner)],
    };
    let place = |actor: &Actor| usize::try_from(actor.leaf().number()).expect("a leaf");
    world.honest.iter().map(|actor| (Some(place(actor)), actor)).collect()
}

fn play_family(settings: &Settings, scene: &Scene, family: &Family, report: &mut Report) {
    let receivers = receivers(scene, family.to);
    let states: Vec<_> = receivers.iter().map(|(_, actor)| State::of(actor)).collect();
    let genuine = (family.build)(scene, &mut nothing);
    let fail = |report: &mut Report, what: &str, why: String| {
        let Settings { size, position, shape, .. } = settings;
        report
            .failures
            .push(format!("{}: {what} ({size} members, leaf {position}, {shape:?}): {why}", family.name));
    };
    for (place, actor) in &receivers {
        report.controls += 1;
        if let Err(error) = look(actor, family.to, &genuine) {
            fail(report, "control", format!("{place:?} refuses: {error:?}"));
            return;
        }
    }
    for mutation in &family.mutations {
        for number in 0.. {
            let mut spot = Spot::number(number);
            let message = (family.build)(scene, &mut |at: At<'_>| (mutation.how)(at, scene, &mut spot));
            if !spot.hit {
                break;
            }
            *report.mutations.entry(format!("{}: {}", family.name, mutation.name)).or_default() += 1;
            for ((place, actor), state) in receivers.iter().zip(&states) {
                report.cases += 1;
                let said = catch_unwind(AssertUnwindSafe(|| look(actor, family.to, &message)));
                let verdict = match said {
                    Ok(said) => verdict(mutation, &spot, *place, said, report),
                    Err(_) => Err("panic".to_owned()),
                };
                if let Err(why) = verdict {
                    fail(report, mutation.name, format!("{place:?}, place {number}: {why}"));
                    continue;
                }
                // R0: nothing has changed.
                if State::of(actor) != *state {
                    fail(report, mutation.name, format!("{place:?}: its state has changed"));
                }
                // Nor with one who goes on to accept what it can.
                let sees =
                    mutation.who == Who::All || place.is_some_and(|place| spot.victims.contains(&place));
                if number == 0 && sees {
                    let mut copy = copy(actor);
                    if accept(&mut copy, family.to, &message).is_ok() || State::of(&copy) != *state {
                        fail(report, mutation.name, format!("{place:?}: accepting it has changed something"));
                    }
                }
                // And what is right is still taken.
                report.controls += 1;
                if let Err(error) = look(actor, family.to, &genuine) {
                    fail(report, mutation.name, format!("{place:?}: the control after it: {error:?}"));
                }
                if let Err(error) = heard(scene, family.to, *place, actor) {
                    fail(report, mutation.name, format!("{place:?}: what was said before: {error:?}"));
                }
            }
        }
    }
    // For good, and with a state that is read back.
    for (place, actor) in receivers {
        let mut copy = copy(actor);
        copy.reload = true;
        report.controls += 1;
        if let Err(error) = accept(&mut copy, family.to, &genuine) {
            fail(report, "control", format!("{place:?} does not accept: {error:?}"));
        }
    }
}

/// What a member has said before is still opened.
fn heard(scene: &Scene, to: To, place: Option<usize>, actor: &Actor) -> Result<(), Error> {
    let world = match to {
        To::Members => &scene.plain,
        To::Open => &scene.open,
        To::Waiting | To::Joiner | To::Outsider | To::Inviter => return Ok(()),
    };
    let speaker = usize::try_from(world.honest[world.speaker].leaf().number()).expect("a leaf");
    match place == Some(speaker) {
        true => Ok(()),
        false => look(actor, to, &world.said),
    }
}

/// Whether a client has said what it had to.
fn verdict(
    mutation: &Mutation,
    spot: &Spot,
    place: Option<usize>,
    said: Result<(), Error>,
    report: &mut Report,
) -> Result<(), String> {
    let row = spot.instead.filter(|(who, _)| place == Some(*who)).map_or(mutation.row, |(_, row)| row);
    let sees = match mutation.who {
        Who::All => true,
        Who::Victims => place.is_some_and(|place| spot.victims.contains(&place)),
    };
    match (sees, said) {
        (true, Ok(())) => Err(format!("accepted, where {row} is broken")),
        (
            true,
            Err(error @ (Error::Violation(_) | Error::Decode(_) | Error::Unsupported(_) | Error::NotNow(_))),
        ) => {
            if error.requirements().iter().any(|named| named.0 == row) {
                *report.rows.entry(row).or_default() += 1;
                return Ok(());
            }
            Err(format!("{error:?} does not name {row}"))
        }
        (true, Err(error)) => Err(format!("whose fault? {error:?}")),
        (false, Ok(())) => {
            report.unseen += 1;
            Ok(())
        }
        (false, Err(error)) => Err(format!("refused by one who can't see it: {error:?}")),
    }
}
