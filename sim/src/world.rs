//! A world: clients, groups, a delivery service, and what is done in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use hushwood::credential::{Credential, CredentialCheck, CredentialValidator, Verdict};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::group::{CommitPlan, Group, NewGroup, NewProposal, Status};
use hushwood::policy::{Policy, Timestamp};
use hushwood::proposal::ProposalType;
use hushwood::tree::Supported;
use hushwood_codec::Encode;
use hushwood_crypto::{CryptoProvider, Secret, Signer, SoftwareSigner};
use test_support::recording;

use crate::action::{Action, Kind};
use crate::checks::{Check, Epochs, Facts, Failure, Lineage, Seals, hash_of};
use crate::client::{Attempt, Character, Client, Core, Dice, Seat};
use crate::delivery::Room;
use crate::hostile::Forger;

/// What a world is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// Everything follows from it.
    pub seed: u64,
    /// How many clients there may be at once.
    pub members: usize,
    /// Without cryptography.
    pub fake_crypto: bool,
    /// How many the group has when the first action is done; by default the seed says it.
    pub founders: Option<usize>,
}

/// What has happened in a world.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Actions that did something.
    pub steps: u64,
    /// Actions for which there was nothing to do.
    pub idle: u64,
    /// Epochs that members have reached.
    pub epochs: u64,
    /// Messages that were said.
    pub said: u64,
    /// Messages that were opened.
    pub opened: u64,
    /// Operations that met a fault.
    pub faults: u64,
    /// What was refused, by those who had to.
    pub refused: u64,
    /// External commits that were taken.
    pub joined: u64,
    /// Encryptions whose keys and nonces were compared.
    pub seals: u64,
    /// Clients, in the end.
    pub clients: u64,
    /// Groups, in the end.
    pub groups: u64,
    /// Members that agreed after healing.
    pub healed: u64,
}

/// An application message as its sender meant it.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub(crate) client: usize,
    pub(crate) leaf: u32,
    pub(crate) lineage: Lineage,
    pub(crate) epoch: u64,
}

/// What actions are done in.
pub struct World {
    /// What it is made of.
    pub config: Config,
    /// Its clients.
    pub clients: Vec<Client>,
    /// Its groups.
    pub rooms: Vec<Room>,
    /// The epochs that trusted members have reached.
    pub epochs: Epochs,
    /// What trusted members have encrypted.
    pub seals: Seals,
    /// What has happened.
    pub totals: Totals,
    /// What was said, by number.
    pub said: Vec<Said>,
    /// Makes what hostile members send beside what they can make by the library's own operations.
    pub forger: Option<Box<dyn Forger>>,
    /// Which clients have made a KeyPackage, by its reference: a copy of a client has the same.
    pub(crate) owners: HashMap<Vec<u8>, Vec<usize>>,
    pub(crate) provider: CryptoProvider,
    pub(crate) now: Timestamp,
    pub(crate) moderator: SoftwareSigner,
    /// Clients that are in a group, some time ago at least.
    pub(crate) seated: Vec<usize>,
    /// The clients that the action is about.
    pub(crate) touched: Vec<usize>,
    /// Those of the action before it.
    seen: Vec<usize>,
    /// What was refused last, for people.
    pub(crate) last_refusal: String,
    /// No faults, no harm, nothing lost.
    pub(crate) healing: bool,
    /// What was done for that.
    pub(crate) healed: u64,
}

/// An extension, and a proposal type, that all clients support.
pub(crate) const EXTENSION: ExtensionType = ExtensionType(0xF001);
pub(crate) const PROPOSAL: ProposalType = ProposalType(0xF002);
/// External pre-shared keys.
pub(crate) const PSKS: usize = 4;
/// Members that have read their Welcome, at most: each has the whole tree. Others sleep.
const AWAKE: usize = 192;
/// How often all members are compared.
const EVERY: u64 = 1000;

static REAL: LazyLock<CryptoProvider> = LazyLock::new(|| recording::recorded(&hushwood_aws_lc::PROVIDER));
static FAKE: LazyLock<CryptoProvider> =
    LazyLock::new(|| recording::recorded(&test_support::fake_crypto::PROVIDER));

/// Judges by names: everybody is who they say they are, and some are not wanted.
pub struct Judge;

impl CredentialValidator for Judge {
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        match &check.new.credential {
            Credential::Basic { identity } if identity.starts_with(b"unwanted") => Verdict::Refuse,
            _ => Verdict::Accept,
        }
    }
}

