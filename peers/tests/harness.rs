//! The harness itself: it sees a divergence where there is one, and a seed fixes a conversation.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use peers::{
    mls_rs_peer::MlsRs,
    openmls_peer::OpenMls,
    peer::{
        CipherSuite, CommitOptions, Committed, ExternalJoin, Member, Outcome, Peer, PeerError, Proposal,
        ProposalType, Settings, View, WireFormat,
    },
    random,
    run::{self, Selection, Verdict},
    scenario::{Roles, SCENARIOS},
    table,
    world::Halt,
};

#[test]
fn a_member_that_exports_another_secret_is_a_divergence() {
    assert_seen(Lie::Exporter, "exported secret");
}

#[test]
fn a_member_that_sees_another_list_of_members_is_a_divergence() {
    assert_seen(Lie::Members, "the members otherwise");
}

#[test]
fn a_member_that_reads_another_plaintext_is_a_divergence() {
    assert_seen(Lie::Plaintext, "the message otherwise");
}

#[test]
fn a_member_that_panics_fails_its_conversation_only() {
    let liar = Liar(Lie::Panic);
    let peers: [&dyn Peer; 2] = [&liar, &MlsRs];
    let selection = Selection {
        scenario: Some("join".into()),
        suite: Some(CipherSuite(1)),
        random: 0,
        ..Selection::default()
    };
    let scenes = run::scenes(&peers, &selection);
    assert_eq!(scenes.len(), 12);
    assert!(
        scenes
            .iter()
            .all(|scene| matches!(&scene.verdict, Verdict::Fail(text, _) if text.contains("on purpose")))
    );
    let report = table::report(&scenes, &[], false);
    assert_eq!(report.failed, 12);
    assert!(report.text.ends_with("total: 0 pass, 0 n/a, 12 FAIL\n"));
}

#[test]
fn an_operation_that_a_peer_lacks_is_not_a_pass() {
    let roles = Roles { creator: &OpenMls, committer: &OpenMls, joiner: &MlsRs };
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "branch").unwrap();
    let (halt, _) = scenario.play(roles, CipherSuite(1), WireFormat::PrivateMessage).unwrap_err();
    assert_eq!(halt, Halt::NotAvailable("openmls: no API for branch".into()));
}

#[test]
fn a_seed_fixes_the_conversation() {
    let peers: [&dyn Peer; 2] = [&OpenMls, &MlsRs];
    let first = random::play(7, &peers, None).unwrap();
    let again = random::play(7, &peers, None).unwrap();
    let other = random::play(8, &peers, None).unwrap();
    assert_eq!(first.halt, None);
    assert_eq!(first.steps, again.steps);
    assert_ne!(first.steps, other.steps);
    assert!(first.steps.iter().any(|step| step.contains("openmls")));
    assert!(first.steps.iter().any(|step| step.contains("mls-rs")));
}

fn assert_seen(lie: Lie, words: &str) {
    let liar = Liar(lie);
    let roles = Roles { creator: &OpenMls, committer: &liar, joiner: &MlsRs };
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "application").unwrap();
    match scenario.play(roles, CipherSuite(1), WireFormat::PrivateMessage) {
        Err((Halt::Diverged(text), _)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Lie {
    Exporter,
    Members,
    Panic,
    Plaintext,
}

/// mls-rs, but for one lie.
struct Liar(Lie);

impl Peer for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn suites(&self) -> Vec<CipherSuite> {
        MlsRs.suites()
    }

    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError> {
        Ok(Box::new(LyingMember { inner: MlsRs.client(settings)?, lie: self.0 }))
    }
}

struct LyingMember {
    inner: Box<dyn Member>,
    lie: Lie,
}

impl Member for LyingMember {
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        self.inner.key_package()
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError> {
        self.inner.add_psk(id, secret)
    }

    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError> {
        self.inner.create_group(group_id)
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        self.inner.join(welcome, tree)
    }

    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError> {
        self.inner.external_commit(join)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError> {
        self.inner.propose(proposal)
    }

    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError> {
        self.inner.commit(by_value, options)
    }

    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError> {
        self.inner.apply_pending()
    }

    fn discard_pending(&mut self) -> Result<(), PeerError> {
        self.inner.discard_pending()
    }

    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError> {
        let mut outcome = self.inner.process(message)?;
        if let (Lie::Plaintext, Outcome::Application { plaintext, .. }) = (self.lie, &mut outcome) {
            plaintext.push(b'!');
        }
        Ok(outcome)
    }

    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError> {
        self.inner.send(plaintext, aad)
    }

    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError> {
        self.inner.group_info(with_tree)
    }

    fn view(&self) -> Result<View, PeerError> {
        let mut view = self.inner.view()?;
        match self.lie {
            Lie::Exporter => view.exported.reverse(),
            Lie::Members => view.members.truncate(1),
            Lie::Panic => panic!("on purpose"),
            Lie::Plaintext => {}
        }
        Ok(view)
    }
}
