//! What a conversation is: a list of steps, as data.
//!
//! A step says who does what. It does not say who follows: the runner knows who is in the group, so everybody who
//! is there handles each commit, and everybody whom a commit adds joins. Results of earlier steps (KeyPackages,
//! pre-shared keys, proposals, messages) are named by the step that made them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// Somebody who takes part; also the identity in its credential.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Actor(Cow<'static, str>);

/// The number of a step in its script, which names what the step made.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StepId(usize);

/// An extension of a group context (RFC 9420 §13.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension {
    /// Its code point.
    pub extension_type: u16,
    /// Its encoding.
    pub data: &'static [u8],
}

/// RFC 9420 §11.1: required_capabilities that require nothing.
pub const REQUIRED_CAPABILITIES: Extension = Extension { extension_type: 3, data: &[0, 0, 0] };
/// RFC 9420 §12.1.8.1: external_senders without a sender.
pub const NO_EXTERNAL_SENDERS: Extension = Extension { extension_type: 5, data: &[0] };

/// What is proposed (RFC 9420 §12.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Proposed {
    /// Add: the KeyPackage of that step.
    Add(StepId),
    /// Update of the proposer's own leaf.
    Update,
    /// Remove: the leaf of that actor.
    Remove(Actor),
    /// PreSharedKey: the external key of that step.
    ExternalPsk(StepId),
    /// PreSharedKey: resumption of that epoch of the same group, usage application.
    ResumptionPsk(u64),
    /// GroupContextExtensions: these and no others.
    GroupContextExtensions(Vec<Extension>),
    /// ReInit.
    ReInit(NextGroup),
}

/// What a ReInit asks for (RFC 9420 §11.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NextGroup {
    /// Another group ID, or the old one again.
    pub change_group_id: bool,
    /// Another suite that all clients of the case support, or the old one again.
    pub change_suite: bool,
    /// The extensions of the group.
    pub extensions: Vec<Extension>,
}

/// How a commit or the Welcome of a successor group is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Form {
    /// With a path even where none is needed (RFC 9420 §12.4).
    pub force_path: bool,
    /// The ratchet tree beside the Welcome instead of in it.
    pub external_tree: bool,
}

/// What a commit covers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// The proposals of these steps.
    pub by_reference: Vec<StepId>,
    /// Proposals that stand in the commit itself.
    pub by_value: Vec<Proposed>,
    /// How it is made.
    pub form: Form,
    /// Those whom it adds and who do not join: they lack a pre-shared key.
    pub absent: Vec<Actor>,
}

/// One thing that happens. Which calls it takes is for [`crate::play`] to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// `actor` makes a group and, if there are `members`, adds them in one commit.
    CreateGroup {
        /// Who makes it.
        actor: Actor,
        /// Who is in it besides.
        members: Vec<Actor>,
    },
    /// `actor` makes a KeyPackage.
    CreateKeyPackage {
        /// Whose it is.
        actor: Actor,
    },
    /// A new external pre-shared key for `actors`.
    StorePsk {
        /// Who gets it.
        actors: Vec<Actor>,
    },
    /// `actor` sends a proposal.
    Propose {
        /// Who.
        actor: Actor,
        /// What.
        what: Proposed,
    },
    /// `joiner` asks to be added, knowing `via`'s GroupInfo (RFC 9420 §12.1.8).
    ProposeAsNewMember {
        /// Who wants to join.
        joiner: Actor,
        /// The member who gives the GroupInfo.
        via: Actor,
    },
    /// `actor` proposes that `signer`, who is no member, may propose (RFC 9420 §12.1.8.1).
    AddExternalSigner {
        /// The member who proposes.
        actor: Actor,
        /// Who may propose afterwards.
        signer: Actor,
    },
    /// `signer` proposes from outside, knowing `via`'s GroupInfo and ratchet tree.
    ProposeFromOutside {
        /// Who proposes.
        signer: Actor,
        /// The member who gives the GroupInfo.
        via: Actor,
        /// What.
        what: Proposed,
    },
    /// `actor` commits, everybody else handles it, and those added join.
    Commit {
        /// The committer.
        actor: Actor,
        /// What it covers.
        plan: Plan,
    },
    /// `joiner` joins by an external commit, which everybody else handles (RFC 9420 §12.4.3.2).
    ExternalJoin {
        /// Who joins.
        joiner: Actor,
        /// The member who gives the GroupInfo.
        via: Actor,
        /// The external keys of these steps are in the commit.
        psks: Vec<StepId>,
        /// The joiner was a member and replaces its own leaf.
        remove_prior: bool,
        /// The ratchet tree beside the GroupInfo instead of in it.
        external_tree: bool,
    },
    /// `actor` encrypts an application message.
    Protect {
        /// The sender.
        actor: Actor,
        /// What is sent in the clear.
        authenticated_data: String,
        /// What is encrypted.
        plaintext: String,
    },
    /// `actor` reads the message of a step.
    Unprotect {
        /// The receiver.
        actor: Actor,
        /// The step that made it.
        message: StepId,
    },
    /// `actor` makes a subgroup of all members (RFC 9420 §11.3).
    Branch {
        /// Who makes it.
        actor: Actor,
        /// The subgroup's extensions.
        extensions: Vec<Extension>,
        /// How its Welcome is made.
        form: Form,
    },
    /// A ReInit is committed, and all go over to the next group (RFC 9420 §11.2).
    ReInit {
        /// The step with the proposal.
        proposal: StepId,
        /// Who commits it.
        committer: Actor,
        /// Who makes the next group and its Welcome.
        welcomer: Actor,
        /// How that Welcome is made.
        form: Form,
    },
}

