//! Groups of honest members with one that is not, at any place of the tree.

use std::collections::BTreeMap;

use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::framing::MlsMessage;
use hushwood::group::{CommitPlan, Group, LeafUpdate, NewProposal};
use hushwood::proposal::{Add, GroupContextExtensions, Proposal, Remove};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuiteId, CryptoProvider, Secret, SignaturePrivateKey, SoftwareSigner};
use test_support::actor::Actor;
use test_support::random::SeededRandom;

use crate::at::nothing;
use crate::campaign::{Settings, Shape};
use crate::member::{Client, Made, Member, Plan, index};

/// The suite.
pub const SUITE: CipherSuiteId = CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519;
/// The name of a pre-shared key that all have.
pub const PSK: &[u8] = b"shared";
/// That key.
pub const PSK_KEY: &[u8] = &[7; 32];

/// A group in one epoch: the hostile member and the honest ones.
pub struct World {
    /// The hostile member.
    pub hostile: Member,
    /// The others.
    pub honest: Vec<Actor>,
    /// What one of the honest members has said and nobody has read yet.
    pub said: Vec<u8>,
    /// Who has said it.
    pub speaker: usize,
}

/// All that mutations need at hand.
pub struct Scene {
    /// The provider of all.
    pub provider: CryptoProvider,
    /// The members in their epoch.
    pub plain: World,
    /// The same epoch, in which proposals wait.
    pub waiting: World,
    /// What waits: names and references of the proposals.
    pub references: BTreeMap<&'static str, Vec<u8>>,
    /// The group with external senders.
    pub open: World,
    /// The external sender that it lists.
    pub sender: Client,
    /// A client that joins, with a KeyPackage, and that KeyPackage.
    pub joiner: Actor,
    /// The joiner's KeyPackage.
    pub joiner_key_package: hushwood::key_package::KeyPackage,
    /// A client of the hostile member's, to add or to join from outside.
    pub friend: Client,
    /// Another one.
    pub other: Client,
    /// An external join's GroupInfo, of the open and plain group.
    pub group_info: Vec<u8>,
    /// Of another group, with the same members, in the same epoch: a handshake of its first honest one.
    pub of_another_group: Vec<u8>,
    /// The commit that began the plain epoch.
    pub last_commit: Vec<u8>,
    /// The commit that began the epoch of the group with external senders.
    pub opening: Vec<u8>,
    /// A proposal of an epoch after that one.
    pub of_the_future: Vec<u8>,
    /// A proposal, application data and a commit of an epoch with the same number as that one, and other keys.
    pub of_a_fork: [Vec<u8>; 3],
    /// A GroupInfo of the epoch before.
    pub old_group_info: Vec<u8>,
}

/// The same member with a store of its own, of whom nothing is changed by what is done to the copy.
pub fn copy(member: &Actor) -> Actor {
    let mut copy = Actor::new(&member.name, member.provider, SUITE, 1);
    copy.store = member.store.snapshot();
    copy.reload = false;
    copy.policy = member.policy.clone();
    copy.now = member.now;
    copy.random = SeededRandom::new(member.name.bytes().fold(9, |sum, byte| sum * 31 + u64::from(byte)));
    let key = SignaturePrivateKey(Secret::copy_of(member.signer.private_key().0.expose()));
    copy.signer = SoftwareSigner::new(member.suite, key).expect("it is a key");
    if let Some(group) = &member.group {
        copy.group = Some(Group::open(&copy.store, &copy.provider, group.instance()).expect("it opens"));
    }
    copy
}

/// An honest client. Its handshakes can be read by the one that follows them.
fn actor(provider: CryptoProvider, name: &str, seed: u64) -> Actor {
    let mut actor = Actor::new(name, provider, SUITE, seed);
    actor.reload = false;
    actor.policy.encrypt_handshakes = false;
    actor.keep_psk(PSK, PSK_KEY);
    actor
}

