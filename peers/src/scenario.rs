//! The named conversations.
//!
//! Each has three roles, so that both implementations of a pair appear as creator, committer and joiner. The creator
//! makes the group and adds the committer; what the scenario is about is mostly done by the committer, to the joiner.

use crate::{
    peer::{CipherSuite, CommitOptions, Extension, PRIVATE_USE_EXTENSION, Peer, WireFormat},
    world::{Change, Halt, Said, SeatId, World},
};

/// A named conversation.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// For the table and `--scenario`.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    play: fn(&mut Table<'_>) -> Result<(), Halt>,
}

/// Who plays which role.
#[derive(Clone, Copy)]
pub struct Roles<'a> {
    /// Makes the group and the first commit.
    pub creator: &'a dyn Peer,
    /// Joins first and then does what the scenario is about.
    pub committer: &'a dyn Peer,
    /// Joins last.
    pub joiner: &'a dyn Peer,
}

impl Scenario {
    /// Plays it. The error comes with the world's steps.
    ///
    /// # Errors
    /// [`Halt`] as the world gives it, and the steps up to there.
    pub fn play(
        &self,
        roles: Roles<'_>,
        suite: CipherSuite,
        handshake: WireFormat,
    ) -> Result<(), (Halt, Vec<String>)> {
        let mut world = World::new(suite, handshake, &[roles.creator, roles.committer, roles.joiner]);
        let played = Table::seat(&mut world, roles).and_then(|mut table| (self.play)(&mut table));
        played.map_err(|halt| (halt, world.steps().to_vec()))
    }
}

/// Every scenario, in the order of the table.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "join", about: "Add by value, Welcome with the tree", play: join },
    Scenario {
        name: "join-tree-outside",
        about: "Add by value, tree outside the Welcome",
        play: join_tree_outside,
    },
    Scenario { name: "join-many", about: "several joiners share a Welcome", play: join_many },
    Scenario { name: "join-separate", about: "several joiners, a Welcome for each", play: join_separate },
    Scenario { name: "add-no-path", about: "Add in a commit without and with a path", play: add_path },
    Scenario { name: "update", about: "commits without proposals, with a path, by everyone", play: update },
    Scenario { name: "remove", about: "Remove by value, and a new member in the blank leaf", play: remove },
    Scenario { name: "application", about: "everyone talks, in every epoch, with AAD", play: application },
    Scenario {
        name: "out-of-order",
        about: "five messages of an epoch in another order",
        play: out_of_order,
    },
    Scenario { name: "past-epoch", about: "messages that arrive after the epoch ended", play: past_epoch },
    Scenario {
        name: "past-epoch-departed",
        about: "the same from one whose leaf another has now",
        play: past_departed,
    },
    Scenario {
        name: "psk-external",
        about: "external PSKs, one and two, with a joiner too",
        play: psk_external,
    },
    Scenario { name: "psk-resumption", about: "the resumption PSK of a past epoch", play: psk_resumption },
    Scenario { name: "extensions", about: "GroupContextExtensions by value", play: extensions },
    Scenario {
        name: "extensions-not-required",
        about: "an extension that is supported, not required",
        play: not_required,
    },
    Scenario { name: "ref-add", about: "Add by reference", play: ref_add },
    Scenario { name: "ref-update", about: "Update by reference", play: ref_update },
    Scenario { name: "ref-remove", about: "Remove by reference", play: ref_remove },
    Scenario { name: "ref-psk", about: "external PSK by reference", play: ref_psk },
    Scenario { name: "ref-psk-resumption", about: "resumption PSK by reference", play: ref_psk_resumption },
    Scenario { name: "ref-extensions", about: "GroupContextExtensions by reference", play: ref_extensions },
    Scenario { name: "ref-and-value", about: "proposals both ways in one commit", play: ref_and_value },
    Scenario { name: "discard", about: "an own commit is dropped for another's", play: discard },
    Scenario { name: "external-join", about: "external commit, tree in the GroupInfo", play: external_join },
    Scenario {
        name: "external-tree-outside",
        about: "external commit, tree outside",
        play: external_tree_outside,
    },
    Scenario {
        name: "external-resync",
        about: "external commit that removes the earlier self",
        play: external_resync,
    },
    Scenario { name: "external-psk", about: "external commit with an external PSK", play: external_psk },
    Scenario { name: "reinit", about: "ReInit by value, same suite", play: reinit },
    Scenario {
        name: "reinit-other-suite",
        about: "ReInit by reference, to suite 2 or 1",
        play: reinit_other_suite,
    },
    Scenario { name: "branch", about: "a subgroup, tree in the Welcome and outside", play: branch },
];

