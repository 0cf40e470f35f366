//! The working group's scenarios, each with all its variants.
//!
//! The same conversations as `interop/configs` of mls-implementations has: seven scenarios, 39 variants, which is
//! 78 cases for one client, both handshake modes and a suite. What differs:
//!
//! - Everybody who is in the group handles each commit (there, the second commit of `commit/add` leaves a member
//!   behind).
//! - In `branch`, `force_path` and `external_tree` are carried out (there, the configuration has them under other
//!   names than the runner reads, so that three of the four variants are the same).

use crate::script::{
    Extension, Form, NO_EXTERNAL_SENDERS, NextGroup, Plan, Proposed, REQUIRED_CAPABILITIES, Script, Step,
    StepId,
};

/// A scenario and its variants.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// For `--scenario` and the table.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// The variants.
    pub scripts: Vec<Script>,
}

/// All of them, in the order of the table.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "welcome_join",
            about: "one member adds another, who joins by a Welcome",
            scripts: welcome_join(),
        },
        Scenario { name: "commit", about: "every proposal, by reference and by value", scripts: commit() },
        Scenario {
            name: "application",
            about: "messages, in order, out of order, and late by an epoch",
            scripts: application(),
        },
        Scenario { name: "external_join", about: "joining by an external commit", scripts: external_join() },
        Scenario {
            name: "external_proposals",
            about: "proposals from those who want to join, and from external senders",
            scripts: external_proposals(),
        },
        Scenario { name: "branch", about: "a subgroup of a group's members", scripts: branch() },
        Scenario { name: "reinit", about: "a group that goes on with other parameters", scripts: reinit() },
    ]
}

fn welcome_join() -> Vec<Script> {
    let plain = |name, about, plan: fn(StepId) -> Plan| {
        let mut script = Script::new("welcome_join", name, about);
        script.create_group("alice", []);
        let key_package = script.key_package("bob");
        let add = script.propose("alice", Proposed::Add(key_package));
        script.commit("alice", plan(add));
        script
    };
    vec![
        plain("no_path_secret", "an Add without a path: the Welcome has no path secret", |add| {
            Plan::of([add])
        }),
        plain("with_path_secret", "an Add with a path: the Welcome has a path secret", |add| {
            Plan::of([add]).forcing_path()
        }),
        {
            let mut script =
                Script::new("welcome_join", "with_psk", "the joiner needs an external pre-shared key");
            script.create_group("alice", []);
            let key_package = script.key_package("bob");
            let add = script.propose("alice", Proposed::Add(key_package));
            let psk = script.psk(["alice", "bob"]);
            let inject = script.propose("alice", Proposed::ExternalPsk(psk));
            script.commit("alice", Plan::of([add, inject]));
            script
        },
        plain("with_external_tree", "the ratchet tree comes beside the Welcome", |add| {
            Plan::of([add]).tree_outside()
        }),
    ]
}

fn commit() -> Vec<Script> {
    vec![
        commit_empty(),
        commit_add(),
        commit_remove(),
        commit_update(),
        commit_group_context_extensions(),
        commit_external_psk(),
        commit_resumption_psk(),
        commit_all_together("all_together_alice_proposes", "alice"),
        commit_all_together("all_together_bob_proposes", "bob"),
    ]
}

fn commit_empty() -> Script {
    let mut script = Script::new("commit", "empty", "a commit without proposals");
    script.create_group("alice", ["bob"]);
    script.commit("alice", Plan::default());
    script
}

fn commit_add() -> Script {
    let mut script = Script::new(
        "commit",
        "add",
        "Adds by the committer, by another member and by value, with and without a path",
    );
    script.create_group("alice", ["bob"]);
    for (force_path, joiners) in
        [(true, ["charlie1", "charlie2", "charlie3"]), (false, ["charlie4", "charlie5", "charlie6"])]
    {
        let [first, second, third] = joiners.map(|joiner| script.key_package(joiner));
        let own = script.propose("alice", Proposed::Add(first));
        let others = script.propose("bob", Proposed::Add(second));
        let plan = Plan::of([own, others]).with([Proposed::Add(third)]);
        script.commit("alice", if force_path { plan.forcing_path() } else { plan });
    }
    script
}

