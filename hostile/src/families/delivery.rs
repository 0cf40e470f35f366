//! What a delivery service can do to handshakes without a member's help: old ones, those of others, those of a fork.

use hushwood::framing::{Content, MlsMessage, WireFormat};
use hushwood::welcome::Welcome;
use hushwood_codec::{Decode, Encode};

use crate::at::{At, Tamper, nothing};
use crate::member::Plan;
use crate::mutation::{Family, Mutation, To, all};
use crate::scene::{Scene, add, copy, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    vec![
        Family { name: "delivery to members", to: To::Open, build: handshake, mutations: to_members() },
        Family {
            name: "delivery of a Welcome",
            to: To::Joiner,
            build: super::joining::welcome,
            mutations: of_welcomes(),
        },
        Family {
            name: "delivery of a GroupInfo",
            to: To::Outsider,
            build: super::joining::group_info,
            mutations: of_group_infos(),
        },
        Family {
            name: "joining by a GroupInfo from elsewhere",
            to: To::Members,
            build: external_join,
            mutations: joins(),
        },
    ]
}

/// A handshake that all take.
fn handshake(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let content = Content::Proposal(remove(scene.open.others()[0]));
    scene.open.hostile.send(content, (WireFormat::PUBLIC_MESSAGE, 0), &mut scene.random(), tamper)
}

/// An honest client joins by a GroupInfo of an honest member.
fn external_join(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let mut message = joined_by(scene, &scene.group_info);
    tamper(At::Message(&mut message));
    message
}

/// The commit of an honest client that has joined by this.
fn joined_by(scene: &Scene, group_info: &[u8]) -> Vec<u8> {
    copy(&scene.joiner).external_join(group_info, None, None).expect("nothing is to be seen from outside")
}

fn to_members() -> Vec<Mutation> {
    vec![
        all("a commit of an epoch that is over", "C064", |at, scene, spot| {
            let old = [&scene.last_commit, &scene.opening];
            if let At::Message(message) = at
                && let Some(old) = spot.one_of(&old)
            {
                message.clone_from(old);
            }
        }),
        all("a handshake of an epoch to come", "C064", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.clone_from(&scene.of_the_future);
            }
        }),
        all("a handshake of another group", "C063", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.clone_from(&scene.of_another_group);
            }
        }),
        all("a handshake of another group, said to be of this one", "C082", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                let Ok(MlsMessage::PublicMessage(mut other)) =
                    MlsMessage::from_bytes(&scene.of_another_group)
                else {
                    panic!("not in the open");
                };
                let context = &scene.open.hostile.context;
                (other.content.group_id, other.content.epoch) = (context.group_id.clone(), context.epoch);
                *message = MlsMessage::PublicMessage(other).to_bytes().expect("it is short");
            }
        }),
        all("a handshake of a fork", "C082", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.clone_from(&scene.of_a_fork[0]);
            }
        }),
        all("application data of a fork", "C096", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.clone_from(&scene.of_a_fork[1]);
            }
        }),
        all("a commit of a fork", "C082", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                message.clone_from(&scene.of_a_fork[2]);
            }
        }),
    ]
}

/// A Welcome that the hostile member has made, taken apart.
fn parsed(message: &[u8]) -> Welcome {
    match MlsMessage::from_bytes(message) {
        Ok(MlsMessage::Welcome(welcome)) => welcome,
        other => panic!("no Welcome: {other:?}"),
    }
}

fn of_welcomes() -> Vec<Mutation> {
    vec![
        all("a Welcome for somebody else", "C325", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                let mut random = scene.random();
                let plan = Plan::of(vec![add(scene.friend.key_package(&mut nothing))]);
                let made = scene.hostile().commit(&plan, &mut random, &mut nothing);
                *message = made.next.welcome(&made.behind(), &mut random, &mut nothing);
            }
        }),
        all("the secrets of one Welcome beside the GroupInfo of another", "C327", |at, scene, spot| {
            if let At::Welcome(welcome) = at
                && spot.once()
            {
                let mut random = scene.random();
                let plan = Plan::of(vec![add(scene.joiner_key_package.clone())]);
                let made = scene.hostile().commit(&plan, &mut random, &mut nothing);
                let other = parsed(&made.next.welcome(&made.behind(), &mut random, &mut nothing));
                welcome.encrypted_group_info = other.encrypted_group_info;
            }
        }),
    ]
}

fn of_group_infos() -> Vec<Mutation> {
    vec![
        all("the tree of the epoch before", "C374", |at, scene, spot| {
            if let At::GroupInfoSigned(info) = at
                && spot.once()
            {
                let Ok(MlsMessage::GroupInfo(old)) = MlsMessage::from_bytes(&scene.old_group_info) else {
                    panic!("no GroupInfo");
                };
                let old = old.inspect().clone();
                let tree = hushwood::extension::ExtensionType::RATCHET_TREE;
                info.extensions.set(tree, old.extensions.get(tree).expect("a tree").extension_data.clone());
            }
        }),
        all("the external key of the epoch before", "C323", |at, scene, spot| {
            if let At::GroupInfoSigned(info) = at
                && spot.once()
            {
                let Ok(MlsMessage::GroupInfo(old)) = MlsMessage::from_bytes(&scene.old_group_info) else {
                    panic!("no GroupInfo");
                };
                let old = old.inspect().clone();
                let key = hushwood::extension::ExtensionType::EXTERNAL_PUB;
                info.extensions.set(key, old.extensions.get(key).expect("a key").extension_data.clone());
            }
        }),
    ]
}

/// Who joins can't see it: the others do.
fn joins() -> Vec<Mutation> {
    vec![
        all("one of the epoch before", "C064", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                *message = joined_by(scene, &scene.old_group_info);
            }
        }),
        all("one of the hostile member's with a key of its own", "C360", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                let mut hostile = scene.hostile().clone();
                hostile.external_pub = scene.friend.init_key.hpke_public();
                *message = joined_by(scene, &hostile.group_info(&mut nothing));
            }
        }),
        all("one of the hostile member's with another confirmation tag", "C313", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                let mut hostile = scene.hostile().clone();
                hostile.confirmation_tag[0] ^= 1;
                *message = joined_by(scene, &hostile.group_info(&mut nothing));
            }
        }),
        all("one of the hostile member's with another transcript", "C079", |at, scene, spot| {
            if let At::Message(message) = at
                && spot.once()
            {
                let mut hostile = scene.hostile().clone();
                hostile.context.confirmed_transcript_hash[0] ^= 1;
                *message = joined_by(scene, &hostile.group_info(&mut nothing));
            }
        }),
        all(
            "one of the hostile member's with extensions that nobody has agreed on",
            "C079",
            |at, scene, spot| {
                if let At::Message(message) = at
                    && spot.once()
                {
                    let mut hostile = scene.hostile().clone();
                    let required = hushwood::extension::RequiredCapabilities::default();
                    let data = required.to_bytes().expect("it is short");
                    let which = hushwood::extension::ExtensionType::REQUIRED_CAPABILITIES;
                    hostile.context.extensions.set(which, data);
                    *message = joined_by(scene, &hostile.group_info(&mut nothing));
                }
            },
        ),
    ]
}
