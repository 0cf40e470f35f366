//! ts-mls as a peer: the package from npm, in Node, over lines of JSON.
//!
//! `peers/node/ts-mls-peer.mjs` does what a member is asked to do; here the questions are put and the answers read. Each
//! thread that plays has a process of its own, which serves all members of its conversations.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value, json};

use crate::{
    json_lines::{NoAnswer, Program},
    peer::{
        CipherSuite, CommitOptions, Committed, Created, EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LENGTH,
        Extension, ExternalJoin, Member, MemberEntry, Outcome, PRIVATE_USE_EXTENSION, Peer, PeerError,
        Proposal, ProposalType, Settings, View, WireFormat,
    },
};

/// The published package `ts-mls`.
pub struct TsMls {
    start: Box<dyn Fn() -> Command + Send + Sync>,
    limit: Duration,
    suites: Vec<CipherSuite>,
    /// By the thread that asks, so that threads don't wait for each other.
    programs: Mutex<HashMap<ThreadId, Arc<Mutex<Program>>>>,
}

impl TsMls {
    /// In Node, with the packages that `npm ci` has put into `peers/node`.
    ///
    /// # Errors
    /// A text for whoever started this, where Node or the packages are missing.
    pub fn in_node() -> Result<Self, String> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "node"].iter().collect();
        if !folder.join("node_modules/ts-mls").is_dir() {
            return Err(format!(
                "ts-mls is not installed: run `npm ci` in {}, or `cargo xtask peers --node`, which does",
                folder.display()
            ));
        }
        let script = folder.join("ts-mls-peer.mjs");
        let start = move || {
            let mut command = Command::new("node");
            command.arg(&script).current_dir(script.parent().unwrap_or(Path::new(".")));
            command
        };
        Self::new(start, LIMIT).map_err(|error| format!("ts-mls does not run: {error}"))
    }

    /// In whatever program is started, with so much time for an answer.
    ///
    /// # Errors
    /// [`PeerError::Failed`] where it can't be started or does not name its suites.
    pub fn new(
        start: impl Fn() -> Command + Send + Sync + 'static,
        limit: Duration,
    ) -> Result<Self, PeerError> {
        let mut peer = Self { start: Box::new(start), limit, suites: Vec::new(), programs: Mutex::default() };
        let program = peer.program()?;
        let hello = ask(&program, "hello", Map::new())?;
        peer.suites = hello.small_numbers("suites")?.into_iter().map(CipherSuite).collect();
        Ok(peer)
    }

    /// The program of this thread, started anew where it broke.
    fn program(&self) -> Result<Arc<Mutex<Program>>, PeerError> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(&thread::current().id())
            && !lock(program).is_broken()
        {
            return Ok(program.clone());
        }
        let program = Program::start(&mut (self.start)(), self.limit).map_err(|why| failed("start", why))?;
        let program = Arc::new(Mutex::new(program));
        programs.insert(thread::current().id(), program.clone());
        Ok(program)
    }
}

impl Peer for TsMls {
    fn name(&self) -> &'static str {
        "ts-mls"
    }

    fn suites(&self) -> Vec<CipherSuite> {
        self.suites.clone()
    }

    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError> {
        let program = self.program()?;
        let question = json!({
            "identity": base64(&settings.identity),
            "suite": settings.suite.0,
            "publicHandshake": settings.handshake == WireFormat::PublicMessage,
            "supportedExtension": PRIVATE_USE_EXTENSION,
        });
        let answer = ask(&program, "client", fields(question))?;
        Ok(Box::new(TsMlsMember { program, client: answer.number("client")? }))
    }
}

struct TsMlsMember {
    program: Arc<Mutex<Program>>,
    client: u64,
}

impl Drop for TsMlsMember {
    fn drop(&mut self) {
        // A program that broke has forgotten it anyway.
        let _ = self.ask("forget", json!({}));
    }
}

impl Member for TsMlsMember {
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        self.ask("keyPackage", json!({}))?.bytes("keyPackage")
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError> {
        self.ask("addPsk", json!({ "pskId": base64(id), "secret": base64(secret) }))?;
        Ok(())
    }

    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError> {
        self.ask("create", json!({ "groupId": base64(group_id) }))?;
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        self.ask("join", json!({ "welcome": base64(welcome), "tree": tree.map(base64) }))?;
        Ok(())
    }