/// Does a list of actions in a new world, and heals it.
///
/// # Errors
/// What the checks find.
pub fn run(config: Config, actions: &[Action]) -> Result<Totals, Failure> {
    run_telling(config, actions, &mut |_, _| ())
}

/// The same, and tells after each action.
///
/// # Errors
/// What the checks find.
pub fn run_telling(
    config: Config,
    actions: &[Action],
    tell: &mut dyn FnMut(&World, &Action),
) -> Result<Totals, Failure> {
    let mut world = World::new(config)?;
    for action in actions {
        let done = world.step(action);
        tell(&world, action);
        done?;
    }
    world.heal().map_err(|failure| {
        let what = format!("{} (last refusal: {})", failure.what, world.last_refusal);
        Failure { what, ..failure }
    })?;
    Ok(world.finished())
}

impl World {
    /// A world with a group of some members, who have not all joined yet.
    ///
    /// # Errors
    /// What the checks find.
    pub fn new(config: Config) -> Result<Self, Failure> {
        let provider = if config.fake_crypto { *FAKE } else { *REAL };
        recording::take();
        recording::deceive(None);
        let mut dice = Dice::new(config.seed, u64::MAX);
        let moderator =
            SoftwareSigner::generate(provider.suites[0], &mut dice).expect("the dice do not fail");
        let mut world = Self {
            config,
            clients: Vec::new(),
            rooms: Vec::new(),
            epochs: Epochs::default(),
            seals: Seals::default(),
            totals: Totals::default(),
            said: Vec::new(),
            forger: None,
            owners: HashMap::new(),
            provider,
            now: Timestamp(1_800_000_000),
            moderator,
            seated: Vec::new(),
            touched: Vec::new(),
            seen: Vec::new(),
            last_refusal: String::new(),
            healing: false,
            healed: 0,
        };
        world.found()?;
        Ok(world)
    }

    /// The first group.
    fn found(&mut self) -> Result<(), Failure> {
        let most = u64::try_from(self.config.members).expect("a number");
        let drawn = 1 + hash_of(&("founders", self.config.seed)) % most.div_ceil(2).max(1);
        let founders = self.config.founders.unwrap_or(usize::try_from(drawn).expect("a number"));
        let creator = self.birth(u64::MAX - 1)?;
        let policy = self.policy(creator);
        let extensions = self.extensions(0);
        let client = &mut self.clients[creator];
        let supported = supported(&self.provider);
        let settings = NewGroup {
            policy,
            extensions,
            ..NewGroup::new(client.core.suite(), credential(creator), supported)
        };
        let now = self.now;
        let made = client.core.attempt(&mut self.seals, |core| {
            let Core { signers, dice, .. } = core;
            Group::create(settings, &signers[0], now, dice)
        })?;
        let Attempt::Done(group) = made else {
            return Err(Failure::new(Check::Bug, "no group is created"));
        };
        let lineage = Lineage::founded(group.group_id());
        self.rooms.push(Room::new(&group, lineage, None));
        self.clients[creator].seats.push(Seat::new(0, group, lineage, 0));
        self.seated.push(creator);
        let mut proposals = Vec::new();
        for number in 1..founders {
            let client = self.birth(u64::MAX - 1 - u64::try_from(number).expect("a number"))?;
            if let Some(valid) = self.invitable(client, 0)? {
                proposals.push(NewProposal::Add(Box::new(valid)));
            }
        }
        if !proposals.is_empty() {
            let plan = CommitPlan { proposals, ..CommitPlan::default() };
            self.commit(creator, 0, plan)?;
            self.send(creator, 0)?;
            self.settle(creator, 0, 0)?;
            self.send(creator, 0)?;
        }
        self.check_touched()
    }

    /// A client is born.
    pub(crate) fn birth(&mut self, action: u64) -> Result<usize, Failure> {
        let number = self.clients.len();
        let mut dice = Dice::new(self.config.seed, action ^ 0xb1b1_0000_0000);
        let signer =
            SoftwareSigner::generate(self.provider.suites[0], &mut dice).expect("the dice do not fail");
        let character = if number % 16 == 7 { Character::Hostile } else { Character::Honest };
        let mut client = Client::new(Core::new(number, self.provider, vec![signer], dice), character);
        for psk in 0..PSKS {
            // Some do not have all keys, and get them when they need them.
            if !(number + psk).is_multiple_of(7) {
                keep_psk(&mut client.core, &mut self.seals, psk)?;
            }
        }
        self.clients.push(client);
        Ok(number)
    }