fn commit_remove() -> Script {
    let mut script =
        Script::new("commit", "remove", "Removes by the committer, by another member and by value");
    script.create_group("alice", ["bob"]);
    let adds = ["charlie1", "charlie2", "charlie3"]
        .map(|joiner| script.key_package(joiner))
        .map(|key_package| script.propose("alice", Proposed::Add(key_package)));
    script.commit("alice", Plan::of(adds));
    let own = script.propose("alice", Proposed::Remove("charlie1".into()));
    let others = script.propose("bob", Proposed::Remove("charlie2".into()));
    script.commit("alice", Plan::of([own, others]).with([Proposed::Remove("charlie3".into())]));
    script
}

fn commit_update() -> Script {
    let mut script = Script::new("commit", "update", "an Update of a member that does not commit");
    script.create_group("alice", ["bob"]);
    let update = script.propose("bob", Proposed::Update);
    script.commit("alice", Plan::of([update]));
    script
}

fn commit_group_context_extensions() -> Script {
    let mut script = Script::new(
        "commit",
        "group_context_extensions",
        "extensions of the group set, emptied by another member, and set by value",
    );
    script.create_group("alice", ["bob"]);
    let set = script.propose("alice", Proposed::GroupContextExtensions(both_extensions()));
    script.commit("alice", Plan::of([set]));
    let emptied = script.propose("bob", Proposed::GroupContextExtensions(Vec::new()));
    script.commit("alice", Plan::of([emptied]));
    let by_value = Proposed::GroupContextExtensions(vec![REQUIRED_CAPABILITIES]);
    script.commit("alice", Plan::default().with([by_value]));
    script
}

fn commit_external_psk() -> Script {
    let mut script =
        Script::new("commit", "external_psk", "three external pre-shared keys, with and without a path");
    script.create_group("alice", ["bob"]);
    let [first, second, third] = [(); 3].map(|()| script.psk(["alice", "bob"]));
    for force_path in [true, false] {
        let own = script.propose("alice", Proposed::ExternalPsk(first));
        let others = script.propose("bob", Proposed::ExternalPsk(second));
        let plan = Plan::of([own, others]).with([Proposed::ExternalPsk(third)]);
        script.commit("alice", if force_path { plan.forcing_path() } else { plan });
    }
    script
}

fn commit_resumption_psk() -> Script {
    let mut script = Script::new("commit", "resumption_psk", "pre-shared keys of earlier epochs");
    script.create_group("alice", ["bob"]);
    script.commit("alice", Plan::default());
    script.commit("alice", Plan::default());
    for [first, second, third] in [[1, 2, 3], [2, 3, 4]] {
        let own = script.propose("alice", Proposed::ResumptionPsk(first));
        let others = script.propose("bob", Proposed::ResumptionPsk(second));
        let plan = Plan::of([own, others]).with([Proposed::ResumptionPsk(third)]);
        script.commit("alice", plan.forcing_path());
    }
    script
}