    /// With `resync`, ts-mls finds the leaf of the earlier self by its signature key.
    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError> {
        if !join.psks.is_empty() {
            return Err(PeerError::Unsupported("no API for PSKs in an external commit"));
        }
        self.ask(
            "externalCommit",
            json!({
                "groupInfo": base64(join.group_info),
                "tree": join.tree.map(base64),
                "resync": join.resync.is_some(),
            }),
        )?
        .bytes("commit")
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError> {
        self.ask("propose", json!({ "proposal": proposal_out(proposal) }))?.bytes("proposal")
    }

    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError> {
        let by_value: Vec<_> = by_value.iter().map(proposal_out).collect();
        let answer = self.ask(
            "commit",
            json!({
                "byValue": by_value,
                "treeInWelcome": options.tree_in_welcome,
                "separateWelcomes": options.separate_welcomes,
            }),
        )?;
        Ok(Committed {
            commit: answer.bytes("commit")?,
            welcomes: answer.all_bytes("welcomes")?,
            tree: answer.bytes_or_none("tree")?,
        })
    }

    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError> {
        self.ask("applyPending", json!({}))?.proposal_types("proposals")
    }

    fn discard_pending(&mut self) -> Result<(), PeerError> {
        self.ask("discardPending", json!({}))?;
        Ok(())
    }

    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError> {
        let answer = self.ask("process", json!({ "message": base64(message) }))?;
        match answer.text("kind")? {
            "application" => Ok(Outcome::Application {
                plaintext: answer.bytes("plaintext")?,
                aad: answer.bytes("aad")?,
                sender: answer.bytes("sender")?,
            }),
            "commit" => Ok(Outcome::Commit {
                proposals: answer.proposal_types("proposals")?,
                removed: answer.flag("removed")?,
            }),
            "proposal" => Ok(Outcome::Proposal(ProposalType(answer.small_number("proposal")?))),
            _ => Err(answer.wrong("kind")),
        }
    }

    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError> {
        self.ask("send", json!({ "plaintext": base64(plaintext), "aad": base64(aad) }))?.bytes("message")
    }

    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError> {
        self.ask("groupInfo", json!({ "withTree": with_tree }))?.bytes("groupInfo")
    }

    fn view(&self) -> Result<View, PeerError> {
        let answer = self.ask(
            "view",
            json!({
                "label": EXPORTER_LABEL,
                "context": base64(EXPORTER_CONTEXT),
                "length": EXPORTER_LENGTH,
            }),
        )?;
        let member = |entry: &Answer| {
            Ok(MemberEntry {
                leaf_index: entry.small_number("leafIndex")?,
                identity: entry.bytes("identity")?,
                signature_key: entry.bytes("signatureKey")?,
            })
        };
        let extension = |entry: &Answer| {
            Ok(Extension { extension_type: entry.small_number("extensionType")?, data: entry.bytes("data")? })
        };
        Ok(View {
            epoch: answer.number("epoch")?,
            epoch_authenticator: answer.bytes("epochAuthenticator")?,
            exported: answer.bytes("exported")?,
            members: answer.entries("members", member)?,
            tree: answer.bytes("tree")?,
            extensions: answer.entries("extensions", extension)?,
        })
    }

    fn reinit_key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        self.ask("reinitKeyPackage", json!({}))?.bytes("keyPackage")
    }

    fn reinit_create(
        &mut self,
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        let question = json!({ "keyPackages": all_base64(key_packages), "treeInWelcome": tree_in_welcome });
        created(&self.ask("reinitCreate", question)?)
    }

    fn reinit_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        self.ask("reinitJoin", json!({ "welcome": base64(welcome), "tree": tree.map(base64) }))?;
        Ok(())
    }

    fn branch_create(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        let question = json!({
            "groupId": base64(group_id),
            "keyPackages": all_base64(key_packages),
            "treeInWelcome": tree_in_welcome,
        });
        created(&self.ask("branchCreate", question)?)
    }

    fn branch_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        self.ask("branchJoin", json!({ "welcome": base64(welcome), "tree": tree.map(base64) }))?;
        Ok(())
    }
}

impl TsMlsMember {
    fn ask(&self, operation: &'static str, question: Value) -> Result<Answer, PeerError> {
        let mut question = fields(question);
        question.insert("client".into(), self.client.into());
        ask(&self.program, operation, question)
    }
}

fn ask(
    program: &Mutex<Program>,
    operation: &'static str,
    question: Map<String, Value>,
) -> Result<Answer, PeerError> {
    let fields = lock(program).ask(operation, question).map_err(|why| failed(operation, why))?;
    Ok(Answer { operation, fields })
}