    /// The policy of a client in all its groups.
    pub(crate) fn policy(&self, client: usize) -> Policy {
        let hostile = self.clients[client].character == Character::Hostile;
        Policy {
            encrypt_handshakes: !client.is_multiple_of(3),
            ratchet_tree_extension: !client.is_multiple_of(4),
            check_lifetime_on_add: !hostile,
            path_optional_proposals: vec![PROPOSAL],
            ..Policy::default()
        }
    }

    /// The extensions of a group, in one of several versions.
    pub(crate) fn extensions(&self, version: u32) -> Extensions {
        let mut extensions = Extensions::new();
        let moderator = hushwood::extension::ExternalSender {
            signature_key: self.moderator.public_key().clone(),
            credential: Credential::basic("moderator"),
        };
        let senders = vec![moderator].to_bytes().expect("short");
        if version % 4 != 3 {
            extensions.set(ExtensionType::EXTERNAL_SENDERS, senders);
        }
        extensions.set(EXTENSION, version.to_be_bytes().to_vec());
        extensions
    }

    /// Does one action, and checks what it has touched.
    ///
    /// # Errors
    /// What the checks find.
    pub fn step(&mut self, action: &Action) -> Result<(), Failure> {
        self.touched.clear();
        let result = self.act(action).and_then(|did| {
            let (steps, idle) = (u64::from(did), u64::from(!did));
            self.totals.steps += steps;
            self.totals.idle += idle;
            self.check_touched()?;
            match (self.totals.steps + self.totals.idle).is_multiple_of(EVERY) {
                true => self.check_all(),
                false => Ok(()),
            }
        });
        result.map_err(|failure| Failure { action: Some(action.number), ..failure })
    }

    fn act(&mut self, action: &Action) -> Result<bool, Failure> {
        match action.kind {
            Kind::Deliver => self.deliver(action),
            Kind::Say => self.say_something(action),
            Kind::Commit => self.commit_something(action),
            Kind::Propose => self.propose_something(action),
            Kind::Send => self.send_all(action),
            Kind::Settle => self.settle_something(action),
            Kind::Welcome => self.read_mail(action),
            Kind::Join => self.join(action),
            Kind::Restart => self.restart(action),
            Kind::Fault => Ok(self.arm(action)),
            Kind::Batch => self.batch(action),
            Kind::Publish => self.publish(action),
            Kind::Grow => self.grow(action),
            Kind::Outside => self.outside(action),
            Kind::Hostile => self.harm(action),
            Kind::Snapshot => Ok(self.snapshot(action)),
            Kind::Restore => Ok(self.restore(action)),
            Kind::Misbehave => Ok(self.misbehave(action)),
            Kind::Clock => {
                self.now.0 += u64::from(action.which % 86_400);
                Ok(true)
            }
            Kind::Policy => self.change_policy(action),
            Kind::Forget => self.forget(action),
        }
    }

    /// A seat that is live and up, after it was opened again if it was not.
    pub(crate) fn seat(&mut self, action: &Action) -> Result<Option<(usize, usize)>, Failure> {
        let Some(client) = pick(&self.seated, action.who).copied() else { return Ok(None) };
        let live = |seat: &Seat| !seat.over;
        let seats = &self.clients[client].seats;
        let live: Vec<_> = (0..seats.len()).filter(|index| live(&seats[*index])).collect();
        let Some(seat) = pick(&live, action.which >> 16).copied() else {
            self.seated.retain(|other| *other != client);
            return Ok(None);
        };
        self.ready(client, seat, action.number)?;
        Ok(Some((client, seat)))
    }

    /// Opens a seat that is down.
    pub(crate) fn ready(&mut self, client: usize, seat: usize, action: u64) -> Result<(), Failure> {
        self.touch(client);
        let Client { core, seats, .. } = &mut self.clients[client];
        core.roll(self.config.seed, action);
        if seats[seat].group.is_none() {
            seats[seat].open(core)?;
            self.noticed(client, seat);
        }
        Ok(())
    }

    /// What a member sees that its group has come to.
    pub(crate) fn noticed(&mut self, client: usize, seat: usize) {
        let seat = &mut self.clients[client].seats[seat];
        match seat.group.as_ref().map(Group::status) {
            Some(Status::Removed) => seat.over = true,
            Some(Status::Reinitialised(_)) => {
                let branch = &mut self.rooms[seat.room].branches[seat.branch];
                // Not where that was by a commit that the others have refused.
                branch.ended |= branch.head == seat.lineage;
            }
            Some(Status::Active) | None => {}
        }
    }