/// Every proposal in one commit. Those whom it adds can't join, as they lack the pre-shared keys.
fn commit_all_together(name: &'static str, proposer: &'static str) -> Script {
    let mut script = Script::new("commit", name, "every kind of proposal in one commit");
    script.create_group("alice", ["bob"]);
    let adds = ["charlie1", "charlie2"]
        .map(|joiner| script.key_package(joiner))
        .map(|key_package| script.propose("alice", Proposed::Add(key_package)));
    script.commit("alice", Plan::of(adds));
    let [first, second] = [(); 2].map(|()| script.psk(["alice", "bob"]));
    let charlie3 = script.key_package("charlie3");
    let mut by_reference = vec![
        script.propose(proposer, Proposed::Add(charlie3)),
        script.propose(proposer, Proposed::Remove("charlie1".into())),
        script.propose(proposer, Proposed::GroupContextExtensions(both_extensions())),
        script.propose(proposer, Proposed::ExternalPsk(first)),
        script.propose(proposer, Proposed::ResumptionPsk(1)),
    ];
    // RFC 9420 §12.2, C262: a committer can't commit its own Update.
    if proposer != "alice" {
        by_reference.push(script.propose(proposer, Proposed::Update));
    }
    let charlie4 = script.key_package("charlie4");
    let by_value = [
        Proposed::Add(charlie4),
        Proposed::Remove("charlie2".into()),
        Proposed::ExternalPsk(second),
        Proposed::ResumptionPsk(2),
    ];
    let plan = Plan { by_reference, ..Plan::default() };
    script.commit("alice", plan.with(by_value).without(["charlie3", "charlie4"]));
    script
}

fn application() -> Vec<Script> {
    let three = |name, about, order: [usize; 3]| {
        let mut script = Script::new("application", name, about);
        script.create_group("alice", ["bob"]);
        let sent = [1, 2, 3].map(|number| message(&mut script, number));
        for message in order.iter().filter_map(|position| sent.get(*position)) {
            script.unprotect("bob", *message);
        }
        script
    };
    vec![
        three("in_order", "three messages, read as they were sent", [0, 1, 2]),
        three("out_of_order_within_epoch", "three messages, the last one first", [2, 1, 0]),
        {
            let about = "four messages around a commit, the last one first";
            let mut script = Script::new("application", "out_of_order_across_epochs", about);
            script.create_group("alice", ["bob"]);
            let before = [1, 2].map(|number| message(&mut script, number));
            script.commit("alice", Plan::default());
            let after = [3, 4].map(|number| message(&mut script, number));
            for message in before.into_iter().chain(after).rev() {
                script.unprotect("bob", message);
            }
            script
        },
    ]
}

fn message(script: &mut Script, number: u32) -> StepId {
    script.protect("alice", &format!("in the clear {number}"), &format!("message {number}"))
}

fn external_join() -> Vec<Script> {
    let joining = |psks, remove_prior, external_tree| Step::ExternalJoin {
        joiner: "bob".into(),
        via: "alice".into(),
        psks,
        remove_prior,
        external_tree,
    };
    let two = |name, about| {
        let mut script = Script::new("external_join", name, about);
        script.create_group("alice", []);
        script
    };
    vec![
        {
            let mut script = two("normal", "a group of one, and one who joins");
            script.step(joining(vec![], false, false));
            script
        },
        {
            let mut script = two("with_psk", "with an external pre-shared key in the commit");
            let psk = script.psk(["alice"]);
            script.step(joining(vec![psk], false, false));
            script
        },
        {
            let mut script = two("removing_prior", "joining again, in place of the former leaf");
            script.step(joining(vec![], false, false));
            script.step(joining(vec![], true, false));
            script
        },
        {
            let mut script = two("with_external_tree", "the ratchet tree comes beside the GroupInfo");
            script.step(joining(vec![], false, true));
            script
        },
        {
            let about = "a group of four, one of whom gives the GroupInfo";
            let mut script = Script::new("external_join", "with_more_members", about);
            script.create_group("alice", ["bob", "charlie", "diana"]);
            script.step(Step::ExternalJoin {
                joiner: "ellen".into(),
                via: "diana".into(),
                psks: vec![],
                remove_prior: false,
                external_tree: false,
            });
            script
        },
    ]
}

fn external_proposals() -> Vec<Script> {
    vec![
        external_joiner_signed_add(),
        external_add(),
        external_single("external_remove", "a Remove by an external sender", |_| {
            Proposed::Remove("bob".into())
        }),
        external_psk(),
        external_single("resumption_psk", "a resumption key proposed by an external sender", |_| {
            Proposed::ResumptionPsk(2)
        }),
        external_single("group_context_extensions", "extensions proposed by an external sender", |_| {
            Proposed::GroupContextExtensions(vec![REQUIRED_CAPABILITIES])
        }),
        external_multiple(),
        external_reinit(),
    ]
}

