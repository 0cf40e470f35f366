//! A census of secrets: after each step of a client, which are in its memory and in its files that should be gone.
//!
//! The client is a process of its own ([`client`]). A small library keeps all blocks that it gives back to the allocator
//! until the step is over ([`built_shim`]), so that a secret in a freed block is found even if the block would be
//! used again at once. The searcher stops nothing: the client waits for its next command meanwhile.

pub mod client;
mod files;
pub mod memory;
pub mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use hushwood::group::{CommitId, CommitPlan};
use hushwood::policy::Timestamp;
use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use tempfile::TempDir;
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;

use crate::event::{self, Event, Kind};
use crate::needles::Needles;

use files::Files;
use memory::Place;
use model::{Model, Step};

/// What a census counts.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Steps of the client, after each of which everything was searched.
    pub steps: u64,
    /// Secrets that were told of.
    pub secrets: u64,
    /// Of these, those that had to be gone at the end.
    pub dead: u64,
    /// Those that had to be gone and were there: where, what they are, and after what.
    pub found: BTreeMap<(String, String, String), u64>,
    /// Dead secrets on stacks, after how many steps, by what they are.
    pub on_stack: BTreeMap<String, u64>,
    /// Secrets that may be there and are, in memory: to see that we are able to see.
    pub alive: u64,
    /// Keys of erased rows that were in the log before it was emptied.
    pub in_log: u64,
    /// Keys of erased rows that were searched for in the files after the log was emptied.
    pub erased_rows: u64,
    /// Of these, those that were in memory then: in pages that SQLite has given back or keeps. They open what may be left
    /// of a row in the gaps of the file, for who has the store's key as well.
    pub row_keys_in_memory: u64,
}

impl Census {
    /// How many were found that should not be there.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.found.values().sum()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.steps += other.steps;
        self.secrets += other.secrets;
        self.dead += other.dead;
        self.alive += other.alive;
        self.in_log += other.in_log;
        self.erased_rows += other.erased_rows;
        self.row_keys_in_memory += other.row_keys_in_memory;
        other.found.into_iter().for_each(|(key, count)| *self.found.entry(key).or_default() += count);
        other.on_stack.into_iter().for_each(|(key, count)| *self.on_stack.entry(key).or_default() += count);
        self
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, secrets, dead, alive, in_log, erased_rows, .. } = self;
        writeln!(
            f,
            "{steps} steps, {secrets} secrets, of which {dead} dead at the end; {alive} sightings of live ones"
        )?;
        writeln!(
            f,
            "{in_log} sightings of keys of erased rows in the log, {erased_rows} keys searched for after it was emptied"
        )?;
        writeln!(f, "{} sightings of such keys in memory", self.row_keys_in_memory)?;
        for ((place, name, command), count) in &self.found {
            writeln!(f, "FOUND {count} times in {place} after `{command}`: {name}")?;
        }
        for (name, count) in &self.on_stack {
            writeln!(f, "on the stack {count} times: {name}")?;
        }
        Ok(())
    }
}

/// How the client is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program `thief`.
    pub path: PathBuf,
    /// The library that keeps freed blocks; without it only what is not used again is seen.
    pub shim: Option<PathBuf>,
}

/// Builds that library beside the program, with the C compiler.
///
/// # Errors
/// There is no compiler, or it fails.
pub fn built_shim(folder: &Path) -> std::io::Result<PathBuf> {
    let library = folder.join(concat!("thief-shim-", env!("CARGO_PKG_VERSION"), ".so"));
    let work = tempfile::tempdir_in(folder)?;
    let (source, made) = (work.path().join("shim.c"), work.path().join("shim.so"));
    std::fs::write(&source, include_str!("../../shim/shim.c"))?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command
        .args(["-O2", "-Wall", "-shared", "-fPIC", "-o"])
        .arg(&made)
        .arg(&source)
        .args(["-ldl", "-lpthread"]);
    if !command.status()?.success() {
        return Err(std::io::Error::other("the C compiler does not build shim.c"));
    }
    // Others may build it at the same time: each is whole, and they are the same.
    std::fs::rename(made, &library)?;
    Ok(library)
}