    pub(crate) fn touch(&mut self, client: usize) {
        if !self.touched.contains(&client) {
            self.touched.push(client);
        }
    }

    /// For people: where the members are that the last action was about.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        for client in &self.seen {
            for seat in &self.clients[*client].seats {
                let epoch =
                    seat.group.as_ref().map_or_else(|| "down".into(), |group| group.epoch().to_string());
                let (room, branch) = (seat.room, seat.branch);
                let state = match (seat.over, seat.stuck) {
                    (true, _) => " over",
                    (false, true) => " stuck",
                    (false, false) => "",
                };
                words.push(format!("client {client} in group {room}.{branch}: epoch {epoch}{state}"));
            }
        }
        let Totals { refused, opened, joined, .. } = self.totals;
        let last = &self.last_refusal;
        format!("{}; opened {opened}, refused {refused} ({last}), joined {joined}", words.join(", "))
    }

    /// How many have read their Welcome.
    pub(crate) fn is_full(&self) -> bool {
        self.seated.len() >= AWAKE
    }

    pub(crate) fn check_touched(&mut self) -> Result<(), Failure> {
        self.seen = std::mem::take(&mut self.touched);
        for client in self.seen.clone() {
            self.check_client(client)?;
        }
        Ok(())
    }

    /// RFC 9420 §8.7: members of an epoch agree on it.
    fn check_client(&mut self, client: usize) -> Result<(), Failure> {
        let client = &self.clients[client];
        if !client.is_trusted() {
            return Ok(());
        }
        for seat in client.seats.iter().filter(|seat| !seat.over) {
            if let Some(facts) = seat.group.as_ref().and_then(Facts::of) {
                self.epochs.reached(seat.lineage, facts)?;
            }
        }
        Ok(())
    }

    /// All members, and what they would find after a restart.
    ///
    /// # Errors
    /// What the checks find.
    pub fn check_all(&mut self) -> Result<(), Failure> {
        for number in 0..self.clients.len() {
            self.check_client(number)?;
            let Client { core, seats, .. } = &mut self.clients[number];
            for seat in seats.iter_mut().filter(|seat| !seat.over) {
                seat.open(core)?;
            }
            self.check_client(number)?;
        }
        Ok(())
    }

    /// What has happened, at the end.
    #[must_use]
    pub fn finished(&self) -> Totals {
        let number = |count: usize| u64::try_from(count).expect("a number");
        Totals {
            epochs: number(self.epochs.len()),
            said: number(self.said.len()),
            seals: number(self.seals.len()),
            clients: number(self.clients.len()),
            groups: number(self.rooms.len()),
            faults: self.clients.iter().map(|client| client.core.steps.1).sum(),
            ..self.totals
        }
    }
}

/// One of several, by a number that was drawn.
pub(crate) fn pick<T>(items: &[T], which: u32) -> Option<&T> {
    let which = usize::try_from(which).expect("a number");
    items.get(which.checked_rem(items.len())?)
}

/// Who a client says it is.
pub(crate) fn credential(client: usize) -> Credential {
    Credential::basic(format!("client {client}"))
}

/// The client that a credential names.
pub(crate) fn named(credential: &Credential) -> Option<usize> {
    let Credential::Basic { identity } = credential else { return None };
    std::str::from_utf8(identity).ok()?.strip_prefix("client ")?.parse().ok()
}

/// What all clients support.
pub(crate) fn supported(provider: &CryptoProvider) -> Supported {
    let mut supported = Supported::new(provider);
    supported.extensions.push(EXTENSION);
    supported.proposals.push(PROPOSAL);
    supported
}

/// The name of an external pre-shared key.
pub(crate) fn psk_id(psk: usize) -> Vec<u8> {
    format!("psk {psk}").into_bytes()
}

/// Gives a client an external pre-shared key, which is the same for all.
pub(crate) fn keep_psk(core: &mut Core, seals: &mut Seals, psk: usize) -> Result<(), Failure> {
    let key = Secret::copy_of(&[u8::try_from(psk).expect("a few"); 32]);
    core.attempt(seals, |_| hushwood::group::client::keep_psk(&psk_id(psk), &key))?;
    Ok(())
}