fn external_joiner_signed_add() -> Script {
    let about = "one who wants to join proposes it";
    let mut script = Script::new("external_proposals", "joiner_signed_add", about);
    script.create_group("alice", []);
    let add = script.step(Step::ProposeAsNewMember { joiner: "bob".into(), via: "alice".into() });
    script.commit("alice", Plan::of([add]));
    script
}

fn external_add() -> Script {
    let mut script = Script::new("external_proposals", "external_add", "an Add by an external sender");
    script.create_group("alice", ["bob"]);
    external_sender(&mut script, "ds");
    let key_package = script.key_package("charlie");
    let add = from_outside(&mut script, "ds", Proposed::Add(key_package));
    script.commit("alice", Plan::of([add]));
    script
}

fn external_psk() -> Script {
    let about = "a pre-shared key proposed by an external sender";
    let mut script = Script::new("external_proposals", "external_psk", about);
    script.create_group("alice", ["bob", "charlie"]);
    let psk = script.psk(["alice", "bob", "charlie"]);
    external_sender(&mut script, "ds");
    let inject = from_outside(&mut script, "ds", Proposed::ExternalPsk(psk));
    script.commit("alice", Plan::of([inject]));
    script
}

/// Three members, an external sender, and one proposal of it.
fn external_single(name: &'static str, about: &'static str, what: fn(&mut Script) -> Proposed) -> Script {
    let mut script = Script::new("external_proposals", name, about);
    script.create_group("alice", ["bob", "charlie"]);
    external_sender(&mut script, "ds");
    let what = what(&mut script);
    let proposal = from_outside(&mut script, "ds", what);
    script.commit("alice", Plan::of([proposal]));
    script
}

fn external_multiple() -> Script {
    let about = "two external senders, one of whom proposes twice";
    let mut script = Script::new("external_proposals", "multiple_external", about);
    script.create_group("alice", ["bob", "charlie"]);
    let psks = [(); 2].map(|()| script.psk(["alice", "bob", "charlie"]));
    external_sender(&mut script, "ds1");
    external_sender(&mut script, "ds2");
    let proposals = psks.map(|psk| from_outside(&mut script, "ds1", Proposed::ExternalPsk(psk)));
    script.commit("alice", Plan::of(proposals));
    script
}

fn external_reinit() -> Script {
    let mut script = Script::new("external_proposals", "external_reinit", "a ReInit by an external sender");
    script.create_group("alice", ["bob", "charlie"]);
    external_sender(&mut script, "ds");
    let next =
        NextGroup { change_group_id: true, change_suite: true, extensions: vec![REQUIRED_CAPABILITIES] };
    let proposal = from_outside(&mut script, "ds", Proposed::ReInit(next));
    let form = Form { force_path: true, external_tree: false };
    script.step(Step::ReInit { proposal, committer: "alice".into(), welcomer: "bob".into(), form });
    script
}

fn external_sender(script: &mut Script, signer: &'static str) {
    let add = script.step(Step::AddExternalSigner { actor: "alice".into(), signer: signer.into() });
    script.commit("alice", Plan::of([add]));
}

fn from_outside(script: &mut Script, signer: &'static str, what: Proposed) -> StepId {
    script.step(Step::ProposeFromOutside { signer: signer.into(), via: "alice".into(), what })
}

fn branch() -> Vec<Script> {
    let variant = |name, about, extensions, form| {
        let mut script = Script::new("branch", name, about);
        script.create_group("alice", ["bob", "charlie", "diana", "eliza"]);
        script.step(Step::Branch { actor: "alice".into(), extensions, form });
        script
    };
    let form = |force_path, external_tree| Form { force_path, external_tree };
    vec![
        variant("base", "a subgroup of all", vec![], form(false, false)),
        variant("with_extensions", "a subgroup with extensions", both_extensions(), form(false, false)),
        variant("external_tree", "the ratchet tree comes beside the Welcome", vec![], form(false, true)),
        variant("force_path", "a first commit with a path", vec![], form(true, false)),
    ]
}

