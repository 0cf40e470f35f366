//! People with clients, a delivery service, and what goes wrong between them.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod mallory;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Write, WriteSet,
};
use hushwood_client::core::{Next, Request};
use hushwood_client::transport::InProcess;
use hushwood_client::{
    Core, Done, Error, Event, EventKind, Identity, Millis, Provider, RoomId, Settings, Transport,
    TransportError, Trust,
};
use hushwood_crypto::Secret;
use hushwood_delivery::backend::{Backend, Seconds, SqliteBackend, SqliteSettings};
use hushwood_delivery::service::{Service, ServiceSettings};
use hushwood_delivery::wire::{Answer, Call};
use hushwood_store::MemoryStore;
use tempfile::TempDir;
use test_support::random::SeededRandom;
use tokio::runtime::Runtime;

pub const SERVICE: &str = "delivery.example";
pub const START: Millis = Millis(1_800_000_000_000);

/// The service's clock, in milliseconds; tests run at the same time in processes of their own or not at all.
static CLOCK: AtomicU64 = AtomicU64::new(START.0);

/// A delivery service.
pub struct World {
    _folder: TempDir,
    pub runtime: Runtime,
    pub service: Arc<Service>,
    pub now: Millis,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other settings of the service.
    pub fn with(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = TempDir::new().unwrap();
        let backend = SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db"))).unwrap();
        let backend: Arc<dyn Backend> = Arc::new(backend);
        let mut settings = ServiceSettings::new(SERVICE);
        settings.clock = || Seconds(CLOCK.load(Ordering::Relaxed) / 1000);
        settings.snapshot_every = 4;
        settings.rates.claims_of_one.burst = 10_000;
        change(&mut settings);
        let service = Arc::new(runtime.block_on(Service::new(backend, settings)).unwrap());
        Self { _folder: folder, runtime, service, now: START }
    }

    pub fn transport(&self) -> Carried {
        let transport = InProcess::new(self.service.clone(), self.runtime.handle().clone());
        Carried { transport, service: self.service.clone(), runtime: self.runtime.handle().clone() }
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.now = self.now.after(milliseconds);
        CLOCK.fetch_max(self.now.0, Ordering::Relaxed);
    }
}

/// A service whose Welcomes have been carried when its answer is there.
#[derive(Clone)]
pub struct Carried {
    transport: InProcess,
    service: Arc<Service>,
    runtime: tokio::runtime::Handle,
}

impl Transport for Carried {
    fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError> {
        let is_commit = matches!(call, Call::Commit(_));
        let answer = Transport::call(&self.transport, call, token);
        if is_commit {
            self.runtime.block_on(self.service.settle()).unwrap();
        }
        answer
    }
}

/// A store that is still there when its client has crashed, and that fails when it is told to.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<DiskState>>);

#[derive(Default)]
pub struct DiskState {
    pub store: MemoryStore,
    pub writes: u64,
    /// At this write the machine stops: before it, or after it.
    pub crash: Option<(u64, bool)>,
    /// What lies there, if somebody looks.
    pub rows: Option<BTreeMap<RecordKey, Vec<u8>>>,
}

impl DiskState {
    fn look(&mut self, writes: &WriteSet) {
        let Some(rows) = &mut self.rows else { return };
        for instance in writes.erased_instances() {
            rows.retain(|key, _| key.instance != instance);
        }
        for (key, write) in writes.writes() {
            match write {
                Write::Put(value) => drop(rows.insert(key.clone(), value.expose().to_vec())),
                Write::Erase => drop(rows.remove(key)),
            }
        }
    }

    /// Whether this lies there somewhere.
    pub fn has(&self, what: &[u8]) -> bool {
        let rows = self.rows.as_ref().expect("somebody looks");
        rows.values().any(|value| value.windows(what.len()).any(|window| window == what))
    }
}

impl Disk {
    pub fn state(&self) -> std::sync::MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }
}