/// A client that is searched, and the members around it.
pub struct Scene {
    child: Child,
    stream: UnixStream,
    model: Model,
    files: Files,
    others: Vec<Actor>,
    dice: SeededRandom,
    now: u64,
    census: Census,
    folder: TempDir,
    setting: (CryptoProvider, CipherSuiteId),
    waiting: Vec<Vec<u8>>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Scene {
    /// A group of three, of whom the client is one.
    ///
    /// # Panics
    /// If the client does not start, or something else does not work; so do the others.
    #[must_use]
    pub fn new(program: &Program, provider: &str, suite: CipherSuiteId, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (socket, store) = (folder.path().join("socket"), folder.path().join("store"));
        let listener = UnixListener::bind(&socket).unwrap();
        let mut command = Command::new(&program.path);
        command
            .arg(client::CLIENT)
            .arg(&socket)
            .arg(&store)
            .arg(provider)
            .arg(suite.0.to_string())
            .arg(seed.to_string());
        command.env("RAYON_NUM_THREADS", "1");
        if let Some(shim) = &program.shim {
            command.env("LD_PRELOAD", shim);
        }
        let child = command.spawn().unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // Of the others nothing is recorded: a client has only its own.
        let provider =
            if provider == "rustcrypto" { hushwood_rustcrypto::PROVIDER } else { hushwood_aws_lc::PROVIDER };
        let mut scene = Self {
            child,
            stream,
            model: Model::default(),
            files: Files::new(store),
            others: Vec::new(),
            dice: SeededRandom::new(seed),
            now: NOW.0,
            census: Census::default(),
            folder,
            setting: (provider, suite),
            waiting: Vec::new(),
        };
        scene.begin();
        scene
    }

    fn begin(&mut self) {
        let (provider, suite) = self.setting;
        let names = ["alice", "bob", "carol"];
        let others = names.iter().zip(7..).map(|(name, seed)| Actor::new(name, provider, suite, seed));
        self.others = others.collect();
        self.others.iter_mut().for_each(|other| other.reload = false);
        self.others[0].create();
        let mut key_packages = vec![self.tell("key package", b"").unwrap()];
        key_packages.extend(self.others[1..].iter_mut().map(Actor::key_package));
        let (_, change) = self.others[0].invite(&key_packages).unwrap();
        let welcome = change.welcomes[0].message.clone();
        for other in &mut self.others[1..] {
            other.join(&welcome, None).unwrap();
        }
        self.tell("join", &welcome).unwrap();
    }

    /// The client does something, then everything is searched: its reply, or the text of its error.
    ///
    /// # Errors
    /// That text.
    pub fn tell(&mut self, command: &str, argument: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        event::write(&mut self.stream, Kind::Done, &[command.as_bytes(), argument]).unwrap();
        let mut events = Vec::new();
        let done = loop {
            let event = Event::read(&mut self.stream).unwrap();
            if event.kind == Kind::Done {
                break event;
            }
            events.push(event);
        };
        let [made, reply, context, tree] = &done.parts[..] else { panic!("four parts") };
        let step = Step { command, made: made[0] == 1, context, tree, now: self.now };
        self.model.learn(&events, &step);
        self.search(command);
        if step.made { Ok(reply.clone()) } else { Err(reply.clone()) }
    }

    fn search(&mut self, command: &str) {
        self.census.steps += 1;
        let (dead, alive) = self.model.census();
        // A nonce that was tried has its end in common with the one that it was made from, which may live: so the living come
        // first, and what they share is theirs.
        let mut secrets = alive.clone();
        secrets.extend(&dead);
        let needles = Needles::of(secrets.iter().copied());
        let mut seen = Vec::new();
        for sighting in memory::search(self.child.id(), &needles).unwrap() {
            match sighting.needle < alive.len() {
                true => self.census.alive += 1,
                false => seen.push((format!("{:?}", sighting.place), sighting.needle)),
            }
        }
        // The files are sealed: nothing is there in any case.
        self.files.read();
        seen.extend(self.files.pieces(&needles).into_iter().map(|needle| ("files".to_owned(), needle)));
        seen.sort_unstable();
        seen.dedup();
        let stack = format!("{:?}", Place::Stack);
        for (place, needle) in seen {
            let name = self.model.name(secrets[needle]);
            match place == stack {
                true => *self.census.on_stack.entry(name).or_default() += 1,
                false => {
                    *self.census.found.entry((place, name, command.to_owned())).or_default() += 1;
                }
            }
        }
        let (dead, all) = (dead.len(), secrets.len());
        self.census.dead = u64::try_from(dead).unwrap();
        self.census.secrets = u64::try_from(all).unwrap();
        self.search_row_keys(command);
    }

    /// The keys of erased rows: gone from the files when the log was emptied.
    fn search_row_keys(&mut self, command: &str) {
        let erased = self.files.erased_rows();
        let needles = Needles::of(erased.iter().copied());
        let found: BTreeSet<_> = self.files.pieces(&needles).into_iter().collect();
        let found = u64::try_from(found.len()).unwrap();
        if command != "checkpoint" {
            self.census.in_log += found;
            return;
        }
        self.census.erased_rows += u64::try_from(erased.len()).unwrap();
        if found > 0 {
            let place = ("files".to_owned(), "key of an erased row".to_owned(), command.to_owned());
            *self.census.found.entry(place).or_default() += found;
        }
        let in_memory = memory::search(self.child.id(), &needles).unwrap();
        let in_memory: BTreeSet<_> = in_memory.into_iter().map(|sighting| sighting.needle).collect();
        self.census.row_keys_in_memory += u64::try_from(in_memory.len()).unwrap();
    }

    /// A random step of the conversation.
    pub fn act(&mut self) {
        let who = self.dice.below(self.others.len());
        match self.dice.below(100) {
            0..30 => {
                let message = self.others[who].send(b"from another").unwrap();
                match self.dice.below(3) {
                    0 => self.waiting.push(message),
                    _ => drop(self.tell("receive", &message)),
                }
            }
            30..45 => drop(self.tell("send", b"from the client").unwrap()),
            45..53 if !self.waiting.is_empty() => {
                let message = self.waiting.remove(self.dice.below(self.waiting.len()));
                let _ = self.tell("receive", &message);
            }
            53..58 => {
                let mut message = self.others[who].send(b"to be changed").unwrap();
                let last = message.len() - 1 - self.dice.below(20);
                message[last] ^= 1;
                self.tell("receive", &message).unwrap_err();
            }
            58..66 => self.other_commits(who),
            66..74 => {
                let commit = self.tell("commit", b"").unwrap();
                self.deliver(&commit, None);
                self.tell("apply", b"").unwrap();
            }
            74..78 => {
                self.tell("commit", b"").unwrap();
                self.tell("discard", b"").unwrap();
            }
            78..82 => {
                self.tell("commit", b"").unwrap();
                self.other_commits(who);
            }
            82..86 => {
                let update = self.tell("update", b"").unwrap();
                self.deliver(&update, None);
                self.other_commits(who);
            }
            86..88 => {
                let (provider, suite) = self.setting;
                let seed = self.dice.number();
                let mut newcomer = Actor::new(&format!("newcomer {seed}"), provider, suite, seed);
                newcomer.reload = false;
                newcomer.now = Timestamp(self.now);
                let commit = self.tell("invite", &newcomer.key_package()).unwrap();
                self.deliver(&commit, None);
                let welcome = self.tell("apply", b"").unwrap();
                newcomer.join(&welcome, None).unwrap();
                self.others.push(newcomer);
            }
            88..91 => {
                self.now += 400;
                let now = self.now;
                self.others.iter_mut().for_each(|other| other.now = Timestamp(now));
                self.tell("expire", &now.to_be_bytes()).unwrap();
            }
            91..93 => drop(self.tell("export", b"context").unwrap()),
            93..95 => drop(self.tell("reopen", b"").unwrap()),
            _ => drop(self.tell("checkpoint", b"").unwrap()),
        }
    }

    fn other_commits(&mut self, who: usize) {
        let (id, commit): (CommitId, _) = self.others[who].commit(CommitPlan::default()).unwrap();
        self.others[who].apply(&id).unwrap();
        self.deliver(&commit, Some(who));
        self.tell("receive", &commit).unwrap();
    }

    fn deliver(&mut self, handshake: &[u8], from: Option<usize>) {
        for (number, other) in self.others.iter_mut().enumerate() {
            if Some(number) != from {
                other.receive(handshake).unwrap();
            }
        }
    }

    /// Ends it: the log is emptied, and everything is searched once more.
    #[must_use]
    pub fn end(mut self) -> Census {
        self.tell("checkpoint", b"").unwrap();
        std::mem::take(&mut self.census)
    }

    /// The folder of the client, with its store and its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A census over a conversation of so many steps.
#[must_use]
pub fn run(program: &Program, provider: &str, suite: CipherSuiteId, seed: u64, steps: u32) -> Census {
    let mut scene = Scene::new(program, provider, suite, seed);
    for _ in 0..steps {
        scene.act();
    }
    scene.end()
}
