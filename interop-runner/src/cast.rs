//! Which cases there are: scripts, suites, handshake modes, and who plays whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dice::Dice;
use crate::script::{Actor, Script};

/// How proposals and commits are framed (RFC 9420 §6).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Handshakes {
    /// As PrivateMessage.
    Private,
    /// As PublicMessage.
    Public,
}

/// Which assignments of roles are played.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Roles {
    /// Each distinct one.
    All,
    /// So many distinct ones, drawn from a seed, or all if there are no more.
    Random(usize),
    /// This one: actors by their names, clients by their positions.
    Given(BTreeMap<String, usize>),
}

/// One script, played once.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is played.
    pub script: Arc<Script>,
    /// In which suite.
    pub suite: u16,
    /// With handshakes framed how.
    pub handshakes: Handshakes,
    /// Which client each actor is, by its position.
    pub roles: BTreeMap<Actor, usize>,
}

/// What to play.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Only these suites, or every one that some client has.
    pub suites: Option<Vec<u16>>,
    /// In these modes.
    pub handshakes: Vec<Handshakes>,
    /// Which assignments.
    pub roles: Roles,
    /// What random assignments are drawn from.
    pub seed: u64,
}

/// Why there is nothing to enumerate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoCases {
    /// More assignments than anybody would wait for.
    TooMany {
        /// The script.
        script: String,
        /// Its actors.
        actors: usize,
        /// The clients that have the suite.
        clients: usize,
    },
    /// A role that the command line gives to nobody.
    Unassigned {
        /// The script.
        script: String,
        /// The actor.
        actor: String,
    },
}

/// The most assignments of one script that are listed.
pub const MOST_ASSIGNMENTS: usize = 100_000;

/// Every case of `scripts`, in the order of scripts, suites and modes. `supported` are the suites of each client:
/// a suite is played by those that have it.
///
/// # Errors
/// [`NoCases`] where the roles can't be given out.
pub fn cases(
    scripts: &[Arc<Script>],
    supported: &[Vec<u16>],
    selection: &Selection,
) -> Result<Vec<Case>, NoCases> {
    let named: BTreeSet<u16> = supported.iter().flatten().copied().collect();
    let suites: Vec<u16> = match &selection.suites {
        Some(suites) => suites.iter().copied().filter(|suite| named.contains(suite)).collect(),
        None => named.into_iter().collect(),
    };
    let mut cases = Vec::new();
    for script in scripts {
        for suite in &suites {
            let able: Vec<usize> = supported
                .iter()
                .enumerate()
                .filter(|(_, suites)| suites.contains(suite))
                .map(|(client, _)| client)
                .collect();
            for handshakes in &selection.handshakes {
                for roles in assignments(script, &able, *suite, *handshakes, selection)? {
                    let script = Arc::clone(script);
                    cases.push(Case { script, suite: *suite, handshakes: *handshakes, roles });
                }
            }
        }
    }
    Ok(cases)
}

fn assignments(
    script: &Script,
    able: &[usize],
    suite: u16,
    handshakes: Handshakes,
    selection: &Selection,
) -> Result<Vec<BTreeMap<Actor, usize>>, NoCases> {
    let actors = script.actors();
    let distinct = u32::try_from(actors.len()).ok().and_then(|actors| able.len().checked_pow(actors));
    let wanted = match &selection.roles {
        Roles::Given(given) => {
            let assigned = actors.into_iter().map(|actor| match given.get(actor.name()) {
                Some(client) => Ok((actor.clone(), *client)),
                None => {
                    Err(NoCases::Unassigned { script: script.full_name(), actor: actor.name().to_owned() })
                }
            });
            let assigned: BTreeMap<_, _> = assigned.collect::<Result<_, _>>()?;
            // A client that lacks the suite plays nobody in it.
            let fits = assigned.values().all(|client| able.contains(client));
            return Ok(if fits { vec![assigned] } else { Vec::new() });
        }
        Roles::Random(wanted) => Some(*wanted),
        Roles::All => None,
    };
    match (wanted, distinct) {
        (Some(wanted), Some(distinct)) if wanted < distinct => {}
        (Some(_), None) => {}
        (_, Some(distinct)) if distinct <= MOST_ASSIGNMENTS => return Ok(every(&actors, able)),
        _ => {
            let (actors, clients) = (actors.len(), able.len());
            return Err(NoCases::TooMany { script: script.full_name(), actors, clients });
        }
    }
    // The same whatever else is selected, so that a seed repeats a case alone.
    let place = format!("{} {suite} {handshakes:?}", script.full_name());
    let mut dice = Dice::new(selection.seed, &place);
    let mut drawn = BTreeSet::new();
    while drawn.len() < wanted.unwrap_or(0) {
        let one = actors.iter().filter_map(|_| dice.pick(able).copied()).collect::<Vec<_>>();
        drawn.insert(one);
    }
    Ok(drawn.into_iter().map(|clients| assigned(&actors, clients)).collect())
}

/// Every way to give each actor a client, each once. The last actor's client changes fastest.
fn every(actors: &[&Actor], clients: &[usize]) -> Vec<BTreeMap<Actor, usize>> {
    let mut all = vec![Vec::new()];
    for _ in actors {
        let longer = all.iter().flat_map(|begun: &Vec<usize>| {
            clients.iter().map(|client| begun.iter().copied().chain([*client]).collect())
        });
        all = longer.collect();
    }
    all.into_iter().map(|clients| assigned(actors, clients)).collect()
}