/// The KeyPackage in a message.
pub fn key_package(message: &[u8]) -> hushwood::key_package::KeyPackage {
    match MlsMessage::from_bytes(message) {
        Ok(MlsMessage::KeyPackage(key_package)) => key_package.inspect().clone(),
        other => panic!("no KeyPackage: {other:?}"),
    }
}

/// An Add.
pub fn add(key_package: hushwood::key_package::KeyPackage) -> Proposal {
    Proposal::Add(Box::new(Add { key_package }))
}

/// A Remove.
pub fn remove(leaf: usize) -> Proposal {
    Proposal::Remove(Remove { removed: index(leaf) })
}

impl World {
    /// A group, in which the hostile member has the leaf `position`, when it has made a commit of its own.
    fn new(settings: &Settings, seed: u64) -> (Self, Made, Vec<u8>) {
        let Settings { provider, size, position, shape } = *settings;
        let suite = provider.suite(SUITE).expect("all have this suite");
        let mut random = SeededRandom::new(seed);
        let mut client = Client::new(suite, "mallory", &mut random);
        client.psks.insert(PSK.to_vec(), PSK_KEY.to_vec());
        // One more, who goes again and leaves a hole.
        let beside =
            if (1..size).contains(&(position ^ 1)) { position ^ 1 } else { (position + size / 2) % size };
        let hole =
            Some(beside).filter(|hole| shape == Shape::Holed && size > 2 && ![0, position].contains(hole));
        let late = shape == Shape::Holed && size > 3;
        let mut honest: Vec<Actor> = (0..size)
            .filter(|leaf| *leaf != position)
            .map(|leaf| {
                actor(provider, &format!("m{leaf}"), seed * 1000 + u64::try_from(leaf).expect("small"))
            })
            .collect();
        let group_id = format!("group {seed}").into_bytes();
        let mut made;
        let mut hostile;

        // Who is there at first, in the order of their leaves.
        let mut order: Vec<Option<usize>> = Vec::new();
        let mut next = 0;
        for leaf in 0..size {
            order.push(if leaf == position {
                None
            } else {
                next += 1;
                Some(next - 1)
            });
        }
        let last = if late { order.pop() } else { None };
        let key_packages: Vec<_> = order[1..]
            .iter()
            .map(|who| match who {
                Some(honest_one) => honest[*honest_one].key_package(),
                None => client.key_package_message(&mut nothing),
            })
            .collect();
        if position == 0 {
            let creator = client.create(&group_id, &mut random);
            let adds = key_packages.iter().map(|message| add(key_package(message))).collect();
            let plan = Plan { path: false, ..Plan::of(adds) };
            made = creator.commit(&plan, &mut random, &mut nothing);
            let welcome = made.next.welcome(&made.behind(), &mut random, &mut nothing);
            hostile = made.next.clone();
            for who in order[1..].iter().flatten() {
                honest[*who].join(&welcome, None).expect("the hostile member's Welcome is valid");
            }
        } else {
            honest[0].create();
            let (_, change) = honest[0].invite(&key_packages).expect("they can be invited");
            let welcome = &change.welcomes[0].message;
            for who in order[1..].iter().flatten().filter(|who| **who != 0) {
                honest[*who].join(welcome, None).expect("the Welcome is valid");
            }
            let joined = order.contains(&None).then(|| client.join(welcome).expect("the Welcome is for it"));
            // Who comes late joins below.
            hostile = joined.unwrap_or_else(|| client.create(b"none", &mut random));
        }
        let there = |honest: &[Actor]| -> Vec<usize> {
            (0..honest.len()).filter(|who| honest[*who].group.is_some()).collect()
        };
        let hostile_is_there = order.contains(&None);

        // Paths, so that parents have keys.
        if shape != Shape::Sparse {
            let mut committers = there(&honest);
            if shape == Shape::Holed {
                committers = committers.into_iter().rev().step_by(3).collect();
            }
            for committer in committers {
                let (id, commit) = honest[committer].commit(CommitPlan::default()).expect("it commits");
                honest[committer].apply(&id).expect("it applies");
                for other in there(&honest).into_iter().filter(|other| *other != committer) {
                    honest[other].receive(&commit).expect("an honest commit");
                }
                if hostile_is_there {
                    hostile.follow(&commit);
                }
            }
        }
        // Somebody comes late, and is unmerged in what is above.
        if let Some(last) = last {
            let inviter = there(&honest)[0];
            let message = match last {
                Some(who) => honest[who].key_package(),
                None => client.key_package_message(&mut nothing),
            };
            let (commit, change) = honest[inviter].invite(&[message]).expect("it is invited");
            for other in there(&honest).into_iter().filter(|other| *other != inviter) {
                honest[other].receive(&commit).expect("an honest commit");
            }
            let welcome = &change.welcomes[0].message;
            match last {
                Some(who) => {
                    honest[who].join(welcome, None).expect("the Welcome is valid");
                    hostile.follow(&commit);
                }
                None => hostile = client.join(welcome).expect("the Welcome is for it"),
            }
        }
        // Somebody goes.
        if let Some(hole) = hole.filter(|_| honest.len() > 2) {
            let gone = honest.iter().position(|actor| actor.leaf() == index(hole)).expect("it is there");
            let remover = usize::from(gone == 0);
            let proposals = vec![NewProposal::Remove(index(hole))];
            let plan = CommitPlan { proposals, ..CommitPlan::default() };
            let (id, commit) = honest[remover].commit(plan).expect("it commits");
            honest[remover].apply(&id).expect("it applies");
            for (other, actor) in honest.iter_mut().enumerate() {
                if other != remover && other != gone {
                    actor.receive(&commit).expect("an honest commit");
                }
            }
            hostile.follow(&commit);
            honest.remove(gone);
        }
        assert_eq!(hostile.leaf, position);

        // And the hostile member does what anybody does: that it is accepted shows that its tools are good.
        let old_group_info = copy(&honest[0]).group_info(true);
        made = hostile.commit(&Plan::of(vec![]), &mut random, &mut nothing);
        for actor in &mut honest {
            actor.receive(&made.message).expect("a valid commit of the hostile member");
        }
        hostile = made.next.clone();
        for actor in &honest {
            assert_eq!(actor.group().context(), &hostile.context);
            assert_eq!(actor.group().epoch_authenticator(), Ok(&hostile.epoch.authenticator[..]));
        }
        let speaker = honest.len() - 1;
        let said = copy(&honest[speaker]).send(b"said before").expect("it sends");
        (Self { hostile, honest, said, speaker }, made, old_group_info)
    }