impl Persist for Disk {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        let mut state = self.state();
        state.writes += 1;
        state.look(writes);
        match state.crash {
            Some((at, after)) if at == state.writes => {
                state.crash = None;
                if after {
                    state.store.persist(writes)?;
                }
                Err(PersistError::Unknown)
            }
            _ => state.store.persist(writes),
        }
    }
}

impl Records for Disk {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.state().store.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.state().store.get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.state().store.list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.state().store.reader()
    }
}

/// Somebody between a client and the service: what is asked, and a way to ask the service.
pub type Between<'a> = dyn FnMut(Call, &mut dyn FnMut(Call) -> Result<Answer, TransportError>) -> Result<Answer, TransportError>
    + 'a;

/// Somebody with a client.
pub struct Person {
    pub name: String,
    pub disk: Disk,
    pub core: Core,
    seed: u64,
    pub settings: Settings,
    pub trust: fn() -> Trust,
}

/// Whom they do not know yet may invite them.
pub fn invited_by_all() -> Settings {
    Settings { invitations: hushwood_client::Invitations::All, ..Settings::default() }
}

impl Person {
    pub fn new(name: &str, seed: u64) -> Self {
        Self::with(name, seed, Settings::default(), Trust::insecure_accept_all)
    }

    pub fn with(name: &str, seed: u64, settings: Settings, trust: fn() -> Trust) -> Self {
        let disk = Disk::default();
        let core = open(name, seed, &disk, &settings, trust()).unwrap();
        Self { name: name.to_owned(), disk, core, seed, settings, trust }
    }

    /// Somebody whose client was opened otherwise.
    pub fn of(name: &str, disk: Disk, core: Core) -> Self {
        let (settings, trust) = (Settings::default(), Trust::insecure_accept_all);
        Self { name: name.to_owned(), disk, core, seed: 0, settings, trust }
    }

    /// The process ends and begins anew.
    pub fn restart(&mut self) {
        // Another process draws other random numbers.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.core = open(&self.name, self.seed, &self.disk, &self.settings, (self.trust)()).unwrap();
    }

    /// Does something; if the machine stops in the middle, it is done again after a restart.
    pub fn does<T>(&mut self, mut what: impl FnMut(&mut Core) -> Result<T, Error>) -> T {
        loop {
            match what(&mut self.core) {
                Ok(done) => return done,
                Err(Error::Store(PersistError::Unknown)) => self.restart(),
                Err(error) => panic!("{}: {error}", self.name),
            }
        }
    }

    /// The next request, if there is one now.
    pub fn request(&mut self, now: Millis) -> Option<Request> {
        match self.does(|core| core.poll(now)) {
            Next::Request(request) => Some(*request),
            Next::Wait(_) => None,
        }
    }

    /// Asks and answers until there is nothing more to do, with time passing where something waits.
    pub fn settle(&mut self, world: &mut World) {
        self.settle_by(world, |transport, call, token| transport.call(call, token));
    }

    /// The same, by somebody who asks for others, or changes what is answered.
    pub fn settle_by(
        &mut self,
        world: &mut World,
        mut ask: impl FnMut(&Carried, Call, Option<&[u8]>) -> Result<Answer, TransportError>,
    ) {
        let transport = world.transport();
        for _ in 0..10_000 {
            match self.does(|core| core.poll(world.now)) {
                Next::Request(request) => {
                    let Request { id, call, token } = *request;
                    let answer = ask(&transport, call, token.as_deref());
                    self.answer(id, answer, world.now);
                }
                Next::Wait(Some(until)) if until <= world.now.after(60_000) => {
                    let wait = until.0 - world.now.0;
                    world.pass(wait);
                }
                Next::Wait(_) => return,
            }
        }
        panic!("{} is never done: {:?}", self.name, self.core.trouble(None));
    }