/// The world with the three roles seated and the creator's group made with the committer in it.
struct Table<'w> {
    world: &'w mut World,
    creator: SeatId,
    committer: SeatId,
    joiner: SeatId,
    /// Plays the joiner's implementation once more.
    second: SeatId,
}

impl<'w> Table<'w> {
    fn seat(world: &'w mut World, roles: Roles<'_>) -> Result<Self, Halt> {
        let creator = world.seat("creator", roles.creator)?;
        let committer = world.seat("committer", roles.committer)?;
        let joiner = world.seat("joiner", roles.joiner)?;
        let second = world.seat("second", roles.joiner)?;
        world.create(creator)?;
        world.commit(creator, &[Change::Add(committer)], WITH_TREE)?;
        Ok(Self { world, creator, committer, joiner, second })
    }

    /// The committer adds the joiner: a group of three.
    fn three(&mut self) -> Result<(), Halt> {
        self.world.commit(self.committer, &[Change::Add(self.joiner)], WITH_TREE)
    }

    /// The three, or those of them who are left, receive messages that others of them sent.
    fn all_hear(&mut self, messages: &[Said]) -> Result<(), Halt> {
        for said in messages {
            for listener in [self.creator, self.committer, self.joiner] {
                if listener != said.by() && self.world.is_inside(listener) {
                    self.world.hear(listener, said)?;
                }
            }
        }
        Ok(())
    }

    fn everyone_commits(&mut self) -> Result<(), Halt> {
        for who in self.world.inside() {
            self.world.commit(who, &[], WITH_TREE)?;
        }
        self.world.everyone_talks()
    }
}

const WITH_TREE: CommitOptions =
    CommitOptions { force_path: false, tree_in_welcome: true, separate_welcomes: false };
const TREE_OUTSIDE: CommitOptions = CommitOptions { tree_in_welcome: false, ..WITH_TREE };
const WITH_PATH: CommitOptions = CommitOptions { force_path: true, ..WITH_TREE };

fn join(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.world.everyone_talks()?;
    t.everyone_commits()
}

fn join_tree_outside(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Add(t.joiner)], TREE_OUTSIDE)?;
    t.everyone_commits()?;
    t.world.commit(t.joiner, &[Change::Add(t.second)], CommitOptions { force_path: true, ..TREE_OUTSIDE })?;
    t.everyone_commits()
}

fn join_many(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Add(t.joiner), Change::Add(t.second)], WITH_PATH)?;
    t.everyone_commits()
}

fn join_separate(t: &mut Table<'_>) -> Result<(), Halt> {
    let separate = CommitOptions { separate_welcomes: true, ..WITH_TREE };
    t.world.commit(t.committer, &[Change::Add(t.joiner), Change::Add(t.second)], separate)?;
    t.everyone_commits()
}

fn add_path(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Add(t.joiner)], WITH_TREE)?;
    t.world.everyone_talks()?;
    t.world.commit(t.joiner, &[Change::Add(t.second)], WITH_PATH)?;
    t.everyone_commits()
}

fn update(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    for _ in 0..2 {
        t.everyone_commits()?;
    }
    t.world.commit(t.joiner, &[], WITH_PATH)?;
    t.world.everyone_talks()
}

fn remove(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.everyone_commits()?;
    t.world.commit(t.committer, &[Change::Remove(t.creator)], WITH_TREE)?;
    t.everyone_commits()?;
    t.world.commit(t.joiner, &[Change::Add(t.second)], WITH_TREE)?;
    t.everyone_commits()?;
    t.world.commit(t.second, &[Change::Remove(t.committer), Change::Remove(t.joiner)], WITH_TREE)?;
    t.world.everyone_talks()
}

fn application(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.everyone_talks()?;
    t.three()?;
    for _ in 0..3 {
        t.world.everyone_talks()?;
    }
    t.world.commit(t.joiner, &[], WITH_TREE)?;
    t.world.everyone_talks()
}