    /// The same, in copies.
    fn copied(&self) -> Self {
        Self {
            hostile: self.hostile.clone(),
            honest: self.honest.iter().map(copy).collect(),
            said: self.said.clone(),
            speaker: self.speaker,
        }
    }

    /// A message of an honest member that all get.
    fn hear(&mut self, from: usize, message: &[u8]) {
        for (who, actor) in self.honest.iter_mut().enumerate() {
            if who != from {
                actor.receive(message).expect("a valid message");
            }
        }
        self.hostile.follow(message);
    }

    /// The last proposal that the hostile member knows of and has not named yet.
    fn newest(&self, names: &BTreeMap<&'static str, Vec<u8>>) -> Vec<u8> {
        let mut known = self.hostile.proposals.keys().filter(|key| !names.values().any(|name| name == *key));
        known.next().expect("a new one").clone()
    }

    /// The members' leaves, without the hostile one.
    pub fn others(&self) -> Vec<usize> {
        let members = self.hostile.tree.members();
        members.into_iter().filter(|leaf| *leaf != self.hostile.leaf).collect()
    }
}

impl Scene {
    /// Everything for one size and place.
    pub fn new(settings: &Settings) -> Self {
        let Settings { provider, size, position, .. } = *settings;
        let suite = provider.suite(SUITE).expect("all have this suite");
        let seed = u64::try_from(size * 100 + position + 1).expect("small");
        let mut random = SeededRandom::new(seed ^ 0xF00D);
        let (plain, made, old_group_info) = World::new(settings, seed);
        let (another, ..) =
            World::new(&Settings { size: 2, position: 1, shape: Shape::Full, ..*settings }, seed + 1);
        let of_another_group = copy(&another.honest[0])
            .propose(NewProposal::Update(LeafUpdate::default()))
            .expect("it proposes");

        // Proposals that wait: two Updates of an honest member, one of the hostile one, a Remove of it.
        let mut waiting = plain.copied();
        let mut references = BTreeMap::new();
        let update =
            waiting.honest[0].propose(NewProposal::Update(LeafUpdate::default())).expect("it proposes");
        waiting.hear(0, &update);
        references.insert("update", waiting.newest(&references));
        let update =
            waiting.honest[0].propose(NewProposal::Update(LeafUpdate::default())).expect("it proposes");
        waiting.hear(0, &update);
        references.insert("second update", waiting.newest(&references));
        let removal = NewProposal::Remove(index(position));
        let removal = waiting.honest[0].propose(removal).expect("it proposes");
        waiting.hear(0, &removal);
        references.insert("removal", waiting.newest(&references));
        let own = crate::families::proposals::own_update(&waiting.hostile, &mut random, &mut nothing);
        waiting.hear(usize::MAX, &own);
        references.insert("own update", waiting.newest(&references));

        // External senders, whom the hostile member has the group take in.
        let sender = Client::new(suite, "sender", &mut random);
        let mut open = plain.copied();
        let senders = vec![ExternalSender {
            signature_key: sender.signer.signature_public(),
            credential: hushwood::credential::Credential::basic("sender"),
        }];
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::EXTERNAL_SENDERS, senders.to_bytes().expect("it is short"));
        let gce = Proposal::GroupContextExtensions(GroupContextExtensions { extensions });
        let opening = open.hostile.commit(&Plan::of(vec![gce]), &mut random, &mut nothing);
        for actor in &mut open.honest {
            actor.receive(&opening.message).expect("a valid commit of the hostile member");
        }
        let (opening, next) = (opening.message, opening.next);
        open.hostile = next;
        let mut ahead = copy(&open.honest[0]);
        let (id, _) = ahead.commit(CommitPlan::default()).expect("it commits");
        ahead.apply(&id).expect("it applies");
        let of_the_future = ahead.propose(NewProposal::Update(LeafUpdate::default())).expect("it proposes");
        let mut fork = copy(&plain.honest[0]);
        let other = plain.hostile.commit(&Plan::of(vec![]), &mut random, &mut nothing);
        fork.receive(&other.message).expect("a valid commit of the hostile member");
        let said = fork.send(b"in the fork").expect("it sends");
        let (_, commit) = fork.commit(CommitPlan::default()).expect("it commits");
        let proposal = fork.propose(NewProposal::Update(LeafUpdate::default())).expect("it proposes");
        let of_a_fork = [proposal, said, commit];
        open.said = copy(&open.honest[open.speaker]).send(b"said before").expect("it sends");

        let mut joiner = actor(provider, "joiner", seed + 17);
        let joiner_key_package = key_package(&joiner.key_package());
        let mut friend = Client::new(suite, "friend", &mut random);
        friend.psks.insert(PSK.to_vec(), PSK_KEY.to_vec());
        let other = Client::new(suite, "other", &mut random);
        let group_info = copy(&plain.honest[0]).group_info(true);
        Self {
            provider,
            waiting,
            references,
            open,
            sender,
            joiner,
            joiner_key_package,
            friend,
            other,
            group_info,
            of_another_group,
            last_commit: made.message,
            opening,
            of_the_future,
            of_a_fork,
            old_group_info,
            plain,
        }
    }

    /// The hostile member.
    pub fn hostile(&self) -> &Member {
        &self.plain.hostile
    }

    /// Randomness that is the same with and without a change.
    pub fn random(&self) -> SeededRandom {
        SeededRandom::new(0xD1CE + u64::from(index(self.plain.hostile.leaf).number()))
    }
}
