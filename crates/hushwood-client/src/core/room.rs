//! A room in memory: its row, its group, and what waits for it.

use std::collections::{BTreeMap, VecDeque};

use hushwood::credential::Claim;
use hushwood::group::Group;
use hushwood::transition::InstanceId;
use hushwood_codec::wire_struct;
use hushwood_crypto::{CipherSuite, sign_with_label};
use hushwood_delivery::wire::{
    Admission, CommitRequest, CreateRequest, GroupInfoRequest, MemberProof, REQUEST_LABEL, ReadRequest,
    SendRequest, Subscribe,
};

use crate::content::{Head, truncate};
use crate::core::backoff::Backoff;
use crate::core::env::Env;
use crate::core::witness::Witnesses;
use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{Member, member};
use crate::records::{ROOMS, RoomRecord, VERSION, corrupt, from_row, get, row, to_row};
use crate::room::RoomId;
use crate::settings::Millis;

/// A room in memory.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) record: RoomRecord,
    /// Opened when it is needed.
    pub(crate) group: Option<Group>,
    /// What is to be done, in order.
    pub(crate) queue: VecDeque<u64>,
    /// Values of the chain, of the last entries.
    window: BTreeMap<u64, [u8; 16]>,
    /// Messages of epochs to come, once they were read from the store.
    pub(crate) early: Option<BTreeMap<u64, (Millis, Vec<u8>)>>,
    pub(crate) in_flight: bool,
    pub(crate) backoff: Backoff,
    /// A number that the log is known to have.
    pub(crate) known: u64,
    /// Which call to read is the last, and which was the last that was done.
    pub(crate) read_wanted: u64,
    pub(crate) read_done: u64,
    /// Why nothing is read until somebody decides.
    pub(crate) paused: Option<Error>,
    /// About whom the user was asked last: once is enough.
    pub(crate) asked: Option<Claim>,
    /// When it is our turn to commit what waits, once that is known: of this epoch.
    pub(crate) turn: Option<(u64, Millis)>,
    /// The epoch in which what waits could not be committed.
    pub(crate) commit_failed: Option<u64>,
    /// Who says that they see another history, once that was read from the store.
    pub(crate) witnesses: Option<Witnesses>,
}

wire_struct! {
    /// How far we have heard somebody in an epoch.
    #[derive(Clone, Copy)]
    struct Heard {
        epoch: u64,
        next: u32,
        /// When, in seconds.
        at: u64,
    }
}

/// So many values of the chain are kept: messages are compared that are no further behind.
const WINDOW: u64 = 256;

impl Room {
    pub(crate) fn new(id: RoomId, record: RoomRecord) -> Self {
        Self {
            id,
            record,
            group: None,
            queue: VecDeque::new(),
            window: BTreeMap::new(),
            early: None,
            in_flight: false,
            backoff: Backoff::default(),
            known: 0,
            read_wanted: 0,
            read_done: 0,
            paused: None,
            asked: None,
            turn: None,
            commit_failed: None,
            witnesses: None,
        }
    }

    pub(crate) fn from_row(id: Vec<u8>, value: &hushwood_crypto::Secret) -> Result<Self, Error> {
        let record: RoomRecord = from_row(value)?;
        match record.version {
            VERSION => Ok(Self::new(RoomId(id), record)),
            _ => Err(corrupt()),
        }
    }

    /// Keeps what is only of this process of a room that was read again.
    pub(crate) fn go_on_from(&mut self, old: Self) {
        self.in_flight = old.in_flight;
        self.backoff = old.backoff;
        self.known = old.known;
        self.read_wanted = old.read_wanted;
        self.read_done = old.read_done;
        self.paused = old.paused;
        self.commit_failed = old.commit_failed;
    }

    /// Writes the row.
    pub(crate) fn put(&self, work: &mut Work) -> Result<(), Error> {
        work.put(row(ROOMS, self.id.0.clone()), to_row(&self.record, 0)?);
        Ok(())
    }

    /// The group, to be given back.
    pub(crate) fn take_group(&mut self, env: &Env) -> Result<Group, Error> {
        match self.group.take() {
            Some(group) => Ok(group),
            None => {
                let instance = InstanceId::new(self.record.instance);
                Ok(Group::open(&*env.store, &env.crypto, instance)?)
            }
        }
    }