    /// The same with somebody in between, who sees every request and makes every answer.
    pub fn settle_through(&mut self, world: &mut World, between: &mut Between<'_>) {
        let transport = world.transport();
        for _ in 0..2_000 {
            match self.does(|core| core.poll(world.now)) {
                Next::Request(request) => {
                    let Request { id, call, token } = *request;
                    let mut ask = |call: Call| Transport::call(&transport, call, token.as_deref());
                    let answer = between(call, &mut ask);
                    self.answer(id, answer, world.now);
                }
                Next::Wait(Some(until)) if until <= world.now.after(60_000) => {
                    let wait = until.0 - world.now.0;
                    world.pass(wait);
                }
                Next::Wait(_) => return,
            }
        }
    }

    /// Reads what is new, with somebody in between.
    pub fn sync_through(&mut self, world: &mut World, between: &mut Between<'_>) {
        self.core.want_sync();
        self.settle_through(world, between);
    }

    /// Takes an answer; if the machine stops, it is lost.
    pub fn answer(&mut self, id: u64, answer: Result<Answer, TransportError>, now: Millis) {
        match self.core.answer(id, answer, now) {
            Ok(()) => {}
            Err(Error::Store(PersistError::Unknown)) => self.restart(),
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    pub fn sync(&mut self, world: &mut World) {
        let writes = self.disk.state().writes;
        self.core.want_sync();
        self.settle(world);
        if self.disk.state().crash.is_none() && self.disk.state().writes != writes {
            // It may have restarted in the middle, and forgotten that it wanted to.
            self.core.want_sync();
            self.settle(world);
        }
    }

    /// What has happened, dealt with.
    pub fn events(&mut self) -> Vec<Event> {
        let events = self.does(|core| core.events(None));
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        self.does(|core| core.acknowledge(numbers.iter().copied()));
        events
    }

    /// The messages among what has happened.
    pub fn texts(&mut self) -> Vec<(String, String)> {
        let messages = self.events().into_iter().filter_map(|event| match event.kind {
            EventKind::Message(message) => {
                Some((message.from.person, String::from_utf8(message.body).unwrap()))
            }
            _ => None,
        });
        messages.collect()
    }

    /// Wants something, and has it.
    pub fn done(&mut self, world: &mut World, mut what: impl FnMut(&mut Core) -> Result<u64, Error>) -> Done {
        let number = self.does(&mut what);
        self.settle(world);
        self.core.result(number).expect("it is done").expect("it went well")
    }

    pub fn say(&mut self, world: &mut World, room: &RoomId, text: &str) {
        let now = world.now;
        self.done(world, |core| Ok(core.send(room, text.as_bytes(), now)?.0));
    }

    pub fn people(&mut self, room: &RoomId) -> Vec<String> {
        let mut people: Vec<_> =
            self.does(|core| core.members(room)).into_iter().map(|member| member.person).collect();
        people.sort();
        people
    }

    pub fn authenticator(&mut self, room: &RoomId) -> Vec<u8> {
        self.does(|core| Ok(core.group(room)?.epoch_authenticator()?.to_vec()))
    }
}

/// Alice, Bob and Carol, in a room, each done with what the others did.
pub fn three(world: &mut World) -> (Person, Person, Person, RoomId) {
    let (mut alice, mut bob, mut carol) =
        (Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3));
    for person in [&mut bob, &mut carol] {
        person.sync(world);
    }
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    for name in ["bob", "carol"] {
        alice.done(world, |core| core.invite(&room, name));
    }
    for person in [&mut bob, &mut carol] {
        person.sync(world);
    }
    (alice, bob, carol, room)
}

/// Everybody is believed.
pub fn all(checks: &[hushwood::credential::CredentialCheck]) -> hushwood::credential::Verdicts {
    hushwood::credential::judge(checks, &hushwood::credential::InsecureAcceptAll)
}

fn open(name: &str, seed: u64, disk: &Disk, settings: &Settings, trust: Trust) -> Result<Core, Error> {
    let provider = Provider::new(hushwood_rustcrypto::PROVIDER, SeededRandom::new(seed));
    let identity = Identity { person: name.to_owned(), service: SERVICE.to_owned() };
    Core::open(Box::new(disk.clone()), provider, &identity, trust, settings.clone())
}
