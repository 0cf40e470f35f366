//! The client whose memory and files are searched, in a process of its own.
//!
//! It is told what to do over a socket, and tells there of every secret before it uses it, so that whoever searches it
//! knows them and it has no list of them itself.

use std::os::unix::net::UnixStream;
use std::path::Path;

use hushwood::error::Error;
use hushwood::group::{CommitId, CommitPlan, Group, LeafUpdate, NewProposal};
use hushwood::policy::{Policy, Timestamp};
use hushwood::transition::InstanceId;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use hushwood_store::SqliteStore;
use test_support::actor::Actor;

use crate::event::{Event, Kind};
use crate::recorder;
use crate::theft::{options, passphrase};

/// What the process is started with.
pub const CLIENT: &str = "serve-census";

/// The policy of the client: so little is kept that what has to go goes soon.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        max_past_epochs: 2,
        max_past_epoch_age: 1000,
        max_resumption_psks: 2,
        max_skipped: 4,
        ..Policy::default()
    }
}

struct Client {
    actor: Actor<SqliteStore>,
    staged: Option<CommitId>,
    /// What the test of the census keeps on purpose.
    kept: Vec<Vec<u8>>,
}

/// Does what it is told until the socket is closed.
///
/// # Panics
/// If the socket or the store does not work.
pub fn serve(socket: &Path, store: &Path, (provider, suite): (CryptoProvider, CipherSuiteId), seed: u64) {
    let mut stream = UnixStream::connect(socket).unwrap();
    recorder::stream_to(stream.try_clone().unwrap());
    let store = SqliteStore::create_with(store, &passphrase(), options()).unwrap();
    let mut actor = Actor::on(store, "victim", (provider, suite), seed);
    actor.policy = policy();
    actor.reload = false;
    let mut client = Client { actor, staged: None, kept: Vec::new() };
    while let Ok(command) = Event::read(&mut stream) {
        let argument = command.parts.get(1).map_or(&[][..], Vec::as_slice);
        let done = client.obey(&command.parts[0], argument);
        let (made, reply) = match &done {
            Ok(reply) => (1, reply.clone()),
            Err(error) => (0, format!("{error:?} {error}").into_bytes()),
        };
        let (context, tree) = match &client.actor.group {
            Some(group) => (group.context().to_bytes().unwrap(), group.ratchet_tree().unwrap()),
            None => (Vec::new(), Vec::new()),
        };
        recorder::note(Kind::Done, &[&[made], &reply, &context, &tree]);
    }
}

impl Client {
    fn obey(&mut self, command: &[u8], argument: &[u8]) -> Result<Vec<u8>, Error> {
        let actor = &mut self.actor;
        match command {
            b"key package" => return Ok(actor.key_package()),
            b"join" => {
                actor.join(argument, None)?;
            }
            b"send" => return actor.send(argument),
            b"receive" => drop(actor.receive(argument)?),
            b"update" => return actor.propose(NewProposal::Update(LeafUpdate::default())),
            b"commit" | b"invite" => {
                let mut plan = CommitPlan::default();
                if command == b"invite" {
                    plan.proposals.push(NewProposal::Add(Box::new(actor.validate(argument)?)));
                }
                let (id, message) = actor.commit(plan)?;
                self.staged = Some(id);
                return Ok(message);
            }
            b"apply" => {
                let change = actor.apply(&self.staged.take().unwrap())?;
                return Ok(change
                    .welcomes
                    .into_iter()
                    .next()
                    .map(|welcome| welcome.message)
                    .unwrap_or_default());
            }
            b"discard" => {
                let group = actor.group.as_mut().unwrap();
                group.discard(&self.staged.take().unwrap())?.commit(&mut actor.store).unwrap();
            }
            b"expire" => {
                actor.now = Timestamp(u64::from_be_bytes(argument.try_into().unwrap()));
                let group = actor.group.as_mut().unwrap();
                group.expire(actor.now)?.commit(&mut actor.store).unwrap();
            }
            b"reopen" => {
                let instance: InstanceId = actor.group.take().unwrap().instance();
                actor.group = Some(Group::open(&actor.store, &actor.provider, instance)?);
            }
            b"checkpoint" => actor.store.checkpoint().unwrap(),
            b"export" => drop(actor.group().export("census", argument, 32)?),
            // Faults: what a census has to find.
            b"keep" => {
                let exported = actor.group().export("census", argument, 32)?;
                self.kept.push(exported.expose().to_vec());
            }
            b"keep less" => {
                let exported = actor.group().export("census", argument, 32)?;
                drop(exported.expose().to_vec());
            }
            other => panic!("no such command: {}", String::from_utf8_lossy(other)),
        }
        Ok(Vec::new())
    }
}