fn out_of_order(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    for speaker in t.world.inside() {
        let mut said = Vec::new();
        for number in 0..5 {
            said.push(t.world.say(speaker, &format!("number {number}"))?);
        }
        let listeners = t.world.others(speaker);
        for (shift, listener) in listeners.into_iter().enumerate() {
            // 3 0 2 4 1, and its rotation for the next listener.
            for step in 0..5 {
                let number = (3 + shift + 2 * step) % 5;
                if let Some(said) = said.get(number) {
                    t.world.hear(listener, said)?;
                }
            }
        }
    }
    t.everyone_commits()
}

fn past_epoch(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let mut late = Vec::new();
    for speaker in t.world.inside() {
        late.push(t.world.say(speaker, "late")?);
        late.push(t.world.say(speaker, "later")?);
    }
    late.reverse();
    let (now, afterwards) = late.split_at(late.len() / 2);
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.all_hear(now)?;
    t.world.commit(t.joiner, &[Change::Add(t.second)], WITH_TREE)?;
    t.everyone_commits()?;
    t.all_hear(afterwards)
}

fn past_departed(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let said = [t.world.say(t.creator, "late")?, t.world.say(t.creator, "later")?];
    let (now, afterwards) = said.split_at(1);
    t.world.commit(t.committer, &[Change::Remove(t.creator)], WITH_TREE)?;
    t.all_hear(now)?;
    // The newcomer takes the creator's leaf: what the creator had said is still the creator's.
    t.world.commit(t.joiner, &[Change::Add(t.second)], WITH_TREE)?;
    t.all_hear(afterwards)
}

fn psk_external(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.share_psk("first")?;
    t.world.share_psk("second")?;
    t.world.commit(t.committer, &[Change::ExternalPsk("first")], WITH_TREE)?;
    t.world.commit(t.creator, &[Change::ExternalPsk("first"), Change::ExternalPsk("second")], WITH_PATH)?;
    t.world.commit(t.committer, &[Change::ExternalPsk("second"), Change::Add(t.joiner)], WITH_TREE)?;
    t.world.commit(t.joiner, &[Change::ExternalPsk("first")], WITH_TREE)?;
    t.world.everyone_talks()
}

fn psk_resumption(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let epoch = t.world.epoch()?;
    t.everyone_commits()?;
    t.world.commit(t.committer, &[Change::ResumptionPsk(epoch)], WITH_TREE)?;
    t.world.commit(t.joiner, &[Change::ResumptionPsk(epoch + 1), Change::ResumptionPsk(epoch)], WITH_PATH)?;
    t.world.everyone_talks()
}

fn extensions(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Extensions(required(b"one"))], WITH_TREE)?;
    t.three()?;
    t.world.commit(t.joiner, &[Change::Extensions(required(b"two"))], WITH_TREE)?;
    t.everyone_commits()?;
    t.world.commit(t.creator, &[Change::Add(t.second)], WITH_TREE)?;
    t.world.commit(t.second, &[Change::Extensions(Vec::new())], WITH_TREE)?;
    t.world.everyone_talks()
}

fn not_required(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Extensions(private_use(b"one"))], WITH_TREE)?;
    t.three()?;
    t.world.propose(t.creator, Change::Extensions(private_use(b"two")))?;
    t.world.commit(t.joiner, &[], WITH_TREE)?;
    t.everyone_commits()
}

fn ref_add(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.propose(t.creator, Change::Add(t.joiner))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.propose(t.joiner, Change::Add(t.second))?;
    t.world.commit(t.joiner, &[], TREE_OUTSIDE)?;
    t.everyone_commits()
}

fn ref_update(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.everyone_commits()?;
    t.world.propose(t.creator, Change::Update)?;
    t.world.propose(t.joiner, Change::Update)?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.everyone_talks()?;
    t.world.propose(t.committer, Change::Update)?;
    t.world.commit(t.joiner, &[], WITH_TREE)?;
    t.everyone_commits()
}

fn ref_remove(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.everyone_commits()?;
    t.world.propose(t.joiner, Change::Remove(t.creator))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.everyone_commits()?;
    // To leave is to propose one's own removal (RFC 9420 §12.1.3).
    t.world.propose(t.joiner, Change::Remove(t.joiner))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.commit(t.committer, &[Change::Add(t.second)], WITH_TREE)?;
    t.everyone_commits()
}