fn assigned(actors: &[&Actor], clients: Vec<usize>) -> BTreeMap<Actor, usize> {
    actors.iter().map(|actor| (*actor).clone()).zip(clients).collect()
}

impl Case {
    /// The clients that take part, by their positions.
    pub fn clients(&self) -> BTreeSet<usize> {
        self.roles.values().copied().collect()
    }
}

impl Handshakes {
    /// As the command line and the table have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// True if handshakes are encrypted.
    pub fn encrypted(self) -> bool {
        match self {
            Self::Private => true,
            Self::Public => false,
        }
    }
}

impl std::fmt::Display for NoCases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany { script, actors, clients } => write!(
                f,
                "{script} has {actors} actors; {clients} clients can play them in more than {MOST_ASSIGNMENTS} \
                 ways: use --roles random"
            ),
            Self::Unassigned { script, actor } => {
                write!(f, "--roles names no client for {actor} of {script}")
            }
        }
    }
}

impl std::error::Error for NoCases {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    fn scripts() -> Vec<Arc<Script>> {
        scenarios::all().into_iter().flat_map(|scenario| scenario.scripts).map(Arc::new).collect()
    }

    fn selection(roles: Roles) -> Selection {
        let handshakes = vec![Handshakes::Private, Handshakes::Public];
        Selection { suites: None, handshakes, roles, seed: 7 }
    }

    fn of_scenario(cases: &[Case], name: &str) -> usize {
        cases.iter().filter(|case| case.script.scenario == name).count()
    }

    #[test]
    fn one_client_has_78_cases_a_suite() {
        let cases = cases(&scripts(), &[vec![1]], &selection(Roles::All)).unwrap();
        assert_eq!(cases.len(), 78);
    }

    #[test]
    fn two_clients_have_each_assignment_in_each_mode() {
        let cases = cases(&scripts(), &[vec![1], vec![1]], &selection(Roles::All)).unwrap();
        // 2 modes x sum over the scripts of 2^actors.
        for (scenario, count) in [
            ("welcome_join", 32),
            ("commit", 872),
            ("application", 24),
            ("external_join", 96),
            ("external_proposals", 264),
            ("branch", 256),
            ("reinit", 384),
        ] {
            assert_eq!(of_scenario(&cases, scenario), count, "{scenario}");
        }
        assert_eq!(cases.len(), 1928);
    }

    #[test]
    fn assignments_are_distinct_and_complete() {
        let three = [vec![1], vec![1], vec![1]];
        let cases = cases(&scripts(), &three, &selection(Roles::All)).unwrap();
        let mut seen = BTreeSet::new();
        for case in &cases {
            assert_eq!(case.roles.len(), case.script.actors().len());
            assert!(seen.insert((case.script.full_name(), case.handshakes, case.roles.clone())));
        }
        // Each client is somewhere each actor, also the fourth and later ones.
        for script in scripts() {
            for actor in script.actors() {
                for client in 0..three.len() {
                    let plays =
                        |case: &&Case| case.script == script && case.roles.get(actor) == Some(&client);
                    assert!(cases.iter().any(|case| plays(&case)), "{actor} of {}", script.full_name());
                }
            }
        }
    }

    #[test]
    fn a_suite_is_played_by_those_who_have_it() {
        let cases = cases(&scripts(), &[vec![1, 2], vec![2, 3]], &selection(Roles::All)).unwrap();
        for case in &cases {
            let expected: &[usize] = match case.suite {
                1 => &[0],
                2 => &[0, 1],
                _ => &[1],
            };
            assert!(case.clients().iter().all(|client| expected.contains(client)));
        }
        assert_eq!(cases.len(), 78 + 1928 + 78);
    }

    #[test]
    fn random_assignments_are_the_same_for_a_seed_whatever_else_is_selected() {
        let two = [vec![1, 2], vec![1, 2]];
        let all = cases(&scripts(), &two, &selection(Roles::Random(3))).unwrap();
        let alone = Selection { suites: Some(vec![2]), ..selection(Roles::Random(3)) };
        let alone = cases(&scripts()[8..9], &two, &alone).unwrap();
        assert_eq!(alone.len(), 6);
        for case in alone {
            let same = |other: &&Case| {
                other.script == case.script
                    && other.suite == case.suite
                    && other.handshakes == case.handshakes
                    && other.roles == case.roles
            };
            assert_eq!(all.iter().filter(same).count(), 1);
        }
    }

    #[test]
    fn no_more_random_assignments_than_there_are() {
        let cases = cases(&scripts(), &[vec![1]], &selection(Roles::Random(3))).unwrap();
        assert_eq!(cases.len(), 78);
    }

    #[test]
    fn an_actor_without_a_client_is_refused() {
        let given = Roles::Given(BTreeMap::from([("alice".to_owned(), 0)]));
        let refused = cases(&scripts()[..1], &[vec![1]], &selection(given)).unwrap_err();
        assert_eq!(refused, NoCases::Unassigned { script: scripts()[0].full_name(), actor: "bob".into() });
    }
}