/// A conversation with a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// The scenario that it is a variant of.
    pub scenario: &'static str,
    /// Which variant.
    pub name: String,
    /// What it shows, in a line.
    pub about: &'static str,
    steps: Vec<Step>,
}

impl Actor {
    /// The name, which is the identity too.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl StepId {
    /// The position in [`Script::steps`].
    pub fn index(self) -> usize {
        self.0
    }
}

impl Script {
    /// One without steps.
    pub fn new(scenario: &'static str, name: impl Into<String>, about: &'static str) -> Self {
        Self { scenario, name: name.into(), about, steps: Vec::new() }
    }

    /// `scenario/variant`, as `--scenario` takes it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.scenario, self.name)
    }

    /// What happens, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a step; the result names what it makes.
    pub fn step(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len().saturating_sub(1))
    }

    /// Everybody who takes part, in the order in which they appear.
    pub fn actors(&self) -> Vec<&Actor> {
        let mut first = BTreeMap::new();
        for actor in self.steps.iter().flat_map(Step::actors) {
            let next = first.len();
            first.entry(actor).or_insert(next);
        }
        let mut actors: Vec<_> = first.into_iter().collect();
        actors.sort_unstable_by_key(|(_, position)| *position);
        actors.into_iter().map(|(actor, _)| actor).collect()
    }

    /// [`Step::CreateGroup`].
    pub fn create_group<const N: usize>(
        &mut self,
        actor: &'static str,
        members: [&'static str; N],
    ) -> StepId {
        self.step(Step::CreateGroup { actor: actor.into(), members: members.map(Actor::from).into() })
    }

    /// [`Step::CreateKeyPackage`].
    pub fn key_package(&mut self, actor: impl Into<Actor>) -> StepId {
        self.step(Step::CreateKeyPackage { actor: actor.into() })
    }

    /// [`Step::StorePsk`].
    pub fn psk<const N: usize>(&mut self, actors: [&'static str; N]) -> StepId {
        self.step(Step::StorePsk { actors: actors.map(Actor::from).into() })
    }

    /// [`Step::Propose`].
    pub fn propose(&mut self, actor: impl Into<Actor>, what: Proposed) -> StepId {
        self.step(Step::Propose { actor: actor.into(), what })
    }

    /// [`Step::Commit`].
    pub fn commit(&mut self, actor: impl Into<Actor>, plan: Plan) -> StepId {
        self.step(Step::Commit { actor: actor.into(), plan })
    }

    /// [`Step::Protect`].
    pub fn protect(&mut self, actor: impl Into<Actor>, data: &str, plaintext: &str) -> StepId {
        let (authenticated_data, plaintext) = (data.to_owned(), plaintext.to_owned());
        self.step(Step::Protect { actor: actor.into(), authenticated_data, plaintext })
    }

    /// [`Step::Unprotect`].
    pub fn unprotect(&mut self, actor: impl Into<Actor>, message: StepId) -> StepId {
        self.step(Step::Unprotect { actor: actor.into(), message })
    }
}

impl Step {
    /// Those whom the step names, the one who acts first.
    pub fn actors(&self) -> Vec<&Actor> {
        match self {
            Self::CreateGroup { actor, members } => std::iter::once(actor).chain(members).collect(),
            Self::StorePsk { actors } => actors.iter().collect(),
            Self::ProposeAsNewMember { joiner, via } | Self::ExternalJoin { joiner, via, .. } => {
                vec![joiner, via]
            }
            Self::AddExternalSigner { actor, signer } => vec![actor, signer],
            Self::ProposeFromOutside { signer, via, .. } => vec![signer, via],
            Self::ReInit { committer, welcomer, .. } => vec![committer, welcomer],
            Self::CreateKeyPackage { actor }
            | Self::Propose { actor, .. }
            | Self::Commit { actor, .. }
            | Self::Protect { actor, .. }
            | Self::Unprotect { actor, .. }
            | Self::Branch { actor, .. } => vec![actor],
        }
    }
}

impl Plan {
    /// Proposals by reference, and nothing else.
    pub fn of<const N: usize>(by_reference: [StepId; N]) -> Self {
        Self { by_reference: by_reference.into(), ..Self::default() }
    }

    /// With these by value.
    #[must_use]
    pub fn with<const N: usize>(self, by_value: [Proposed; N]) -> Self {
        Self { by_value: by_value.into(), ..self }
    }

    /// With a path even where none is needed.
    #[must_use]
    pub fn forcing_path(mut self) -> Self {
        self.form.force_path = true;
        self
    }

    /// With the ratchet tree beside the Welcome.
    #[must_use]
    pub fn tree_outside(mut self) -> Self {
        self.form.external_tree = true;
        self
    }

    /// These are added and do not join.
    #[must_use]
    pub fn without<const N: usize>(self, absent: [&'static str; N]) -> Self {
        Self { absent: absent.map(Actor::from).into(), ..self }
    }
}

impl From<&'static str> for Actor {
    fn from(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl From<String> for Actor {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<&Self> for Actor {
    fn from(actor: &Self) -> Self {
        actor.clone()
    }
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for StepId {
    /// Counted from 1, as people do.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0.saturating_add(1))
    }
}

impl Display for Proposed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(key_package) => write!(f, "Add (KeyPackage of {key_package})"),
            Self::Update => f.write_str("Update"),
            Self::Remove(actor) => write!(f, "Remove {actor}"),
            Self::ExternalPsk(psk) => write!(f, "PreSharedKey (external, of {psk})"),
            Self::ResumptionPsk(epoch) => write!(f, "PreSharedKey (resumption, epoch {epoch})"),
            Self::GroupContextExtensions(extensions) => {
                write!(f, "GroupContextExtensions {}", Types(extensions))
            }
            Self::ReInit(NextGroup { change_group_id, change_suite, extensions }) => {
                f.write_str("ReInit (")?;
                f.write_str(if *change_suite { "another suite, " } else { "same suite, " })?;
                f.write_str(if *change_group_id { "another group ID, " } else { "same group ID, " })?;
                write!(f, "extensions {})", Types(extensions))
            }
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateGroup { actor, members } if members.is_empty() => {
                write!(f, "{actor} creates the group")
            }
            Self::CreateGroup { actor, members } => {
                write!(f, "{actor} creates the group and adds {}", Commas(members))
            }
            Self::CreateKeyPackage { actor } => write!(f, "{actor} makes a KeyPackage"),
            Self::StorePsk { actors } => write!(f, "{} store an external PSK", Commas(actors)),
            Self::Propose { actor, what } => write!(f, "{actor} proposes {what}"),
            Self::ProposeAsNewMember { joiner, via } => {
                write!(f, "{joiner} asks to be added, with {via}'s GroupInfo")
            }
            Self::AddExternalSigner { actor, signer } => {
                write!(f, "{actor} proposes {signer} as external sender")
            }
            Self::ProposeFromOutside { signer, via, what } => {
                write!(f, "{signer} proposes from outside, with {via}'s GroupInfo: {what}")
            }
            Self::Commit { actor, plan } => write!(f, "{actor} commits {plan}"),
            Self::ExternalJoin { joiner, via, psks, remove_prior, external_tree } => {
                write!(f, "{joiner} joins by an external commit, with {via}'s GroupInfo")?;
                if *remove_prior {
                    f.write_str(", replacing its leaf")?;
                }
                if !psks.is_empty() {
                    write!(f, ", PSKs of {}", Commas(psks))?;
                }
                f.write_str(if *external_tree { ", tree outside" } else { "" })
            }
            Self::Protect { actor, .. } => write!(f, "{actor} sends a message"),
            Self::Unprotect { actor, message } => write!(f, "{actor} reads the message of {message}"),
            Self::Branch { actor, extensions, form } => {
                write!(f, "{actor} branches a subgroup, extensions {}{form}", Types(extensions))
            }
            Self::ReInit { proposal, committer, welcomer, form } => {
                write!(f, "{committer} commits the ReInit of {proposal}, {welcomer} welcomes{form}")
            }
        }
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { by_reference, by_value, form, absent } = self;
        match (by_reference.as_slice(), by_value.as_slice()) {
            ([], []) => f.write_str("nothing")?,
            (references, []) => write!(f, "the proposals of {}", Commas(references))?,
            ([], values) => write!(f, "{}", Commas(values))?,
            (references, values) => {
                write!(f, "the proposals of {} and {}", Commas(references), Commas(values))?;
            }
        }
        write!(f, "{form}")?;
        if !absent.is_empty() {
            write!(f, " ({} can't join)", Commas(absent))?;
        }
        Ok(())
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.force_path { ", path forced" } else { "" })?;
        f.write_str(if self.external_tree { ", tree outside" } else { "" })
    }
}

/// A list as people write it.
struct Commas<'a, T>(&'a [T]);

impl<T: Display> Display for Commas<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Extensions by their code points.
struct Types<'a>(&'a [Extension]);

impl Display for Types<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.0.iter().map(|extension| extension.extension_type).collect();
        write!(f, "[{}]", Commas(&types))
    }
}