fn reinit() -> Vec<Script> {
    let variant = |name, about, [proposer, committer, welcomer]: [&'static str; 3], next, form| {
        let mut script = Script::new("reinit", name, about);
        script.create_group("alice", ["bob", "charlie", "diana", "eliza"]);
        let proposal = script.propose(proposer, Proposed::ReInit(next));
        script.step(Step::ReInit { proposal, committer: committer.into(), welcomer: welcomer.into(), form });
        script
    };
    let three = ["alice", "bob", "charlie"];
    let other_id = || NextGroup { change_group_id: true, ..NextGroup::default() };
    vec![
        variant(
            "change_ciphersuite",
            "to another suite, with the same group ID",
            three,
            NextGroup { change_suite: true, ..NextGroup::default() },
            Form::default(),
        ),
        variant("change_group_id", "to another group ID", three, other_id(), Form::default()),
        variant(
            "change_extensions",
            "to other extensions, with the same group ID",
            three,
            NextGroup { extensions: both_extensions(), ..NextGroup::default() },
            Form::default(),
        ),
        variant(
            "all_same_actor",
            "one member proposes, commits and welcomes",
            ["alice"; 3],
            other_id(),
            Form::default(),
        ),
        variant(
            "external_tree",
            "the ratchet tree comes beside the Welcome",
            three,
            other_id(),
            Form { force_path: false, external_tree: true },
        ),
        variant(
            "force_path",
            "a first commit with a path",
            three,
            other_id(),
            Form { force_path: true, external_tree: false },
        ),
    ]
}

fn both_extensions() -> Vec<Extension> {
    vec![REQUIRED_CAPABILITIES, NO_EXTERNAL_SENDERS]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check;

    #[test]
    fn variants_are_as_many_as_the_working_group_has() {
        let counts: Vec<_> =
            all().iter().map(|scenario| (scenario.name, scenario.scripts.len() * 2)).collect();
        // Cases of one client and one suite, in both handshake modes.
        let working_group = [
            ("welcome_join", 8),
            ("commit", 18),
            ("application", 6),
            ("external_join", 10),
            ("external_proposals", 16),
            ("branch", 8),
            ("reinit", 12),
        ];
        assert_eq!(counts, working_group);
        assert_eq!(counts.iter().map(|(_, cases)| cases).sum::<usize>(), 78);
    }

    #[test]
    fn names_are_distinct_and_scripts_stand_under_their_scenario() {
        let mut names = BTreeSet::new();
        for scenario in all() {
            for script in &scenario.scripts {
                assert_eq!(script.scenario, scenario.name);
                assert!(names.insert(script.full_name()), "{} is there twice", script.full_name());
            }
        }
    }

    #[test]
    fn actors_are_as_many_as_the_working_group_has() {
        let actors = |name: &str| {
            let scripts = all().into_iter().flat_map(|scenario| scenario.scripts);
            let script = scripts.into_iter().find(|script| script.full_name() == name).unwrap();
            script.actors().len()
        };
        for (name, count) in [
            ("welcome_join/with_psk", 2),
            ("commit/add", 8),
            ("commit/remove", 5),
            ("commit/all_together_bob_proposes", 6),
            ("external_join/with_more_members", 5),
            ("external_proposals/external_add", 4),
            ("external_proposals/multiple_external", 5),
            ("branch/base", 5),
            ("reinit/all_same_actor", 5),
        ] {
            assert_eq!(actors(name), count, "{name}");
        }
    }

    #[test]
    fn steps_name_only_what_earlier_steps_made() {
        for script in all().into_iter().flat_map(|scenario| scenario.scripts) {
            check::check(&script).unwrap();
        }
    }
}