fn ref_psk(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.share_psk("first")?;
    t.world.share_psk("second")?;
    t.three()?;
    t.world.propose(t.creator, Change::ExternalPsk("first"))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.propose(t.committer, Change::ExternalPsk("second"))?;
    t.world.commit(t.joiner, &[], WITH_PATH)?;
    t.world.everyone_talks()
}

fn ref_psk_resumption(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let epoch = t.world.epoch()?;
    t.everyone_commits()?;
    t.world.propose(t.creator, Change::ResumptionPsk(epoch))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.everyone_talks()
}

fn ref_extensions(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.world.propose(t.creator, Change::Extensions(required(b"by reference")))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.propose(t.committer, Change::Extensions(required(b"again")))?;
    t.world.commit(t.joiner, &[Change::Add(t.second)], WITH_TREE)?;
    t.everyone_commits()
}

fn ref_and_value(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.world.share_psk("first")?;
    t.everyone_commits()?;
    t.world.propose(t.joiner, Change::Update)?;
    t.world.propose(t.creator, Change::Add(t.second))?;
    t.world.propose(t.joiner, Change::ExternalPsk("first"))?;
    let by_value = [Change::Remove(t.creator), Change::Extensions(required(b"both ways"))];
    t.world.commit(t.committer, &by_value, WITH_TREE)?;
    t.everyone_commits()
}

fn discard(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.world.propose(t.joiner, Change::Update)?;
    t.world.discard_commit(t.creator)?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.discard_commit(t.joiner)?;
    t.world.commit(t.creator, &[], WITH_TREE)?;
    t.everyone_commits()
}

fn external_join(t: &mut Table<'_>) -> Result<(), Halt> {
    t.everyone_commits()?;
    t.world.external_join(t.joiner, t.committer, true, &[])?;
    t.world.external_join(t.second, t.joiner, true, &[])?;
    t.everyone_commits()
}

fn external_tree_outside(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.commit(t.committer, &[Change::Extensions(required(b"seen"))], WITH_TREE)?;
    t.world.external_join(t.joiner, t.committer, false, &[])?;
    t.everyone_commits()
}

fn external_resync(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.everyone_commits()?;
    t.world.external_join(t.joiner, t.committer, true, &[])?;
    t.everyone_commits()?;
    t.world.external_join(t.creator, t.joiner, false, &[])?;
    t.everyone_commits()
}

fn external_psk(t: &mut Table<'_>) -> Result<(), Halt> {
    t.world.share_psk("first")?;
    t.world.external_join(t.joiner, t.committer, true, &["first"])?;
    t.everyone_commits()
}

fn reinit(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let suite = t.world.suite();
    t.world.commit(t.committer, &[Change::ReInit(suite)], WITH_TREE)?;
    t.world.reinit(t.creator, suite, true)?;
    t.everyone_commits()
}

fn reinit_other_suite(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    let suite = if t.world.suite() == CipherSuite(2) { CipherSuite(1) } else { CipherSuite(2) };
    t.world.propose(t.joiner, Change::ReInit(suite))?;
    t.world.commit(t.committer, &[], WITH_TREE)?;
    t.world.reinit(t.committer, suite, false)?;
    t.everyone_commits()
}

fn branch(t: &mut Table<'_>) -> Result<(), Halt> {
    t.three()?;
    t.world.commit(t.creator, &[Change::Add(t.second)], WITH_TREE)?;
    t.world.branch(t.committer, &[t.second, t.joiner], true)?;
    t.everyone_commits()?;
    t.world.branch(t.joiner, &[t.committer], false)?;
    t.everyone_commits()
}

/// An extension that every member supports and no library knows.
fn private_use(data: &[u8]) -> Vec<Extension> {
    vec![Extension { extension_type: PRIVATE_USE_EXTENSION, data: data.to_vec() }]
}

/// The same, after a `required_capabilities` that asks for it (RFC 9420 §11.1).
pub(crate) fn required(data: &[u8]) -> Vec<Extension> {
    let [high, low] = PRIVATE_USE_EXTENSION.to_be_bytes();
    // extension_types<V>: the one; proposal_types<V>: none; credential_types<V>: basic.
    let mut extensions = vec![Extension { extension_type: 3, data: vec![2, high, low, 0, 2, 0, 1] }];
    extensions.extend(private_use(data));
    extensions
}