    /// The group, to look at.
    pub(crate) fn group(&mut self, env: &Env) -> Result<&Group, Error> {
        let group = self.take_group(env)?;
        Ok(self.group.insert(group))
    }

    /// The name of its rows.
    pub(crate) fn rows(&self) -> InstanceId {
        InstanceId::new(self.record.rows)
    }

    /// The name of the rows with messages that came too early.
    pub(crate) fn early_rows(&self) -> InstanceId {
        let mut name = self.record.rows;
        if let Some(last) = name.last_mut() {
            *last ^= 1;
        }
        InstanceId::new(name)
    }

    pub(crate) fn head(&self) -> Head {
        Head { sequence: self.record.cursor, chain: self.record.chain }
    }

    /// Goes on to this head.
    pub(crate) fn advance(&mut self, head: Head, work: &mut Work) {
        self.record.cursor = head.sequence;
        self.record.chain = head.chain;
        self.window.insert(head.sequence, head.short());
        while u64::try_from(self.window.len()).unwrap_or(0) > WINDOW {
            self.window.pop_first();
        }
        let value = hushwood_crypto::Secret::copy_of(&head.short());
        work.put(numbered(self.rows(), b'c', head.sequence), value);
        if let Some(old) = head.sequence.checked_sub(WINDOW) {
            work.erase(numbered(self.rows(), b'c', old));
        }
    }

    /// The value of the chain at a number, if it is still known.
    pub(crate) fn chain_at(&self, env: &Env, sequence: u64) -> Result<Option<[u8; 16]>, Error> {
        if let Some(value) = self.window.get(&sequence) {
            return Ok(Some(*value));
        }
        let value = get(&*env.store, &numbered(self.rows(), b'c', sequence))?;
        Ok(value.map(|value| truncate(value.expose())))
    }

    /// Notes that we have heard somebody: how many messages are missing before this one.
    pub(crate) fn hear(
        &self,
        env: &Env,
        ((leaf, epoch, generation), at): ((u32, u64, u32), u64),
        heard: &mut BTreeMap<u32, (u64, u32)>,
        work: &mut Work,
    ) -> Result<u32, Error> {
        let key = numbered(self.rows(), b'g', leaf.into());
        let before = match heard.get(&leaf) {
            Some((epoch, next)) => Some(Heard { epoch: *epoch, next: *next, at }),
            None => get(&*env.store, &key)?.map(|value| from_row::<Heard>(&value)).transpose()?,
        };
        let expected = match before {
            Some(before) if before.epoch == epoch => before.next,
            // An epoch that we have been in from its beginning.
            Some(before) if before.epoch < epoch => 0,
            None => 0,
            Some(_) => return Ok(0),
        };
        let next = generation.saturating_add(1).max(expected);
        heard.insert(leaf, (epoch, next));
        work.put(key, to_row(&Heard { epoch, next, at }, 0)?);
        Ok(generation.saturating_sub(expected))
    }

    /// Notes that somebody at a leaf has new keys, or is new.
    pub(crate) fn see(
        &self,
        leaf: u32,
        (epoch, at): (u64, u64),
        heard: &mut BTreeMap<u32, (u64, u32)>,
        work: &mut Work,
    ) -> Result<(), Error> {
        heard.insert(leaf, (epoch, 0));
        work.put(numbered(self.rows(), b'g', leaf.into()), to_row(&Heard { epoch, next: 0, at }, 0)?);
        Ok(())
    }

    /// When somebody at a leaf was heard last, in seconds.
    pub(crate) fn heard_at(&self, env: &Env, leaf: u32) -> Result<Option<u64>, Error> {
        let row = get(&*env.store, &numbered(self.rows(), b'g', leaf.into()))?;
        Ok(row.map(|row| from_row::<Heard>(&row)).transpose()?.map(|heard| heard.at))
    }

    /// Who stands at a leaf now.
    pub(crate) fn member_at(group: &Group, leaf: hushwood::tree::LeafIndex) -> Result<Option<Member>, Error> {
        let view = group.member(leaf)?;
        Ok(view.map(|view| member(&view.leaf.credential, group.suite())))
    }