fn lock(program: &Mutex<Program>) -> MutexGuard<'_, Program> {
    program.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(operation: &str, why: NoAnswer) -> PeerError {
    PeerError::Failed(match why {
        NoAnswer::Broken(why) => format!("ts-mls is gone: {why}"),
        NoAnswer::Refused(why) => format!("{operation}: {why}"),
    })
}

/// What `json!` makes of braces.
fn fields(object: Value) -> Map<String, Value> {
    if let Value::Object(fields) = object { fields } else { Map::new() }
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

fn all_base64(all: &[Vec<u8>]) -> Vec<String> {
    all.iter().map(|bytes| base64(bytes)).collect()
}

fn proposal_out(proposal: &Proposal) -> Value {
    match proposal {
        Proposal::Add(key_package) => json!({ "kind": "add", "keyPackage": base64(key_package) }),
        Proposal::Update => json!({ "kind": "update" }),
        Proposal::Remove(leaf) => json!({ "kind": "remove", "leafIndex": leaf }),
        Proposal::ExternalPsk(id) => json!({ "kind": "externalPsk", "pskId": base64(id) }),
        Proposal::ResumptionPsk(epoch) => json!({ "kind": "resumptionPsk", "epoch": epoch }),
        Proposal::ReInit { group_id, suite } => {
            json!({ "kind": "reinit", "groupId": base64(group_id), "suite": suite.0 })
        }
        Proposal::GroupContextExtensions(extensions) => {
            let extensions: Vec<_> = extensions
                .iter()
                .map(|e| json!({ "extensionType": e.extension_type, "data": base64(&e.data) }))
                .collect();
            json!({ "kind": "groupContextExtensions", "extensions": extensions })
        }
    }
}

fn created(answer: &Answer) -> Result<Created, PeerError> {
    Ok(Created { welcomes: answer.all_bytes("welcomes")?, tree: answer.bytes_or_none("tree")? })
}

/// What came back. A field that is missing or not what it should be is a failure of the peer.
struct Answer {
    operation: &'static str,
    fields: Value,
}

impl Answer {
    fn wrong(&self, name: &str) -> PeerError {
        PeerError::Failed(format!("{}: the answer has no good `{name}`", self.operation))
    }

    fn field(&self, name: &str) -> Result<&Value, PeerError> {
        self.fields.get(name).ok_or_else(|| self.wrong(name))
    }

    fn text(&self, name: &str) -> Result<&str, PeerError> {
        self.field(name)?.as_str().ok_or_else(|| self.wrong(name))
    }

    fn flag(&self, name: &str) -> Result<bool, PeerError> {
        self.field(name)?.as_bool().ok_or_else(|| self.wrong(name))
    }

    fn number(&self, name: &str) -> Result<u64, PeerError> {
        self.field(name)?.as_u64().ok_or_else(|| self.wrong(name))
    }

    fn small_number<N: TryFrom<u64>>(&self, name: &str) -> Result<N, PeerError> {
        N::try_from(self.number(name)?).map_err(|_| self.wrong(name))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, PeerError> {
        Base64::decode_vec(self.text(name)?).map_err(|_| self.wrong(name))
    }

    fn bytes_or_none(&self, name: &str) -> Result<Option<Vec<u8>>, PeerError> {
        if self.field(name)?.is_null() { Ok(None) } else { self.bytes(name).map(Some) }
    }

    fn entries<T>(
        &self,
        name: &str,
        read: impl Fn(&Answer) -> Result<T, PeerError>,
    ) -> Result<Vec<T>, PeerError> {
        let entries = self.field(name)?.as_array().ok_or_else(|| self.wrong(name))?;
        entries.iter().map(|entry| read(&Self { operation: self.operation, fields: entry.clone() })).collect()
    }

    fn all_bytes(&self, name: &str) -> Result<Vec<Vec<u8>>, PeerError> {
        self.entries(name, |entry| {
            let text = entry.fields.as_str().ok_or_else(|| self.wrong(name))?;
            Base64::decode_vec(text).map_err(|_| self.wrong(name))
        })
    }

    fn small_numbers(&self, name: &str) -> Result<Vec<u16>, PeerError> {
        self.entries(name, |entry| {
            let number = entry.fields.as_u64().and_then(|number| u16::try_from(number).ok());
            number.ok_or_else(|| self.wrong(name))
        })
    }

    fn proposal_types(&self, name: &str) -> Result<Vec<ProposalType>, PeerError> {
        Ok(self.small_numbers(name)?.into_iter().map(ProposalType).collect())
    }
}

/// For one answer. The slowest of its operations takes some seconds where other programs are at work, too.
const LIMIT: Duration = Duration::from_secs(60);
