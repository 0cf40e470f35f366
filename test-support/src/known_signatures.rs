//! Signatures that have one right value: RFC 8032, §7.1 and §7.4. (Wycheproof only verifies.)

use hushwood_crypto::{CipherSuiteId, CryptoProvider, Secret, SignaturePrivateKey};

use crate::table::Row;

/// Signs with the keys of the RFC.
#[must_use]
pub fn run(provider: &CryptoProvider) -> Vec<Row> {
    let ed25519 = CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519;
    let ed448 = CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448;
    let rows = [("rfc8032/ed25519", ed25519, ED25519), ("rfc8032/ed448", ed448, ED448)];
    let sign = |(name, suite, vectors): (&str, CipherSuiteId, [Vector; 2])| {
        let scheme = provider.suite(suite)?.signature();
        let mut row = Row::new(name, provider.name);
        for vector in vectors {
            let [private, public, message, signature] = vector.map(|digits| hex::decode(digits).unwrap());
            let private = SignaturePrivateKey(Secret::new(private));
            let good = scheme.public_key(&private).is_ok_and(|key| key.0 == public)
                && scheme.sign(&private, &message).is_ok_and(|signed| signed == signature);
            row.case(good, || format!("message {message:?}"));
        }
        Some(row)
    };
    rows.into_iter().filter_map(sign).collect()
}

/// Private key, public key, message, signature.
type Vector = [&'static str; 4];

const ED25519: [Vector; 2] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd\
         25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3\
         87b2eaeb4302aeeb00d291612bb0c00",
    ],
];

const ED448: [Vector; 2] = [
    [
        "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f0\
         32e7549a20098f95b",
        "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd\
         1fa1abeafe8256180",
        "",
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d782\
         8c59bd0a21bfd3980ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb\
         61149f05a7363268c71d95808ff2e652600",
    ],
    [
        "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef\
         8021e954e0a12274e",
        "43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c2\
         35160627b4c3a9480",
        "03",
        "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633f\
         c1bf037ab7cd779805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff\
         3348ab21aa4adafd1d234441cf807c03a00",
    ],
];