    /// A request for what comes after the cursor.
    pub(crate) fn read_request(&mut self, env: &Env, now: Millis) -> Result<ReadRequest, Error> {
        let (after, most, key) = (self.record.cursor, env.settings.page, self.record.key.clone());
        let group = self.group(env)?;
        let (group_id, proof) = (group.group_id().to_vec(), proof(group.own_leaf().number(), env, now));
        let mut read = ReadRequest { group_id, key, after, most, proof };
        read.proof.signature = sign(env, &read.signed(&env.service()))?;
        Ok(read)
    }

    /// What asks the service's stream to tell of what comes after the cursor.
    pub(crate) fn subscribe_request(
        &mut self,
        env: &Env,
        number: u32,
        now: Millis,
    ) -> Result<Subscribe, Error> {
        let (after, key) = (self.record.cursor, self.record.key.clone());
        let group = self.group(env)?;
        let (group_id, proof) = (group.group_id().to_vec(), proof(group.own_leaf().number(), env, now));
        let mut subscribe = Subscribe { number, group_id, key, after, proof };
        subscribe.proof.signature = sign(env, &subscribe.signed(&env.service()))?;
        Ok(subscribe)
    }

    /// A request that sends a message.
    pub(crate) fn send_request(
        &mut self,
        env: &Env,
        (request, message): ([u8; 32], Vec<u8>),
        now: Millis,
    ) -> Result<SendRequest, Error> {
        let key = self.record.key.clone();
        let group = self.group(env)?;
        let proof = proof(group.own_leaf().number(), env, now);
        let (group_id, admission) = (group.group_id().to_vec(), Admission::Member(proof));
        let mut send = SendRequest { request, group_id, key, message, admission };
        send.admission.set_signature(sign(env, &send.signed(&env.service()))?);
        Ok(send)
    }

    /// A request for what it takes to come back, as the member that we were.
    pub(crate) fn info_request(&mut self, env: &Env, now: Millis) -> Result<GroupInfoRequest, Error> {
        let key = self.record.key.clone();
        let group = self.group(env)?;
        let proof = proof(group.own_leaf().number(), env, now);
        let (group_id, admission) = (group.group_id().to_vec(), Admission::Member(proof));
        let mut info = GroupInfoRequest { group_id, key, admission };
        info.admission.set_signature(sign(env, &info.signed(&env.service()))?);
        Ok(info)
    }
}

/// A commit as it is sent now: what was stored, with a fresh proof.
pub(crate) fn proven_commit(
    env: &Env,
    mut commit: CommitRequest,
    now: Millis,
) -> Result<CommitRequest, Error> {
    if let Admission::Member(member) = &mut commit.admission {
        *member = proof(member.leaf_index, env, now);
    }
    let signature = sign(env, &commit.signed(&env.service()))?;
    commit.admission.set_signature(signature);
    Ok(commit)
}

/// The request that makes a group, with a fresh proof.
pub(crate) fn proven_create(
    env: &Env,
    mut create: CreateRequest,
    now: Millis,
) -> Result<CreateRequest, Error> {
    create.proof = proof(create.proof.leaf_index, env, now);
    create.proof.signature = sign(env, &create.signed(&env.service()))?;
    Ok(create)
}

/// A proof of the member at a leaf that is not signed yet.
pub(crate) fn unsigned(leaf_index: u32) -> MemberProof {
    MemberProof { leaf_index, at: 0, signature: Vec::new() }
}

fn proof(leaf_index: u32, env: &Env, now: Millis) -> MemberProof {
    MemberProof { at: now.seconds().0.saturating_add_signed(env.skew), ..unsigned(leaf_index) }
}

fn sign(env: &Env, content: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(sign_with_label(&*env.device.signer, REQUEST_LABEL, content).map_err(hushwood::error::Error::from)?)
}

/// A row of a room, by a letter and a number.
pub(crate) fn numbered(instance: InstanceId, letter: u8, number: u64) -> hushwood::transition::RecordKey {
    let mut id = vec![letter];
    id.extend_from_slice(&number.to_be_bytes());
    row(instance, id)
}

/// The name that a group gives to a message.
pub(crate) fn hash_of(suite: &dyn CipherSuite, message: &[u8]) -> [u8; 16] {
    truncate(suite.hash().hash(&[message]).as_bytes())
}

/// A title as it is stored.
pub(crate) fn title_of(record: &RoomRecord) -> String {
    String::from_utf8_lossy(&record.title).into_owned()
}
